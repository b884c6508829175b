import { describe, expect, it } from 'vitest';
import { charted, metricPicture, temperaturePicture, coreCount, cpuPicture, diskPicture, loadPicture, memoryPicture, networkPicture, type Picture } from './lines';
import type { Columns, Table } from './table';

function table(values: Record<string, number[]>): Table {
  const series = new Map<string, Columns>(Object.entries(values).map(([metric, v]) => [metric, { avg: v, min: v, max: v }]));
  return { tier: 'raw', step_ms: 0, t_ms: [1, 2], series, gaps: [], late: [] };
}

function names(picture: Picture): string {
  return picture.lines
    .map((line) => (line.name.kind === 'text' ? line.name.key : line.name.kind === 'core' ? `core ${line.name.core}` : line.name.name))
    .join(', ');
}

describe('the CPU chart', () => {
  const cpu = table({ cpu_percent: [1, 2], 'cpu_core_percent{core="10"}': [1, 2], 'cpu_core_percent{core="9"}': [1, 2] });

  it('draws the total over the cores, which are in order of number', () => {
    expect(names(cpuPicture(cpu, true))).toBe('core 9, core 10, chart.cpu_total');
    expect(cpuPicture(cpu, true).lines.map((line) => line.faint)).toEqual([true, true, false]);
  });

  it('can leave the cores out', () => {
    expect(names(cpuPicture(cpu, false))).toBe('chart.cpu_total');
    expect(coreCount(cpu)).toBe(2);
  });
});

describe('the memory chart', () => {
  it('reaches up to what there is', () => {
    const picture = memoryPicture(table({ memory_used: [1, 2], memory_total: [8, 8], swap_used: [0, 0] }));
    expect(names(picture)).toBe('chart.memory, chart.swap');
    expect(picture.scale).toEqual({ unit: 'bytes', max: 8 });
  });

  it('shows percent where nothing else is known', () => {
    expect(memoryPicture(table({ memory_percent: [1, 2] })).scale.unit).toBe('percent');
  });
});

describe('the disk chart', () => {
  it('has a line per mount and computes the share where it is not said', () => {
    const picture = diskPicture(
      table({ disk_percent: [40, 41], disk_used: [1, 1], disk_total: [9, 9], 'disk_used{mount="/b"}': [5, 6], 'disk_total{mount="/b"}': [10, 10] }),
    );
    expect(names(picture)).toBe('chart.disk_main, /b');
    expect(picture.lines.map((line) => line.columns.avg)).toEqual([
      [40, 41],
      [50, 60],
    ]);
  });

  it('says nothing about a disk of unknown size', () => {
    expect(diskPicture(table({ 'disk_used{mount="/b"}': [5, 6] })).lines).toEqual([]);
  });
});

describe('a device without a figure', () => {
  it('has no line for it', () => {
    const none = table({});
    for (const picture of [cpuPicture(none, true), memoryPicture(none), diskPicture(none), networkPicture(none), loadPicture(none)]) {
      expect(picture.lines).toEqual([]);
    }
  });
});

describe('a metric of its own', () => {
  it.each([
    ['queue_percent', 'percent'],
    ['wifi_rate', 'rate'],
    ['net_tx_bytes_total', 'bytes'],
    ['disk_used{mount="/x"}', 'bytes'],
    ['sessions_active', 'number'],
  ])('%s is drawn in %s', (metric, unit) => expect(metricPicture(table({ [metric]: [1, 2] }), metric).scale.unit).toBe(unit));

  it('that is not there has no line', () => expect(metricPicture(table({}), 'x').lines).toEqual([]));

  it('is offered unless a chart shows it already', () => {
    expect(['cpu_percent', 'disk_used{mount="/b"}', 'sessions_active', 'cpu_percentage'].map(charted)).toEqual([true, true, false, false]);
  });
});

describe('the temperature chart', () => {
  it('has a line per sensor in order of number', () => {
    const picture = temperaturePicture(table({ 'temperature_celsius{sensor="cpu10"}': [1, 2], 'temperature_celsius{sensor="cpu9"}': [1, 2] }));
    expect(names(picture)).toBe('cpu9, cpu10');
  });
});
