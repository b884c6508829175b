/** Numbers and times as people read them. Pure: language, zone and "now" are arguments or the browser's. */

export type Language = 'en' | 'zh';

const LOCALE: Record<Language, string> = { en: 'en-GB', zh: 'zh-CN' };

/** Shown where a figure is not known. */
export const NO_FIGURE = '–';

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Decimal units, three significant digits: `4.24 GB`. Disks are sold and networks measured so. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NO_FIGURE;
  let unit = 0;
  let scaled = Math.abs(value);
  // 999.5, not 1000: "1000 kB" after rounding would be four digits.
  while (scaled >= 999.5 && unit < BYTE_UNITS.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  const sign = value < 0 ? '-' : '';
  return `${sign}${unit === 0 ? Math.round(scaled) : digits(scaled)} ${BYTE_UNITS[unit]}`;
}

export function rate(value: number | null | undefined): string {
  const amount = bytes(value);
  return amount === NO_FIGURE ? amount : `${amount}/s`;
}

/** One decimal below 10, none above: the width stays calm while values move. */
export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NO_FIGURE;
  return value < 9.95 ? value.toFixed(1) : String(Math.round(value));
}

export function count(value: number, language: Language): string {
  return new Intl.NumberFormat(LOCALE[language]).format(value);
}

/** `1.42 M`: three digits, for totals that only need their size. */
export function compact(value: number): string {
  const size = Math.abs(value);
  if (size < 999.5) return String(Math.round(value));
  if (size < 999_500) return `${digits(value / 1e3)} k`;
  if (size < 999_500_000) return `${digits(value / 1e6)} M`;
  return `${digits(value / 1e9)} G`;
}

/** `$4.10`; below a cent it says so instead of showing nothing. */
export function money(value: number, language: Language): string {
  if (value > 0 && value < 0.005) return `<${money(0.01, language)}`;
  return moneyFormat(LOCALE[language]).format(value);
}

/** `a, b`, `a和b`: a few words after each other. */
export function listText(parts: readonly string[], language: Language): string {
  return new Intl.ListFormat(LOCALE[language], { style: 'narrow', type: 'conjunction' }).format(parts);
}

const moneyFormats = new Map<string, Intl.NumberFormat>();

function moneyFormat(locale: string): Intl.NumberFormat {
  let format = moneyFormats.get(locale);
  if (!format) {
    format = new Intl.NumberFormat(locale, { style: 'currency', currency: 'USD', currencyDisplay: 'narrowSymbol' });
    moneyFormats.set(locale, format);
  }
  return format;
}

/** `99.8 %`, `100 %`: a share with one decimal where it says something. */
export function percentText(value: number, language: Language): string {
  // 99.96 must not become "100": somebody was away.
  const shown = value < 100 ? Math.min(Math.floor(value * 10) / 10, 99.9) : 100;
  return `${new Intl.NumberFormat(LOCALE[language], { maximumFractionDigits: 1 }).format(shown)} %`;
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (size < 9.995) return value.toFixed(2);
  if (size < 99.95) return value.toFixed(1);
  return value.toFixed(0);
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export type SpanUnit = 's' | 'm' | 'h' | 'd';

/** The one or two largest units of a span: `[[3,'d'],[4,'h']]`. Never empty. */
export function spanParts(ms: number): [number, SpanUnit][] {
  const whole = Math.max(0, ms);
  if (whole < MINUTE) return [[Math.floor(whole / SECOND), 's']];
  if (whole < HOUR) return [[Math.floor(whole / MINUTE), 'm']];
  if (whole < DAY) return withRest(Math.floor(whole / HOUR), 'h', Math.floor((whole % HOUR) / MINUTE), 'm');
  return withRest(Math.floor(whole / DAY), 'd', Math.floor((whole % DAY) / HOUR), 'h');
}

function withRest(large: number, unit: SpanUnit, rest: number, restUnit: SpanUnit): [number, SpanUnit][] {
  return rest > 0 && large < 10 ? [[large, unit], [rest, restUnit]] : [[large, unit]];
}

const SPAN_WORD: Record<Language, Record<SpanUnit, string>> = {
  en: { s: ' s', m: ' min', h: ' h', d: ' d' },
  zh: { s: ' 秒', m: ' 分钟', h: ' 小时', d: ' 天' },
};

/** Only the largest unit: `3 d`. For narrow places. */
export function coarseSpan(ms: number, language: Language): string {
  const [[amount, unit] = [0, 's' as const]] = spanParts(ms);
  return `${amount}${SPAN_WORD[language][unit]}`;
}

/** `3 d 4 h`, `3 天 4 小时`. */
export function span(ms: number, language: Language): string {
  return spanParts(ms)
    .map(([amount, unit]) => `${amount}${SPAN_WORD[language][unit]}`)
    .join(' ');
}

/** `02:07`, `1:02:07`: a clock that runs. */
export function stopwatch(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / SECOND));
  const two = (n: number): string => String(n).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

/** For the machine: `2026-03-12T14:02:11.000Z`; nothing for a time no calendar has. */
export function iso(t_ms: number): string | undefined {
  return Math.abs(t_ms) <= DATE_MS_MAX ? new Date(t_ms).toISOString() : undefined;
}

/** The furthest moment a date can name; a device's clock may say anything. */
const DATE_MS_MAX = 8.64e15;

function formatted(t_ms: number, language: Language, options: Intl.DateTimeFormatOptions): string {
  if (!(Math.abs(t_ms) <= DATE_MS_MAX)) return NO_FIGURE;
  const key = language + JSON.stringify(options);
  let formatter = formatters.get(key);
  if (!formatter) {
    formatter = new Intl.DateTimeFormat(LOCALE[language], { hourCycle: 'h23', ...options });
    formatters.set(key, formatter);
  }
  return formatter.format(t_ms);
}

