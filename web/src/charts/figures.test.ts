import { describe, expect, it } from 'vitest';
import { figureText, tickText } from './figures';

describe('a figure', () => {
  it.each([
    ['percent', 12.34, '12 %'],
    ['bytes', 4_238_622_720, '4.24 GB'],
    ['rate', 455, '455 B/s'],
    ['number', 1.5, '1.50'],
    ['celsius', 61.4, '61 °C'],
    ['number', 123_456, '123 k'],
    ['percent', null, '–'],
    ['rate', null, '–'],
    ['count', 12, '12'],
  ] as const)('%s %s is %s', (unit, value, text) => expect(figureText(unit, value)).toBe(text));
});

describe('a tick', () => {
  it.each([
    ['percent', 25, '25 %'],
    ['bytes', 2_500_000_000, '2.5 GB'],
    ['bytes', 10_000_000_000, '10 GB'],
    ['bytes', 0, '0'],
    ['rate', 100_000, '100 kB/s'],
    ['number', 0.25, '0.25'],
    ['number', 3, '3'],
    ['number', 20_000, '20 k'],
    ['count', 7_500_000, '7.5 M'],
    ['celsius', 50, '50 °C'],
  ] as const)('%s %s is %s', (unit, value, text) => expect(tickText(unit, value)).toBe(text));
});
