/** Which rows of a long list are worth being in the page: those in sight and some around them. */

/** Rows within this distance of the window are kept, so that scrolling meets no blank. */
export const AROUND_PX = 400;

/** Lists up to this length are in the page as a whole: the browser's own search finds everything. */
export const WHOLE_ROWS_MAX = 60;

export interface Rows {
  start: number;
  end: number;
}

/**
 * `top_px`: where the first row begins, seen from the window's upper edge (negative when scrolled
 * past). `pitch_px`: from one row to the next; 0 while nothing was measured yet.
 */
export function rowsInSight(count: number, top_px: number, window_px: number, pitch_px: number): Rows {
  if (count <= WHOLE_ROWS_MAX) return { start: 0, end: count };
  if (pitch_px <= 0) return { start: 0, end: WHOLE_ROWS_MAX };
  const start = Math.floor((-top_px - AROUND_PX) / pitch_px);
  const end = Math.ceil((-top_px + window_px + AROUND_PX) / pitch_px);
  const within = (row: number): number => Math.min(Math.max(row, 0), count);
  return { start: within(start), end: within(end) };
}
