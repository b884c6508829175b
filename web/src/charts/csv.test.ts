import { describe, expect, it } from 'vitest';
import { tableCsv } from './csv';
import { cpuPicture } from './lines';
import type { Table } from './table';

const columns = { avg: [1.5, null, 3], min: [1, null, 2], max: [2, null, 4] };
const table: Table = { tier: '5m', step_ms: 300_000, t_ms: [0, 300_000, 600_000], series: new Map([['cpu_percent', columns]]), gaps: [], late: [] };
const span = { from_ms: 0, to_ms: 600_000 };

describe('a chart as CSV', () => {
  it('has the band where a point stands for many, and no empty rows', () => {
    expect(tableCsv(table, cpuPicture(table, false), span).split('\r\n')).toEqual([
      '\uFEFFtime,cpu_percent avg,cpu_percent min,cpu_percent max',
      '1970-01-01T00:00:00.000Z,1.5,1,2',
      '1970-01-01T00:10:00.000Z,3,2,4',
      '',
    ]);
  });

  it('of bars is named by their beginnings', () => {
    const bars = { ...cpuPicture(table, false), bars: true };
    expect(tableCsv({ ...table, t_ms: [150_000, 450_000, 750_000] }, bars, { from_ms: 0, to_ms: 900_000 }).split('\r\n').slice(0, 2)).toEqual(['\uFEFFtime,cpu_percent', '1970-01-01T00:00:00.000Z,1.5']);
  });

  it('of single readings has one column a line, within what is shown', () => {
    const raw = { ...table, step_ms: 0 };
    expect(tableCsv(raw, cpuPicture(raw, false), { from_ms: 1, to_ms: 600_000 }).split('\r\n').slice(0, 2)).toEqual(['\uFEFFtime,cpu_percent', '1970-01-01T00:10:00.000Z,3']);
  });
});
