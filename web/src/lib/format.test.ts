import { describe, expect, it } from 'vitest';
import { bytes, coarseSpan, compact, money, percent, percentText, rangeText, rate, span, stopwatch } from './format';

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [4_238_622_720, '4.24 GB'],
    [41_230_000, '41.2 MB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [-2048, '-2.05 kB'],
    [null, '–'],
    [undefined, '–'],
    [Number.NaN, '–'],
  ])('%s is %s', (value, text) => expect(bytes(value)).toBe(text));

  it('per second say so, unknown ones do not', () => {
    expect(rate(652_000)).toBe('652 kB/s');
    expect(rate(null)).toBe('–');
  });
});

describe('percent', () => {
  it.each([
    [0, '0.0'],
    [9.94, '9.9'],
    [9.96, '10'],
    [64.6, '65'],
    [null, '–'],
  ])('%s is %s', (value, text) => expect(percent(value)).toBe(text));
});

describe('large counts', () => {
  it.each([
    [0, '0'],
    [999, '999'],
    [1_420_000, '1.42 M'],
    [96_412_000, '96.4 M'],
    [999_600, '1.00 M'],
    [2_500_000_000, '2.50 G'],
  ])('%s is %s', (value, text) => expect(compact(value)).toBe(text));

  it('of money have cents, and say when it is less than one', () => {
    expect(money(4.1, 'en')).toBe('$4.10');
    expect(money(1234.5, 'zh')).toBe('$1,234.50');
    expect(money(0.001, 'en')).toBe('<$0.01');
    expect(money(0, 'en')).toBe('$0.00');
  });

  it('of a share never round up to all', () => {
    expect(percentText(99.97, 'en')).toBe('99.9 %');
    expect(percentText(100, 'zh')).toBe('100 %');
    expect(percentText(0, 'en')).toBe('0 %');
  });
});

describe('spans', () => {
  const M = 60_000;
  const H = 60 * M;
  it.each([
    [-5, '0 s', '0 秒'],
    [59_999, '59 s', '59 秒'],
    [M, '1 min', '1 分钟'],
    [H, '1 h', '1 小时'],
    [H + 5 * M, '1 h 5 min', '1 小时 5 分钟'],
    [12 * H + 5 * M, '12 h', '12 小时'],
    [76 * H, '3 d 4 h', '3 天 4 小时'],
    [240 * H, '10 d', '10 天'],
  ])('%s ms is %s', (ms, en, zh) => {
    expect(span(ms, 'en')).toBe(en);
    expect(span(ms, 'zh')).toBe(zh);
  });

  it('in narrow places have one unit', () => expect(coarseSpan(76 * H, 'en')).toBe('3 d'));

  it('run as a clock', () => {
    expect(stopwatch(127_900)).toBe('02:07');
    expect(stopwatch(H + 2 * M + 7_000)).toBe('1:02:07');
  });
});

describe('ranges', () => {
  const at = (text: string): number => new Date(text).getTime();
  const now = at('2026-11-29T18:00:00');
  it.each([
    ['2026-11-29T16:30:00', '2026-11-29T18:00:00', '16:30 – 18:00'],
    ['2026-11-29T17:58:05', '2026-11-29T18:00:00', '17:58:05 – 18:00:00'],
    ['2026-11-28T18:00:00', '2026-11-29T18:00:00', '28 Nov, 18:00 – 29 Nov, 18:00'],
    ['2026-11-28T09:00:00', '2026-11-28T18:00:00', '28 Nov, 09:00 – 18:00'],
    ['2025-11-29T18:00:00', '2026-11-29T18:00:00', '29 Nov 2025, 18:00 – 29 Nov 2026, 18:00'],
    ['2026-11-28T00:00:00', '2026-11-29T00:00:00', '28 Nov'],
    ['2026-11-22T00:00:00', '2026-11-29T00:00:00', '22 Nov – 28 Nov'],
  ])('from %s to %s are told alike at both ends: %s', (from, to, text) => expect(rangeText({ from_ms: at(from), to_ms: at(to) }, now, 'en')).toBe(text));

  it('are Chinese in Chinese', () =>
    expect(rangeText({ from_ms: at('2026-11-28T18:00:00'), to_ms: at('2026-11-29T18:00:00') }, now, 'zh')).toBe('11月28日 18:00 – 11月29日 18:00'));
});
