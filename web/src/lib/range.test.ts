import { describe, expect, it } from 'vitest';
import { RANGES, rangeTyped, typedTime, rangeBounds, rangeFromQuery, rangeSilent, rangeToQuery, refreshMs, type Range } from './range';

describe('a range in the address bar', () => {
  it('comes back as it was written', () => {
    const ranges: Range[] = [
      ...RANGES.map((name): Range => ({ name, zoom: null })),
      { name: '30d', zoom: { from_ms: 1_000_000, to_ms: 2_000_000 } },
    ];
    for (const range of ranges) {
      expect(rangeFromQuery(rangeToQuery(range))).toEqual(range);
      expect(rangeFromQuery(rangeToQuery(range, '7d'), '7d')).toEqual(range);
    }
  });

  it.each([
    [60_000, '1h'],
    [31 * 60_000, '6h'],
    [3 * 3_600_000, '6h'],
    [3 * 3_600_000 + 1, '24h'],
    [40 * 86_400_000, '90d'],
    [900 * 86_400_000, '1y'],
  ])('of a device silent for %d ms is %s', (silence_ms, name) => expect(rangeSilent(silence_ms)).toBe(name));

  it.each([
    [{ range: '2y' }, '1h'],
    [{ range: ['7d', '1h'] }, '1h'],
    [{ range: '7d', from: '5', to: 'x' }, '7d'],
    [{ from: '-5', to: '90000' }, '1h'],
    [{ from: '90000', to: '5' }, '1h'],
    [{ from: '0', to: '4999' }, '1h'],
  ])('%j is not a zoom', (query, name) => expect(rangeFromQuery(query)).toEqual({ name, zoom: null }));
});

describe('a typed range', () => {
  it('is two moments of this browser, the first one first', () => {
    const from_ms = new Date(2026, 2, 12, 14, 2).getTime();
    expect(rangeTyped('2026-03-12T14:02', '2026-03-12T14:03')).toEqual({ from_ms, to_ms: from_ms + 60_000 });
    expect(typedTime(from_ms)).toBe('2026-03-12T14:02');
  });

  it('may be ten years long', () => expect(rangeTyped('2016-01-01T00:00', '2026-01-01T00:00')).not.toBeNull());

  it.each([
    ['', '2026-01-01T00:00'],
    ['2026-01-01T00:00', '2026-01-01T00:00'],
    ['2026-01-02T00:00', '2026-01-01T00:00'],
    ['1900-01-01T00:00', '2026-01-01T00:00'],
    ['2026-01-01T00:00', '99999-01-01T00:00'],
    ['then', 'now'],
  ])('from %j to %j is none', (from, to) => expect(rangeTyped(from, to)).toBeNull());
});

describe('bounds', () => {
  it('end now unless zoomed', () => {
    expect(rangeBounds({ name: '1h', zoom: null }, 3_600_005)).toEqual({ from_ms: 5, to_ms: 3_600_005 });
    expect(rangeBounds({ name: '1h', zoom: { from_ms: 1, to_ms: 9 } }, 3_600_005)).toEqual({ from_ms: 1, to_ms: 9 });
  });
});

describe('refreshing', () => {
  it('is as slow as a point is wide, within limits, and never in a zoom', () => {
    expect(refreshMs({ name: '15m', zoom: null }, 900)).toBe(10_000);
    expect(refreshMs({ name: '24h', zoom: null }, 900)).toBe(96_000);
    expect(refreshMs({ name: '1y', zoom: null }, 900)).toBe(300_000);
    expect(refreshMs({ name: '1y', zoom: { from_ms: 0, to_ms: 9_000 } }, 900)).toBeNull();
  });
});
