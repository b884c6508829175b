import { describe, expect, it } from 'vitest';
import { PLACES, WAIT_MS_MAX, commandFor } from './keys';

describe('keys', () => {
  it('g and a letter lead to a page', () => {
    for (const [letter, to] of Object.entries(PLACES)) {
      expect(commandFor('g', null)).toEqual({ command: null, g: true });
      expect(commandFor(letter, 300)).toEqual({ command: { do: 'go', to }, g: false });
    }
  });

  it('a letter alone, or too late, does nothing', () => {
    expect(commandFor('o', null).command).toBeNull();
    expect(commandFor('o', WAIT_MS_MAX + 1).command).toBeNull();
    expect(commandFor('x', 10)).toEqual({ command: null, g: false });
  });

  it('move, search and help are single keys, also right after g', () => {
    expect(commandFor('j', null).command).toEqual({ do: 'move', by: 1 });
    expect(commandFor('k', 50).command).toEqual({ do: 'move', by: -1 });
    expect(commandFor('/', null).command).toEqual({ do: 'search' });
    expect(commandFor('?', null).command).toEqual({ do: 'help' });
  });
});
