import { describe, expect, it } from 'vitest';
import { array, decode, nullable, number, object, oneOf, recordOf, string, withDefault } from './decode';

const thing = object({
  id: number,
  name: string,
  tags: withDefault(array(string), () => []),
  seen: nullable(number),
});

function fault(value: unknown): string {
  try {
    decode(thing, value);
    return 'accepted';
  } catch (error) {
    return String(error);
  }
}

describe('a decoder', () => {
  it('takes what is right, fills what may be missing and ignores the rest', () => {
    expect(decode(thing, { id: 1, name: 'nas', later: true })).toEqual({ id: 1, name: 'nas', tags: [], seen: null });
  });

  it('says where something is wrong', () => {
    expect(fault({ id: '1', name: 'nas' })).toBe('DecodeError: id: expected a number, got string');
    expect(fault({ id: 1, name: 'nas', tags: ['a', 7] })).toBe('DecodeError: tags[1]: expected text, got number');
    expect(fault([])).toBe('DecodeError: answer: expected an object, got object');
    expect(fault(null)).toBe('DecodeError: answer: expected an object, got null');
  });

  it('refuses numbers that are none', () => {
    expect(fault({ id: Number.NaN, name: '' })).toContain('expected a number');
  });

  it('leaves out single bad entries of a record of readings', () => {
    expect(decode(recordOf(number), { a: 1, b: 'x', c: null })).toEqual({ a: 1 });
  });

  it('knows its words', () => {
    expect(decode(oneOf('on', 'off'), 'on')).toBe('on');
    expect(() => decode(oneOf('on', 'off'), 'of')).toThrow('expected on or off');
  });
});
