/** What pointer and keys do on a plot: a crosshair that all charts share, and a drag that zooms. */

import { computed, ref, type ComputedRef } from 'vue';
import { PLOT } from '../../charts/option';
import type { Place } from '../../charts/place';
import type { Span } from '../../charts/table';
import { ZOOM_MS_MIN } from '../../lib/range';

/** A pointer that moved less has clicked, not dragged. */
const DRAG_PX_MIN = 6;
/** Presses of an arrow key from one end of a chart to the other. */
const KEY_STEPS = 120;

export interface PlotPointer {
  /** Where it is, when it is over this plot and not over another one. */
  x: ComputedRef<number | null>;
  dragging: ComputedRef<boolean>;
  /** The part that is being dragged over. */
  selection: ComputedRef<{ left: string; width: string } | null>;
  moved(event: PointerEvent): void;
  pressed(event: PointerEvent): void;
  released(): void;
  keyed(event: KeyboardEvent): void;
  left(): void;
  cancelled(): void;
}

interface Plot {
  element: () => HTMLElement | null;
  span: () => Span;
  place: () => Place;
  /** The time all charts point at. */
  hover: () => number | null;
  point(t_ms: number | null): void;
  zoom(span: Span): void;
}

export function usePlotPointer(plot: Plot): PlotPointer {
  const x = ref<number | null>(null);
  const drag = ref<{ from: number; to: number } | null>(null);

  function within(event: PointerEvent): number {
    const at = event.clientX - (plot.element()?.getBoundingClientRect().left ?? 0);
    return Math.min(Math.max(at, PLOT.left), PLOT.left + plot.place().inner);
  }

  function left(): void {
    x.value = null;
    plot.point(null);
  }

  return {
    x: computed(() => x.value),
    dragging: computed(() => drag.value !== null),
    selection: computed(() => {
      if (drag.value === null) return null;
      const { from, to } = drag.value;
      return { left: `${Math.min(from, to)}px`, width: `${Math.abs(to - from)}px` };
    }),
    moved(event) {
      const at = within(event);
      x.value = at;
      if (drag.value) drag.value = { from: drag.value.from, to: at };
      plot.point(plot.place().time(at));
    },
    pressed(event) {
      if (event.button !== 0) return;
      plot.element()?.setPointerCapture(event.pointerId);
      const at = within(event);
      drag.value = { from: at, to: at };
    },
    released() {
      const done = drag.value;
      drag.value = null;
      if (!done || Math.abs(done.to - done.from) < DRAG_PX_MIN) return;
      const { time } = plot.place();
      const span = { from_ms: time(Math.min(done.from, done.to)), to_ms: time(Math.max(done.from, done.to)) };
      if (span.to_ms - span.from_ms >= ZOOM_MS_MIN) plot.zoom(span);
    },
    /** Arrow keys move the crosshair; Escape takes it away. */
    keyed(event) {
      if (event.key === 'Escape') left();
      if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
      event.preventDefault();
      const { from_ms, to_ms } = plot.span();
      const step_ms = (to_ms - from_ms) / KEY_STEPS;
      const at = (plot.hover() ?? to_ms) + (event.key === 'ArrowLeft' ? -step_ms : step_ms);
      const t_ms = Math.min(Math.max(at, from_ms), to_ms);
      x.value = plot.place().x(t_ms);
      plot.point(Math.round(t_ms));
    },
    left,
    cancelled() {
      drag.value = null;
      left();
    },
  };
}
