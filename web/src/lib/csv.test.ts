import { describe, expect, it } from 'vitest';
import { csv, csvTime } from './csv';

describe('CSV', () => {
  it('quotes what would break a line or a cell', () => {
    expect(csv(['a', 'b'], [['x,y', 'say "hi"'], ['two\nlines', 1.5]])).toBe('\uFEFFa,b\r\n"x,y","say ""hi"""\r\n"two\nlines",1.5\r\n');
  });

  it.each(['=cmd|calc', '+1', '-2', '@sum(a1)'])('keeps %s from being run as a formula', (text) => {
    expect(csv(['a'], [[text]])).toBe(`\uFEFFa\r\n'${text}\r\n`);
  });

  it('leaves numbers alone and what is not known empty', () => {
    expect(csv(['a', 'b', 'c'], [[-3, null, NaN]])).toBe('\uFEFFa,b,c\r\n-3,,\r\n');
  });

  it('writes times that every program reads, and survives those no calendar has', () => {
    expect(csvTime(0)).toBe('1970-01-01T00:00:00.000Z');
    expect(csvTime(1e20)).toBe('100000000000000000000');
    expect(csvTime(null)).toBe('');
  });
});
