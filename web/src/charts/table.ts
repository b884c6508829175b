/**
 * The figures of one device over a range, as columns, and what the live feed adds to them. Pure:
 * each function returns a new table and leaves the old one as it is.
 */

import type { QueryAnswer, Values } from '../api/model';

export type Column = readonly (number | null)[];

export interface Columns {
  avg: Column;
  min: Column;
  max: Column;
}

export interface Span {
  from_ms: number;
  to_ms: number;
}

export interface Gap extends Span {
  cause: string;
}

export interface Table {
  tier: string;
  /** Width of one point; 0 when the rows are as they were reported. */
  step_ms: number;
  t_ms: readonly number[];
  series: ReadonlyMap<string, Columns>;
  gaps: readonly Gap[];
  /** Spans whose rows arrived much later: no holes, but nobody saw them at the time. */
  late: readonly Gap[];
}

/** The cause of a span that has rows. */
const FILLED_IN = 'filled_in';

/** Rows kept beyond what the server sent; the next fetch replaces them. */
export const LIVE_ROWS_MAX = 3_600;

export const EMPTY_TABLE: Table = { tier: 'raw', step_ms: 0, t_ms: [], series: new Map(), gaps: [], late: [] };

export function tableFrom(answer: QueryAnswer, device: number): Table {
  const series = new Map<string, Columns>();
  for (const one of answer.series) {
    if (one.device !== device) continue;
    const avg = one.avg ?? one.min ?? one.max ?? [];
    series.set(one.metric, { avg, min: one.min ?? avg, max: one.max ?? avg });
  }
  const spans = answer.gaps.filter((gap) => gap.device === device && gap.to_ms > gap.from_ms);
  const gaps = spans.filter((gap) => gap.cause !== FILLED_IN);
  const late = spans.filter((gap) => gap.cause === FILLED_IN);
  return { tier: answer.tier, step_ms: answer.step_ms, t_ms: answer.t_ms, series, gaps, late };
}

/**
 * A row from the live feed at the end. The feed sends what changed, so a metric it does not name
 * keeps its value, unless the device was silent for `silence_ms` in between.
 */
export function withRow(table: Table, t_ms: number, values: Values, silence_ms: number): Table {
  const last_ms = table.t_ms.at(-1);
  if (last_ms !== undefined && t_ms <= last_ms) return table;
  const drop = Math.max(0, table.t_ms.length + 1 - (LIVE_ROWS_MAX + rowsFetched(table)));
  const silent = last_ms === undefined || t_ms - last_ms > silence_ms;
  const series = new Map<string, Columns>();
  for (const [metric, columns] of table.series) {
    const value = values[metric] ?? (silent ? null : (columns.avg.at(-1) ?? null));
    const add = (column: Column): Column => [...column.slice(drop), value];
    series.set(metric, { avg: add(columns.avg), min: add(columns.min), max: add(columns.max) });
  }
  for (const [metric, value] of Object.entries(values)) {
    if (series.has(metric)) continue;
    const column = [...table.t_ms.slice(drop).map(() => null), value];
    series.set(metric, { avg: column, min: column, max: column });
  }
  return { ...table, t_ms: [...table.t_ms.slice(drop), t_ms], series };
}

/** A bucketed answer is never longer than what was asked for; its rows do not count against the live ones. */
function rowsFetched(table: Table): number {
  return table.step_ms > 0 ? 1_500 : 0;
}

/** The row nearest to a time, when one is near enough to be meant. */
export function rowAt(table: Table, t_ms: number, reach_ms: number): number | null {
  const times = table.t_ms;
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) < t_ms) low = middle + 1;
    else high = middle;
  }
  const distance = (index: number): number => Math.abs((times[index] ?? Infinity) - t_ms);
  const nearest = low > 0 && distance(low - 1) <= distance(low) ? low - 1 : low;
  return distance(nearest) <= reach_ms ? nearest : null;
}

/** A row may lack a metric; the last one that had it, if it is near, is meant. */
export function valueNear(table: Table, column: Column, row: number, reach_ms: number): number | null {
  const at = table.t_ms[row] ?? 0;
  for (let back = row; back >= 0 && at - (table.t_ms[back] ?? 0) <= reach_ms; back -= 1) {
    const value = column[back];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

export interface Extent {
  last: number | null;
  min: number | null;
  max: number | null;
  sum: number;
}

/** What a column says in a few numbers, within a span. */
export function extent(times: readonly number[], columns: Columns, span: Span): Extent {
  let last: number | null = null;
  let min: number | null = null;
  let max: number | null = null;
  let sum = 0;
  for (const [index, t_ms] of times.entries()) {
    if (t_ms < span.from_ms || t_ms > span.to_ms) continue;
    last = columns.avg[index] ?? last;
    sum += columns.avg[index] ?? 0;
    const low = columns.min[index] ?? null;
    const high = columns.max[index] ?? null;
    if (low !== null && (min === null || low < min)) min = low;
    if (high !== null && (max === null || high > max)) max = high;
  }
  return { last, min, max, sum };
}

/** From fewer rows nobody can tell how often they came. */
const ROWS_TYPICAL_MIN = 5;

/**
 * Between two points further apart than this no line is drawn. `interval_s` is how often the device reports now; the
 * rows may be of a time when it reported less often, so half of their distances are joined whatever it says.
 */
export function breakMs({ step_ms, t_ms }: Pick<Table, 'step_ms' | 't_ms'>, interval_s: number | null): number {
  return Math.max(2.5 * step_ms, 3_000 * (interval_s ?? 10), 3 * typicalMs(t_ms), 10_000);
}

/** The median distance of two rows; 0 where there are too few. */
function typicalMs(t_ms: readonly number[]): number {
  if (t_ms.length < ROWS_TYPICAL_MIN) return 0;
  const distances = Float64Array.from({ length: t_ms.length - 1 }, (_, index) => (t_ms[index + 1] ?? 0) - (t_ms[index] ?? 0)).sort();
  return distances[distances.length >> 1] ?? 0;
}
