import { describe, expect, it } from 'vitest';
import { runsOf, slotsOf, stripOf } from './strip';

function text(letters: string): string {
  return runsOf(stripOf(letters, null).slots)
    .map(([slot, , length]) => `${slot} ${length}`)
    .join(', ');
}

describe('the strip of a day', () => {
  it.each([
    ['o'.repeat(96), 'up 96'],
    ['----oo', 'none 4, up 2'],
    ['ooddixxo', 'up 2, degraded 2, part 1, down 2, up 1'],
    ['', ''],
  ])('%s is %s', (letters, runs) => expect(text(letters)).toBe(runs));

  it('takes a letter of a newer server as unknown', () => expect(text('o?o')).toBe('up 1, none 1, up 1'));

  it('tells how long it was so', () => {
    const strip = stripOf('ooddixxo', 70);
    expect([slotsOf(strip, 'degraded'), slotsOf(strip, 'down', 'part')]).toEqual([2, 3]);
  });
});
