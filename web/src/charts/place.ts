/** Between moments and pixels of a plot. Pure. */

import { PLOT } from './option';
import type { Span } from './table';

export interface Place {
  /** Width of the time axis, pixels. */
  readonly inner: number;
  x(t_ms: number): number;
  /** The moment at a pixel; beyond an end it is that end. */
  time(x: number): number;
}

export function placeOf(span: Span, width_px: number): Place {
  const inner = Math.max(1, width_px - PLOT.left - PLOT.right);
  const length_ms = span.to_ms - span.from_ms;
  return {
    inner,
    x: (t_ms) => PLOT.left + ((t_ms - span.from_ms) / length_ms) * inner,
    time: (x) => Math.round(span.from_ms + Math.min(Math.max((x - PLOT.left) / inner, 0), 1) * length_ms),
  };
}
