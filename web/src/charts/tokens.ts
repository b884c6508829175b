/** Token usage of one device on the time axis of its other charts: a table of bars. Pure. */

import type { UsageSteps } from '../api/model';
import type { Line, Picture } from './lines';
import type { Span, Table } from './table';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Lengths of a bar; the server counts in quarters of an hour. */
const STEPS = [15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 7 * DAY, 28 * DAY];
/** More bars than this could not be told apart in half a page. */
const BARS_MAX = 96;
/** In less there would be a bar or two. */
export const TOKENS_MS_MIN = HOUR;

/** What to ask the server for: whole bars that begin at a midnight of this browser's zone, or a round time after it. */
export function tokenSteps(span: Span): { from_ms: number; to_ms: number; step_ms: number } {
  const step_ms = STEPS.find((step) => (span.to_ms - span.from_ms) / step <= BARS_MAX) ?? roundUp((span.to_ms - span.from_ms) / BARS_MAX, DAY);
  const midnight = new Date(span.from_ms).setHours(0, 0, 0, 0);
  const from_ms = midnight + Math.floor((span.from_ms - midnight) / step_ms) * step_ms;
  return { from_ms, to_ms: roundUp(span.to_ms - from_ms, step_ms) + from_ms, step_ms };
}

function roundUp(length_ms: number, step_ms: number): number {
  return Math.ceil(length_ms / step_ms) * step_ms;
}

/** A bar's point is its middle, so that the crosshair finds it there. */
export function tokensTable(steps: UsageSteps): Table {
  const { step_ms } = steps;
  const column = (avg: readonly number[]): { avg: readonly number[]; min: readonly number[]; max: readonly number[] } => ({ avg, min: avg, max: avg });
  return {
    tier: 'usage',
    step_ms,
    t_ms: steps.input.map((_, index) => steps.from_ms + (index + 0.5) * step_ms),
    series: new Map([
      ['input', column(steps.input)],
      ['output', column(steps.output)],
      ['cache_read', column(steps.cache_read)],
      ['cache_write', column(steps.cache_write)],
    ]),
    gaps: [],
    late: [],
  };
}

const KINDS = [
  ['input', 'tokens.input', 'chart-1'],
  ['output', 'tokens.output', 'chart-3'],
  ['cache_read', 'tokens.cache_read', 'chart-2'],
  ['cache_write', 'tokens.cache_write', 'chart-4'],
] as const;

export function tokensPicture(table: Table): Picture {
  const lines = KINDS.flatMap(([metric, key, colour]): Line[] => {
    const columns = table.series.get(metric);
    return columns ? [{ id: metric, name: { kind: 'text', key }, colour, columns, faint: false }] : [];
  });
  return { lines, scale: { unit: 'count', max: null }, bars: true };
}
