import { describe, expect, it } from 'vitest';
import type { UsageRow } from '../api/model';
import { GROUPS_MAX, daysBetween, usageBars, usageOption } from './usage';
import type { Palette } from './palette';

function row(day: string, model: string, tokens: number, cost_usd = 0): UsageRow {
  const cost = { reported_usd: cost_usd, price_table_usd: 0, default_usd: 0, unknown_tokens: 0 };
  const counts = { tokens, input: tokens, output: 0, cache_read: 0, cache_write: 0, messages: 1 };
  return { ...counts, cost_usd, cost, day, model, device: null, device_name: null, agent: null, provider: null };
}

describe('days', () => {
  it('are all of them, over a leap day and the end of summer time', () => {
    expect(daysBetween('2028-02-28', '2028-03-01')).toEqual(['2028-02-28', '2028-02-29', '2028-03-01']);
    expect(daysBetween('2026-10-24', '2026-10-26')).toHaveLength(3);
  });

  it('the wrong way round, or no days at all, are none', () => {
    expect(daysBetween('2026-02-02', '2026-02-01')).toEqual([]);
    expect(daysBetween('soon', 'later')).toEqual([]);
  });
});

describe('bars', () => {
  it('are stacked largest first, with days of nothing at zero', () => {
    const bars = usageBars([row('2026-11-01', 'small', 1), row('2026-11-03', 'large', 9), row('2026-11-01', 'large', 4)], 'model', 'tokens', '2026-11-01', '2026-11-03');
    expect(bars.buckets).toEqual(['2026-11-01', '2026-11-02', '2026-11-03']);
    expect(bars.groups.map(({ key, values, total }) => [key, values, total])).toEqual([
      ['large', [4, 0, 9], 13],
      ['small', [1, 0, 0], 1],
    ]);
  });

  it('of many groups have the small ones together', () => {
    const rows = Array.from({ length: GROUPS_MAX + 3 }, (_, index) => row('2026-11-01', `m${index}`, 100 - index));
    const { groups } = usageBars(rows, 'model', 'tokens', '2026-11-01', '2026-11-01');
    expect(groups).toHaveLength(GROUPS_MAX);
    expect(groups.at(-1)).toMatchObject({ key: null, total: 93 + 92 + 91 + 90 });
  });

  it('of a year are months', () => {
    const bars = usageBars([row('2026-01-31', 'a', 1), row('2026-01-02', 'a', 2), row('2026-12-31', 'a', 4)], 'model', 'tokens', '2026-01-01', '2026-12-31');
    expect(bars.buckets).toHaveLength(12);
    expect(bars.groups[0]?.values).toEqual([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]);
  });

  it('of cost leave out what cost nothing', () => {
    expect(usageBars([row('2026-11-01', 'free', 5)], 'model', 'cost', '2026-11-01', '2026-11-01').groups).toEqual([]);
  });
});

describe('the chart of usage', () => {
  it('names a model that looks like a template only as an id', () => {
    const palette = { 'chart-1': 'red', 'chart-grid': 'x', 'chart-label': 'y', font: 'z' } as unknown as Palette;
    const option = usageOption(usageBars([row('2026-11-01', '<b>{a}</b>', 5)], 'model', 'tokens', '2026-11-01', '2026-11-01'), palette, { tick: String, bucket: String });
    expect(option.series).toMatchObject([{ id: '<b>{a}</b>', type: 'bar', data: [5] }]);
    expect(JSON.stringify(option.series)).not.toContain('"name"');
  });
});
