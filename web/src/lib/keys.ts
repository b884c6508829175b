/** Keys of the page: what a key press means. Pure; `state/keys.ts` carries it out. */

export const PLACES = { o: 'overview', t: 'usage', l: 'logs', e: 'events', s: 'settings' } as const;
export type Place = (typeof PLACES)[keyof typeof PLACES];

export type Command = { do: 'go'; to: Place } | { do: 'search' } | { do: 'move'; by: 1 | -1 } | { do: 'help' };

/** After `g` the next key says where to; the wait for it ends after this, milliseconds. */
export const WAIT_MS_MAX = 1_200;

/** `since_g_ms`: time since `g` was pressed, null when it was not. */
export function commandFor(key: string, since_g_ms: number | null): { command: Command | null; g: boolean } {
  if (since_g_ms !== null && since_g_ms <= WAIT_MS_MAX) {
    const to = Object.entries(PLACES).find(([letter]) => letter === key)?.[1];
    if (to !== undefined) return { command: { do: 'go', to }, g: false };
  }
  switch (key) {
    case 'g':
      return { command: null, g: true };
    case '/':
      return { command: { do: 'search' }, g: false };
    case '?':
      return { command: { do: 'help' }, g: false };
    case 'j':
      return { command: { do: 'move', by: 1 }, g: false };
    case 'k':
      return { command: { do: 'move', by: -1 }, g: false };
    default:
      return { command: null, g: false };
  }
}
