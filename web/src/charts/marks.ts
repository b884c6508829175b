/** What happened at a moment, to be marked below a chart: told by the server's events, and read from the figures. Pure. */

import type { LogCounts } from '../api/model';
import type { Place } from './place';
import type { Span, Table } from './table';

export interface Mark {
  key: string;
  t_ms: number;
  /** Its end, of what lasts. */
  until_ms?: number;
  /** The kind of the event; `restart`, `gateway_restart` and `error_burst` are read from the figures. */
  kind: string;
  text: string;
}

/** What restarts are read from. */
export const MARK_METRICS = ['uptime_s', 'gateway_uptime_s'] as const;

/** An uptime that is a little shorter than before is a clock that was set, not a restart (seconds). */
const BACK_S_MIN = 5;

/** The moments at which an uptime began anew. */
export function restarts(table: Table, metric: (typeof MARK_METRICS)[number]): number[] {
  const columns = table.series.get(metric);
  if (!columns) return [];
  const found: number[] = [];
  let before: number | null = null;
  for (const [index, t_ms] of table.t_ms.entries()) {
    // Of a step the lowest reading is the one after the restart.
    const uptime = columns.min[index] ?? null;
    if (uptime === null) continue;
    if (before !== null && uptime < before - BACK_S_MIN) found.push(table.step_ms === 0 ? t_ms - uptime * 1_000 : t_ms);
    before = uptime;
  }
  return found;
}

/** Fewer errors in a step are nothing out of the ordinary. */
const BURST_MIN = 10;
/** So many times the mean of the range. */
const BURST_TIMES = 4;

export interface Burst extends Span {
  errors: number;
}

/** Steps with far more errors than the others; neighbours are one burst. */
export function bursts({ from_ms, step_ms, counts }: LogCounts): Burst[] {
  const mean = counts.reduce((sum, n) => sum + n, 0) / Math.max(1, counts.length);
  const found: Burst[] = [];
  for (const [index, errors] of counts.entries()) {
    if (errors < BURST_MIN || errors < BURST_TIMES * mean) continue;
    const start = from_ms + index * step_ms;
    const last = found.at(-1);
    if (last?.to_ms === start) {
      last.to_ms += step_ms;
      last.errors += errors;
    } else found.push({ from_ms: start, to_ms: start + step_ms, errors });
  }
  return found;
}

/** Marks nearer than this to the first of a group are in it: they would cover each other. */
const GROUP_PX = 15;

export interface MarkGroup {
  key: string;
  x: number;
  /** In order of time; never empty. */
  marks: readonly Mark[];
  /** The kind that matters most. */
  kind: string;
}

/** What is worse hides what is less so. */
const WEIGHT: Record<string, number> = { offline: 5, error_burst: 4, degraded: 3, restart: 2, gateway_restart: 2, version_change: 1 };

export function groupMarks(marks: readonly Mark[], span: Span, place: Place): MarkGroup[] {
  const shown = marks.filter((mark) => mark.t_ms >= span.from_ms && mark.t_ms <= span.to_ms).sort((a, b) => a.t_ms - b.t_ms);
  const groups: { key: string; x: number; marks: Mark[]; kind: string }[] = [];
  for (const mark of shown) {
    const x = place.x(mark.t_ms);
    const last = groups.at(-1);
    if (!last || x - last.x > GROUP_PX) {
      groups.push({ key: mark.key, x, marks: [mark], kind: mark.kind });
      continue;
    }
    last.marks.push(mark);
    if ((WEIGHT[mark.kind] ?? 0) > (WEIGHT[last.kind] ?? 0)) last.kind = mark.kind;
  }
  return groups;
}
