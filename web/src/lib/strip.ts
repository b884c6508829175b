/** The availability strip: what a device was during the last day, in cells of half an hour. Pure. */

import type { QueryAnswer } from '../api/model';

export const STRIP_MS = 24 * 3_600_000;
export const STRIP_CELLS = 48;

/** `part`: reported, but not all the time. `server`: nobody could know. `none`: nothing known, or not yet. */
export type Cell = 'up' | 'part' | 'down' | 'server' | 'none';

export interface Strip {
  cells: readonly Cell[];
  /** Share of the known time in which it reported, percent; null when nothing is known. */
  up_percent: number | null;
  /** How long it was away, milliseconds. */
  down_ms: number;
}

/** Away for less than this part of a cell still counts as up: a restart is not an outage. */
const PART_MIN = 0.1;
const DOWN_MIN = 0.9;

export function stripOf(answer: QueryAnswer, device: number, to_ms: number): Strip {
  const from_ms = to_ms - STRIP_MS;
  const width_ms = STRIP_MS / STRIP_CELLS;
  const seen = new Array<boolean>(STRIP_CELLS).fill(false);
  const down = new Array<number>(STRIP_CELLS).fill(0);
  const server = new Array<number>(STRIP_CELLS).fill(0);
  const column = answer.series.find((series) => series.device === device)?.avg ?? [];
  for (const [index, t_ms] of answer.t_ms.entries()) {
    if ((column[index] ?? null) === null) continue;
    // Steps of the answer are round, so one may reach over two cells.
    const start = Math.floor((t_ms - from_ms) / width_ms);
    const end = Math.ceil((t_ms + Math.max(answer.step_ms, 1) - from_ms) / width_ms);
    for (let cell = Math.max(start, 0); cell < Math.min(end, STRIP_CELLS); cell += 1) seen[cell] = true;
  }
  let down_ms = 0;
  for (const gap of answer.gaps) {
    if (gap.device !== device) continue;
    const amounts = gap.cause === 'device_offline' ? down : server;
    for (let cell = 0; cell < STRIP_CELLS; cell += 1) {
      const start = from_ms + cell * width_ms;
      const shared = Math.max(0, Math.min(gap.to_ms, start + width_ms) - Math.max(gap.from_ms, start));
      amounts[cell] = (amounts[cell] ?? 0) + shared / width_ms;
      if (amounts === down) down_ms += shared;
    }
  }
  const cells = seen.map((was, cell): Cell => {
    const away = down[cell] ?? 0;
    if (away >= DOWN_MIN || (!was && away >= PART_MIN)) return 'down';
    if (was) return away >= PART_MIN ? 'part' : 'up';
    return (server[cell] ?? 0) >= PART_MIN ? 'server' : 'none';
  });
  const known_ms = cells.filter((cell) => cell === 'up' || cell === 'part' || cell === 'down').length * width_ms;
  const up_percent = known_ms === 0 ? null : Math.max(0, 100 * (1 - down_ms / Math.max(known_ms, down_ms)));
  return { cells, up_percent, down_ms };
}

/** Neighbours that are alike, so that a day is drawn with a handful of shapes: `[cell, first, length]`. */
export function runsOf(cells: readonly Cell[]): [cell: Cell, first: number, length: number][] {
  const runs: [Cell, number, number][] = [];
  for (const [index, cell] of cells.entries()) {
    const last = runs.at(-1);
    if (last && last[0] === cell) last[2] += 1;
    else runs.push([cell, index, 1]);
  }
  return runs;
}
