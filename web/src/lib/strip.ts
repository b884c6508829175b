/** The availability strip: what a device was during the last day. Pure. */

/** What a slot's letter stands for; a letter of a newer server is nothing this page knows. */
const LETTERS = { o: 'up', d: 'degraded', i: 'part', x: 'down', '-': 'none' } as const;

/** `degraded`: there, with something wrong. `part`: silent for a part. `none`: nothing known. */
export type Slot = (typeof LETTERS)[keyof typeof LETTERS];

export interface Strip {
  slots: readonly Slot[];
  /** Share of the known time in which it reported, percent; null when nothing is known. */
  up_percent: number | null;
}

export function stripOf(letters: string, up_percent: number | null): Strip {
  const slots = [...letters].map((letter): Slot => (letter in LETTERS ? LETTERS[letter as keyof typeof LETTERS] : 'none'));
  return { slots, up_percent };
}

/** How many slots were so. */
export function slotsOf(strip: Strip, ...kinds: readonly Slot[]): number {
  return strip.slots.filter((slot) => kinds.includes(slot)).length;
}

/** Neighbours that are alike, so that a day is drawn with a handful of shapes: `[slot, first, length]`. */
export function runsOf(slots: readonly Slot[]): [slot: Slot, first: number, length: number][] {
  const runs: [Slot, number, number][] = [];
  for (const [index, slot] of slots.entries()) {
    const last = runs.at(-1);
    if (last && last[0] === slot) last[2] += 1;
    else runs.push([slot, index, 1]);
  }
  return runs;
}