/** `14:02:11`. */
export function clock(t_ms: number, language: Language): string {
  return formatted(t_ms, language, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

/** `12 Mar 2026, 14:02:11`: the whole moment, for readouts and titles. */
export function moment(t_ms: number, language: Language): string {
  return formatted(t_ms, language, {
    year: 'numeric',
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
}

/** As short as stays clear: time only for today, date and time otherwise. */
export function stamp(t_ms: number, now_ms: number, language: Language): string {
  if (new Date(t_ms).toDateString() === new Date(now_ms).toDateString()) return clock(t_ms, language);
  const year: Intl.DateTimeFormatOptions =
    new Date(t_ms).getFullYear() === new Date(now_ms).getFullYear() ? {} : { year: 'numeric' };
  return formatted(t_ms, language, { ...year, month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
}

/** Below this length the ends of a range are told with their seconds. */
const SECONDS_MS_MAX = 10 * MINUTE;

/**
 * `28 Nov, 18:00 – 29 Nov, 18:00`: both ends as exact as each other, and the day only where it says something: once
 * where it is the same, not at all where it is today's. Whole days are told without a time: `28 Nov`, `28 Nov – 3 Dec`.
 */
export function rangeText({ from_ms, to_ms }: { from_ms: number; to_ms: number }, now_ms: number, language: Language): string {
  const whole = isMidnight(from_ms) && isMidnight(to_ms) && to_ms > from_ms;
  // The end is not part of the range: the last of whole days is the one before it.
  const last_ms = whole ? to_ms - 1 : to_ms;
  const oneDay = dayKey(from_ms) === dayKey(last_ms);
  const thisYear = [from_ms, last_ms].every((t_ms) => new Date(t_ms).getFullYear() === new Date(now_ms).getFullYear());
  const day: Intl.DateTimeFormatOptions = { month: 'short', day: 'numeric', ...(thisYear ? {} : { year: 'numeric' }) };
  if (whole) return oneDay ? formatted(from_ms, language, day) : `${formatted(from_ms, language, day)} – ${formatted(last_ms, language, day)}`;
  const time: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', ...(to_ms - from_ms < SECONDS_MS_MAX ? { second: '2-digit' } : {}) };
  const today = oneDay && dayKey(to_ms) === dayKey(now_ms);
  return `${formatted(from_ms, language, today ? time : { ...day, ...time })} – ${formatted(to_ms, language, oneDay ? time : { ...day, ...time })}`;
}

function isMidnight(t_ms: number): boolean {
  const at = new Date(t_ms);
  return at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0 && at.getMilliseconds() === 0;
}

/** Same for all moments of one day of this browser's zone. */
export function dayKey(t_ms: number): string {
  return new Date(t_ms).toDateString();
}

/** `Today`, `Yesterday`, `Tuesday 12 March`; with the year when it is another one. */
export function dayTitle(t_ms: number, now_ms: number, language: Language, today: string, yesterday: string): string {
  if (dayKey(t_ms) === dayKey(now_ms)) return today;
  const before = new Date(now_ms);
  before.setDate(before.getDate() - 1);
  if (dayKey(t_ms) === before.toDateString()) return yesterday;
  const year: Intl.DateTimeFormatOptions = new Date(t_ms).getFullYear() === new Date(now_ms).getFullYear() ? {} : { year: 'numeric' };
  return formatted(t_ms, language, { weekday: 'long', day: 'numeric', month: 'long', ...year });
}

const DAY_FORM = {
  short: { day: 'numeric', month: 'short' },
  year: { day: 'numeric', month: 'short', year: 'numeric' },
  long: { weekday: 'short', day: 'numeric', month: 'long', year: 'numeric' },
} as const satisfies Record<string, Intl.DateTimeFormatOptions>;

/** `12 Mar`, `12 Mar 2026`, `Thu, 12 March 2026` of `2026-03-12`. The day is one of a calendar, not a moment. */
export function dayText(day: string, language: Language, form: keyof typeof DAY_FORM): string {
  return formatted(Date.parse(`${day}T00:00:00Z`), language, { timeZone: 'UTC', ...DAY_FORM[form] });
}

/** `March 2026` of `2026-03`. */
export function monthText(month: string, language: Language): string {
  return formatted(Date.parse(`${month}-01T00:00:00Z`), language, { timeZone: 'UTC', month: 'short', year: 'numeric' });
}

/** A tick of a time axis: seconds only where ticks are that near, the date at midnight and on long ranges. */
export function axisTime(t_ms: number, range_ms: number, language: Language): string {
  const at = new Date(t_ms);
  if (range_ms <= 8 * MINUTE) return clock(t_ms, language);
  const midnight = at.getHours() === 0 && at.getMinutes() === 0;
  if (range_ms <= 2 * DAY && !midnight) return formatted(t_ms, language, { hour: '2-digit', minute: '2-digit' });
  if (range_ms <= 2 * DAY || range_ms <= 120 * DAY) {
    if (!midnight && range_ms <= 8 * DAY) return formatted(t_ms, language, { hour: '2-digit', minute: '2-digit' });
    return formatted(t_ms, language, { month: 'short', day: 'numeric' });
  }
  return at.getMonth() === 0 && at.getDate() === 1
    ? formatted(t_ms, language, { year: 'numeric' })
    : formatted(t_ms, language, at.getDate() === 1 ? { month: 'short' } : { month: 'short', day: 'numeric' });
}
