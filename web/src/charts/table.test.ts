import { describe, expect, it } from 'vitest';
import type { QueryAnswer } from '../api/model';
import { breakMs, extent, rowAt, tableFrom, withRow, type Table } from './table';

const answer: QueryAnswer = {
  tier: 'raw',
  step_ms: 0,
  from_ms: 0,
  to_ms: 100,
  t_ms: [10, 20, 30],
  series: [
    { device: 1, metric: 'cpu_percent', avg: [1, 2, 3], min: [1, 2, 3], max: [1, 2, 3] },
    { device: 2, metric: 'cpu_percent', avg: [9, 9, 9], min: null, max: null },
  ],
  gaps: [
    { device: 1, from_ms: 40, to_ms: 50, cause: 'device_offline' },
    { device: 2, from_ms: 40, to_ms: 50, cause: 'device_offline' },
  ],
};

function cpu(table: Table): string {
  const columns = table.series.get('cpu_percent');
  return table.t_ms.map((t_ms, index) => `${t_ms}:${columns?.avg[index]}`).join(' ');
}

describe('a table', () => {
  it('holds one device', () => {
    const table = tableFrom(answer, 1);
    expect(cpu(table)).toBe('10:1 20:2 30:3');
    expect(table.gaps).toHaveLength(1);
  });

  it('has no hole where rows were filled in later', () => {
    const table = tableFrom({ ...answer, gaps: [{ device: 1, from_ms: 12, to_ms: 28, cause: 'filled_in' }] }, 1);
    expect(table.gaps).toEqual([]);
    expect(table.late).toHaveLength(1);
  });

  it('takes the mean for aggregates that did not come', () => {
    expect(tableFrom(answer, 2).series.get('cpu_percent')).toEqual({ avg: [9, 9, 9], min: [9, 9, 9], max: [9, 9, 9] });
  });
});

describe('a row from the live feed', () => {
  const table = tableFrom(answer, 1);

  it('comes at the end', () => expect(cpu(withRow(table, 40, { cpu_percent: 7 }, 100))).toBe('10:1 20:2 30:3 40:7'));

  it('that is old or there already changes nothing', () => expect(withRow(table, 30, { cpu_percent: 7 }, 100)).toBe(table));

  it('keeps what it does not name, unless the device was silent', () => {
    expect(cpu(withRow(table, 40, { load1: 1 }, 100))).toBe('10:1 20:2 30:3 40:3');
    expect(cpu(withRow(table, 400, { load1: 1 }, 100))).toBe('10:1 20:2 30:3 400:null');
  });

  it('brings new metrics', () => {
    expect(withRow(table, 40, { load1: 1 }, 100).series.get('load1')?.avg).toEqual([null, null, null, 1]);
  });

  it('leaves the old table as it was', () => {
    withRow(table, 40, { cpu_percent: 7 }, 100);
    expect(cpu(table)).toBe('10:1 20:2 30:3');
  });

  it('does not make the table grow without end', () => {
    let long = table;
    for (let t_ms = 31; t_ms < 31 + 4_000; t_ms += 1) long = withRow(long, t_ms, { cpu_percent: 1 }, 100);
    expect(long.t_ms).toHaveLength(3_600);
    expect(long.series.get('cpu_percent')?.avg).toHaveLength(3_600);
    expect(long.t_ms.at(-1)).toBe(4_030);
  });
});

describe('the row at a time', () => {
  const table = tableFrom(answer, 1);
  it.each([
    [0, 10, 0],
    [14, 10, 0],
    [16, 10, 1],
    [39, 10, 2],
    [41, 10, null],
    [-1, 10, null],
  ])('%s within %s is %s', (t_ms, reach, row) => expect(rowAt(table, t_ms, reach)).toBe(row));

  it('of an empty table is none', () => expect(rowAt({ ...table, t_ms: [] }, 5, 1e9)).toBeNull());
});

describe('the extent of a column', () => {
  it('sees only the span, and extremes in the band', () => {
    const columns = { avg: [1, 2, null, 50], min: [0, 1, null, 50], max: [1, 9, null, 50] };
    expect(extent([1, 2, 3, 4], columns, { from_ms: 1, to_ms: 3 })).toEqual({ last: 2, min: 0, max: 9, sum: 3 });
    expect(extent([], columns, { from_ms: 1, to_ms: 3 })).toEqual({ last: null, min: null, max: null, sum: 0 });
  });
});

describe('a line', () => {
  it('is broken after three intervals, ten seconds, or two and a half points', () => {
    const rows = (step_ms: number, ...t_ms: number[]) => ({ step_ms, t_ms });
    expect(breakMs(rows(0), 30)).toBe(90_000);
    expect(breakMs(rows(0), 1)).toBe(10_000);
    expect(breakMs(rows(3_600_000), 30)).toBe(9_000_000);
    // Two rows an hour apart are two rows; five of them are a device that reported every hour.
    expect(breakMs(rows(0, 0, 3_600_000), 5)).toBe(15_000);
    expect(breakMs(rows(0, ...[0, 1, 2, 3, 9].map((hour) => hour * 3_600_000)), 5)).toBe(10_800_000);
  });
});
