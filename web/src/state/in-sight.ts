/** Keeps only those items of a long list in the page that are in the window or near it. */

import { computed, nextTick, onBeforeUnmount, onMounted, ref, watch, type ComputedRef, type Ref } from 'vue';
import { rowsInSight, type Rows } from '../lib/window';

export interface InSight {
  /** First and last item that are in the page. */
  items: ComputedRef<Rows>;
  /** Room for the others, so that the scroll bar tells the truth. */
  space: ComputedRef<{ paddingTop: string; paddingBottom: string }>;
}

/** `body` holds the items, all of one height, `perRow` beside each other. */
export function useInSight(body: Readonly<Ref<HTMLElement | null>>, count: () => number, perRow: () => number = () => 1): InSight {
  const pitch_px = ref(0);
  const lines = (): number => Math.ceil(count() / perRow());
  const rows = ref<Rows>(rowsInSight(lines(), 0, window.innerHeight, 0));

  function look(): void {
    if (!body.value) return;
    const first = body.value.children[0];
    const below = body.value.children[perRow()];
    // It changes when the window or the form of the list does.
    if (first && below) pitch_px.value = below.getBoundingClientRect().top - first.getBoundingClientRect().top;
    const next = rowsInSight(lines(), body.value.getBoundingClientRect().top, window.innerHeight, pitch_px.value);
    if (next.start !== rows.value.start || next.end !== rows.value.end) rows.value = next;
  }

  let frame = 0;
  function lookSoon(): void {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(look);
  }

  watch([count, perRow], () => void nextTick(look));
  onMounted(() => {
    look();
    window.addEventListener('scroll', lookSoon, { passive: true });
    window.addEventListener('resize', lookSoon, { passive: true });
  });
  onBeforeUnmount(() => {
    cancelAnimationFrame(frame);
    window.removeEventListener('scroll', lookSoon);
    window.removeEventListener('resize', lookSoon);
  });

  return {
    items: computed(() => ({ start: rows.value.start * perRow(), end: Math.min(rows.value.end * perRow(), count()) })),
    space: computed(() => ({
      paddingTop: `${rows.value.start * pitch_px.value}px`,
      paddingBottom: `${Math.max(0, lines() - rows.value.end) * pitch_px.value}px`,
    })),
  };
}
