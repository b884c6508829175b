import { describe, expect, it } from 'vitest';
import { RANGES, rangeBounds, rangeFromQuery, rangeToQuery, refreshMs, type Range } from './range';

describe('a range in the address bar', () => {
  it('comes back as it was written', () => {
    const ranges: Range[] = [
      ...RANGES.map((name): Range => ({ name, zoom: null })),
      { name: '30d', zoom: { from_ms: 1_000_000, to_ms: 2_000_000 } },
    ];
    for (const range of ranges) expect(rangeFromQuery(rangeToQuery(range))).toEqual(range);
  });

  it.each([
    [{ range: '2y' }, '1h'],
    [{ range: ['7d', '1h'] }, '1h'],
    [{ range: '7d', from: '5', to: 'x' }, '7d'],
    [{ from: '-5', to: '90000' }, '1h'],
    [{ from: '90000', to: '5' }, '1h'],
    [{ from: '0', to: '4999' }, '1h'],
  ])('%j is not a zoom', (query, name) => expect(rangeFromQuery(query)).toEqual({ name, zoom: null }));
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
