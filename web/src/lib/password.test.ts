import { expect, it } from 'vitest';
import { passwordFault } from './password';

it.each([
  ['short', 'short', 'short'],
  ['long enough', 'long enough', null],
  ['long enough', 'long enougH', 'mismatch'],
  // Ten characters, though twice as many code units.
  ['🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑', '🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑', null],
  ['🔑🔑🔑🔑🔑🔑🔑🔑🔑', '🔑🔑🔑🔑🔑🔑🔑🔑🔑', 'short'],
])('%s, then %s: %s', (password, repeat, fault) => expect(passwordFault(password, repeat)).toBe(fault));
