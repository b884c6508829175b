import { describe, expect, it } from 'vitest';
import { disks, fullestDisk, memoryPercent, parseMetric } from './metric';

describe('a metric name', () => {
  it('has labels, which may hold anything', () => {
    expect(parseMetric('cpu_percent')).toEqual({ name: 'cpu_percent', labels: {} });
    expect(parseMetric('disk_used{mount="C:\\\\",kind="a \\"b\\""}')).toEqual({
      name: 'disk_used',
      labels: { mount: 'C:\\', kind: 'a "b"' },
    });
  });
});

describe('disks', () => {
  const latest = {
    disk_percent: 40,
    disk_used: 4,
    disk_total: 10,
    disk_read_rate: 7,
    'disk_used{mount="/a"}': 1,
    'disk_total{mount="/a"}': 10,
    'disk_used{mount="/b"}': 9,
    'disk_total{mount="/b"}': 10,
  };

  it('come with the own one first and get their share computed', () => {
    expect(disks(latest).map((disk) => `${disk.mount} ${disk.percent}`)).toEqual(['null 40', '/b 90', '/a 10']);
    expect(fullestDisk(latest)?.mount).toBe('/b');
  });

  it('that say nothing have no fullest', () => {
    expect(fullestDisk({ disk_read_rate: 7 })).toBeNull();
    expect(fullestDisk({ disk_used: 7 })).toBeNull();
  });
});

describe('memory', () => {
  it('is computed where the device does not say it', () => {
    expect(memoryPercent({ memory_used: 1, memory_total: 4 })).toBe(25);
    expect(memoryPercent({ memory_percent: 7, memory_used: 1, memory_total: 4 })).toBe(7);
    expect(memoryPercent({ memory_used: 1, memory_total: 0 })).toBeNull();
  });
});
