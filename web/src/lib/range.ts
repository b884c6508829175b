/** The time range of a device page and how it is written in the address bar. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const RANGES = ['live', '15m', '1h', '6h', '24h', '7d', '30d', '90d', '1y'] as const;
export type RangeName = (typeof RANGES)[number];

export const RANGE_MS: Record<RangeName, number> = {
  live: 5 * MINUTE,
  '15m': 15 * MINUTE,
  '1h': HOUR,
  '6h': 6 * HOUR,
  '24h': DAY,
  '7d': 7 * DAY,
  '30d': 30 * DAY,
  '90d': 90 * DAY,
  '1y': 365 * DAY,
};

export const RANGE_DEFAULT: RangeName = '1h';

/** What is shown of a device that fell silent so long ago: the shortest range that is at least half filled. */
export function rangeSilent(silence_ms: number): RangeName {
  const longer = RANGES.slice(RANGES.indexOf(RANGE_DEFAULT));
  return longer.find((name) => RANGE_MS[name] >= 2 * silence_ms) ?? '1y';
}

/** A drag below this is a click: the server keeps one row a second at most. */
export const ZOOM_MS_MIN = 5_000;

/** Up to this length every row from the live feed goes straight into the charts. */
export const LIVE_MS_MAX = RANGE_MS['1h'];

/** `name` is what the picker shows; with `zoom` a fixed part of the past is shown instead of "until now". */
export interface Range {
  name: RangeName;
  zoom: { from_ms: number; to_ms: number } | null;
}

/** What a person typed as the two ends, in this browser's zone; null where that is no range. */
export function rangeTyped(from: string, to: string): { from_ms: number; to_ms: number } | null {
  const from_ms = new Date(from).getTime();
  const to_ms = new Date(to).getTime();
  if (!(from_ms >= 0 && to_ms <= TIME_MS_MAX && to_ms - from_ms >= ZOOM_MS_MIN)) return null;
  return { from_ms, to_ms };
}

/** The last moment the server can be asked for: the end of the year 9999. */
const TIME_MS_MAX = 253_402_300_799_999;

/** As an input of type `datetime-local` wants it. */
export function typedTime(t_ms: number): string {
  const at = new Date(t_ms);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${String(at.getFullYear()).padStart(4, '0')}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

type Query = Record<string, unknown>;

/** `usual`: the range that is meant where the address names none. */
export function rangeFromQuery(query: Query, usual: RangeName = RANGE_DEFAULT): Range {
  const name = RANGES.find((known) => known === query['range']) ?? usual;
  const from_ms = wholeNumber(query['from']);
  const to_ms = wholeNumber(query['to']);
  if (from_ms === null || to_ms === null || to_ms - from_ms < ZOOM_MS_MIN || to_ms > TIME_MS_MAX) return { name, zoom: null };
  return { name, zoom: { from_ms, to_ms } };
}

export function rangeToQuery(range: Range, usual: RangeName = RANGE_DEFAULT): Record<string, string> {
  const query: Record<string, string> = {};
  if (range.name !== usual) query['range'] = range.name;
  if (range.zoom) {
    query['from'] = String(range.zoom.from_ms);
    query['to'] = String(range.zoom.to_ms);
  }
  return query;
}

export function rangeBounds(range: Range, now_ms: number): { from_ms: number; to_ms: number } {
  return range.zoom ?? { from_ms: now_ms - RANGE_MS[range.name], to_ms: now_ms };
}

/** How often a range that ends now is fetched again: about one point's width, never faster than 10 s. */
export function refreshMs(range: Range, points: number): number | null {
  if (range.zoom) return null;
  return Math.min(Math.max(RANGE_MS[range.name] / points, 10_000), 5 * MINUTE);
}

/** Points to ask for: one per pixel, no more than are drawn well. */
export function pointsFor(width_px: number): number {
  return Math.min(Math.max(Math.round(width_px), 200), 1_500);
}

function wholeNumber(value: unknown): number | null {
  if (typeof value !== 'string' || !/^\d{1,16}$/.test(value)) return null;
  return Number(value);
}
