/** Which days the token page shows, and how the address says it. Pure. */

export const PRESETS = ['7d', '30d', '90d', 'month', 'year', 'all'] as const;
export type Preset = (typeof PRESETS)[number];
export const PRESET_DEFAULT: Preset = '30d';

const BACK: Partial<Record<Preset, number>> = { '7d': 6, '30d': 29, '90d': 89 };

export interface Days {
  /** Null: from the first usage on. */
  from: string | null;
  to: string;
}

/** The day it is in a zone; in UTC where the zone is not known here. */
export function todayIn(zone: string, now_ms: number): string {
  try {
    return new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(now_ms);
  } catch {
    return new Date(now_ms).toISOString().slice(0, 10);
  }
}

export function daysOf(preset: Preset, today: string): Days {
  const back = BACK[preset];
  if (back !== undefined) return { from: before(today, back), to: today };
  if (preset === 'month') return { from: `${today.slice(0, 7)}-01`, to: today };
  return { from: preset === 'year' ? `${today.slice(0, 4)}-01-01` : null, to: today };
}

/** `from` and `to` of the address, if both are days in order. */
export function daysTyped(from: unknown, to: unknown): Days | null {
  if (typeof from !== 'string' || typeof to !== 'string') return null;
  return isDay(from) && isDay(to) && from <= to ? { from, to } : null;
}

function isDay(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text) === true;
}

function before(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) - days * 86_400_000).toISOString().slice(0, 10);
}
