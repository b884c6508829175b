import { describe, expect, it } from 'vitest';
import { PRESETS, daysOf, daysTyped, todayIn } from './usage-range';

describe('the days of usage', () => {
  it('end today and begin as the name says', () => {
    expect(PRESETS.map((preset) => `${preset} ${daysOf(preset, '2026-03-01').from ?? 'first'}`)).toEqual([
      '7d 2026-02-23',
      '30d 2026-01-31',
      '90d 2025-12-02',
      'month 2026-03-01',
      'year 2026-01-01',
      'all first',
    ]);
  });

  it('of today depend on the zone', () => {
    const at = Date.UTC(2026, 10, 24, 23, 30);
    expect([todayIn('UTC', at), todayIn('Asia/Shanghai', at), todayIn('Not/AZone', at)]).toEqual(['2026-11-24', '2026-11-25', '2026-11-24']);
  });

  it.each([
    ['2026-01-01', '2026-01-01', true],
    ['2016-01-01', '2026-01-01', true],
    ['2026-01-02', '2026-01-01', false],
    ['2026-02-30', '2026-03-01', false],
    ['1', '2', false],
    [undefined, '2026-01-01', false],
  ])('typed as %s to %s: %s', (from, to, good) => expect(daysTyped(from, to) !== null).toBe(good));
});
