/** Carries out what `lib/keys.ts` reads from the keyboard. */

import { commandFor, type Place } from '../lib/keys';

export interface KeyActions {
  go(to: Place): void;
  help(): void;
}

/** Listens until the returned function is called. */
export function startKeys(actions: KeyActions): () => void {
  let g_ms: number | null = null;

  function pressed(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target instanceof HTMLElement ? event.target : null;
    if (event.key === 'Escape' && target?.matches('[data-search]')) target.blur();
    // Whoever types means letters; a dialog is a place of its own.
    if (target?.closest('input, select, textarea, [contenteditable]') || document.querySelector('dialog[open]')) return;
    const { command, g } = commandFor(event.key, g_ms === null ? null : event.timeStamp - g_ms);
    g_ms = g ? event.timeStamp : null;
    if (command === null) return;
    event.preventDefault();
    switch (command.do) {
      case 'go':
        actions.go(command.to);
        break;
      case 'help':
        actions.help();
        break;
      case 'search':
        document.querySelector<HTMLElement>('[data-search]')?.focus();
        break;
      case 'move':
        move(command.by);
        break;
    }
  }

  document.addEventListener('keydown', pressed);
  return () => document.removeEventListener('keydown', pressed);
}

/** From one stop of the list to the next; from nowhere to the first one in sight. */
function move(by: 1 | -1): void {
  const stops = [...document.querySelectorAll<HTMLElement>('main [data-stop]')];
  const at = stops.findIndex((stop) => stop === document.activeElement);
  const next = at < 0 ? stops.find((stop) => stop.getBoundingClientRect().top > 0) : stops[at + by];
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: 'nearest' });
}
