import { describe, expect, it } from 'vitest';
import { timeTicks } from './ticks';

function ticks(from: Date, to: Date, most: number): string[] {
  const two = (n: number): string => String(n).padStart(2, '0');
  return timeTicks({ from_ms: from.getTime(), to_ms: to.getTime() }, most).map((t_ms) => {
    const at = new Date(t_ms);
    return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  });
}

describe('ticks of a time axis', () => {
  it('of an hour are at round minutes', () => {
    expect(ticks(new Date(2026, 5, 1, 14, 3), new Date(2026, 5, 1, 15, 3), 4)).toEqual(['2026-06-01 14:15:00', '2026-06-01 14:30:00', '2026-06-01 14:45:00', '2026-06-01 15:00:00']);
  });

  it('of a day are at round hours, also past midnight', () => {
    expect(ticks(new Date(2026, 5, 1, 20), new Date(2026, 5, 2, 20), 5).map((text) => text.slice(8, 16))).toEqual(['02 00:00', '02 06:00', '02 12:00', '02 18:00']);
  });

  it('of some weeks are evenly apart over the end of a month', () => {
    const days = ticks(new Date(2026, 9, 25), new Date(2026, 10, 24), 16).map((text) => text.slice(5, 10));
    expect(days.slice(0, 6)).toEqual(['10-26', '10-28', '10-30', '11-01', '11-03', '11-05']);
    expect(days.every((_, index) => index === 0 || days[index] !== days[index - 1])).toBe(true);
  });

  it('of a year are the first of months, of ten years those of years', () => {
    expect(ticks(new Date(2025, 10, 24), new Date(2026, 10, 24), 14).map((text) => text.slice(0, 10)).slice(0, 3)).toEqual(['2025-12-01', '2026-01-01', '2026-02-01']);
    expect(ticks(new Date(2016, 3, 1), new Date(2026, 3, 1), 12).map((text) => text.slice(0, 10)).slice(0, 2)).toEqual(['2017-01-01', '2018-01-01']);
  });

  it('are never more than asked for, whatever the range', () => {
    for (let length_ms = 5_000; length_ms < 4e14; length_ms *= 1.7) {
      const from_ms = Date.UTC(2026, 2, 7, 3, 4, 5);
      const found = timeTicks({ from_ms, to_ms: from_ms + Math.round(length_ms) }, 10);
      expect(found.length, String(length_ms)).toBeLessThanOrEqual(11);
      expect(found.every((t_ms) => t_ms >= from_ms && t_ms <= from_ms + length_ms)).toBe(true);
    }
  });
});
