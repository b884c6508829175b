/** Token usage as stacked bars: from rows to named, coloured groups over days or months. Pure. */

import type { UsageRow } from '../api/model';
import type { ChartOption } from './echarts';
import { PLOT } from './option';
import type { ColourName, Palette } from './palette';
import { LINE_COLOURS, lineColour } from './palette';

export const DIMENSIONS = ['model', 'device', 'agent', 'provider'] as const;
export type Dimension = (typeof DIMENSIONS)[number];
export type Measure = 'tokens' | 'cost';

/** More groups than there are colours to tell apart are one group. */
export const GROUPS_MAX = LINE_COLOURS.length;
/** A longer range is shown by months: narrower bars could not be read. */
export const DAYS_MAX = 200;

export interface Group {
  /** What the rows have in common; null: all the small ones together. */
  key: string | null;
  colour: ColourName;
  /** One for each bucket. */
  values: number[];
  total: number;
}

export interface Bars {
  /** `2026-11-24`, or `2026-11` where bars are months. */
  buckets: string[];
  groups: Group[];
}

export function keyOf(row: UsageRow, by: Dimension): string {
  return by === 'device' ? String(row.device ?? '') : (row[by] ?? '');
}

export function amountOf(figures: { tokens: number; cost_usd: number }, measure: Measure): number {
  return measure === 'tokens' ? figures.tokens : figures.cost_usd;
}

/** `from` and `to` are days, both included. */
export function usageBars(rows: readonly UsageRow[], by: Dimension, measure: Measure, from: string, to: string): Bars {
  const days = daysBetween(from, to);
  const months = days.length > DAYS_MAX;
  const bucketOf = (day: string): string => (months ? day.slice(0, 7) : day);
  const buckets = [...new Set(days.map(bucketOf))];
  const place = new Map(buckets.map((bucket, index) => [bucket, index]));
  const sums = new Map<string, { values: number[]; total: number }>();
  for (const row of rows) {
    const index = place.get(bucketOf(row.day ?? ''));
    if (index === undefined) continue;
    const key = keyOf(row, by);
    const sum = sums.get(key) ?? { values: buckets.map(() => 0), total: 0 };
    const amount = amountOf(row, measure);
    sum.values[index] = (sum.values[index] ?? 0) + amount;
    sum.total += amount;
    sums.set(key, sum);
  }
  const sorted = [...sums].sort(([a, left], [b, right]) => right.total - left.total || a.localeCompare(b)).filter(([, sum]) => sum.total > 0);
  // One group alone in "others" would be a group without its name.
  const shown = sorted.length > GROUPS_MAX ? GROUPS_MAX - 1 : sorted.length;
  const groups: Group[] = sorted.slice(0, shown).map(([key, sum], index) => ({ key, colour: lineColour(index), ...sum }));
  if (sorted.length > shown) {
    const rest: Group = { key: null, colour: 'chart-rest', values: buckets.map(() => 0), total: 0 };
    for (const [, sum] of sorted.slice(shown)) {
      rest.total += sum.total;
      sum.values.forEach((value, index) => (rest.values[index] = (rest.values[index] ?? 0) + value));
    }
    groups.push(rest);
  }
  return { buckets, groups };
}

/** Longest range drawn: a mistyped year must not make a million bars. */
const RANGE_DAYS_MAX = 40 * 366;

/** Every day from the first to the last; empty where they are no days. */
export function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  const last = Date.parse(`${to}T00:00:00Z`);
  for (let at = Date.parse(`${from}T00:00:00Z`); at <= last && days.length < RANGE_DAYS_MAX; at += 86_400_000) days.push(new Date(at).toISOString().slice(0, 10));
  return days;
}

export interface BarTexts {
  tick: (value: number) => string;
  bucket: (bucket: string) => string;
}

/** A bar is no wider than this, however few there are. */
const BAR_PX_MAX = 34;

export function usageOption(bars: Bars, palette: Palette, texts: BarTexts): ChartOption {
  const label = { color: palette['chart-label'], fontFamily: palette.font, fontSize: 11 };
  return {
    animation: false,
    grid: { ...PLOT, outerBoundsMode: 'none' },
    xAxis: {
      type: 'category',
      data: bars.buckets,
      axisLine: { lineStyle: { color: palette['chart-grid'] } },
      axisTick: { show: false },
      axisLabel: { ...label, hideOverlap: true, formatter: (bucket: string) => texts.bucket(bucket) },
    },
    yAxis: {
      type: 'value',
      min: 0,
      splitNumber: 4,
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { ...label, formatter: (value: number) => texts.tick(value) },
      splitLine: { lineStyle: { color: palette['chart-grid'] } },
    },
    series: bars.groups.map((group) => ({
      type: 'bar',
      id: group.key ?? 'others',
      stack: 'all',
      silent: true,
      barMaxWidth: BAR_PX_MAX,
      barCategoryGap: '28%',
      data: group.values,
      itemStyle: { color: palette[group.colour] },
    })),
  };
}
