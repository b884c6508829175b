/** Where a time axis has its ticks: at round times of this browser's zone, evenly apart. Pure. */

import type { Span } from './table';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Within a day. */
const SHORT = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200].map((seconds) => seconds * SECOND);
const DAYS = [1, 2, 3, 7, 14];
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120, 600, 1_200];
/** Long enough that no month makes one step too many. */
const MONTH_MS_MIN = 28 * DAY;

/** At most `most` of them, each within the span. */
export function timeTicks(span: Span, most: number): number[] {
  const fits = (step_ms: number): boolean => (span.to_ms - span.from_ms) / step_ms <= most;
  const from = new Date(span.from_ms);
  const [year, month, day] = [from.getFullYear(), from.getMonth(), from.getDate()];
  const short = SHORT.find(fits);
  if (short !== undefined) {
    // By the calendar from an hour on: a day with a change of the clocks has its ticks at the same hours as others.
    const at = short < HOUR ? (n: number): number => new Date(year, month, day).getTime() + n * short : (n: number): number => new Date(year, month, day, (n * short) / HOUR).getTime();
    return within(span, short < HOUR ? Math.floor((span.from_ms - at(0)) / short) : 0, at);
  }
  const days = DAYS.find((n) => fits(n * DAY));
  if (days !== undefined) {
    // Counted from one day for ever, so that they stay where they are while the range moves on.
    const first = Math.floor(Date.UTC(year, month, day) / DAY);
    return within(span, 0, (n) => new Date(year, month, day - (first % days) + n * days).getTime());
  }
  const months = MONTHS.find((n) => fits(n * MONTH_MS_MIN)) ?? 12_000;
  const first = year * 12 + month;
  return within(span, 0, (n) => new Date(0, first - (first % months) + n * months - 1_900 * 12).getTime());
}

function within(span: Span, first: number, at: (n: number) => number): number[] {
  const ticks: number[] = [];
  for (let n = first, t_ms = at(n); t_ms <= span.to_ms; n += 1, t_ms = at(n)) if (t_ms >= span.from_ms) ticks.push(t_ms);
  return ticks;
}
