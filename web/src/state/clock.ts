/** The server's clock, ticking once a second: ages and charts do not depend on how the browser's clock is set. */

import { onScopeDispose, readonly, ref, watch, type Ref } from 'vue';

/** A smaller difference is the network's delay, not a wrong clock. */
const SKEW_MS_MIN = 2_000;

let skew_ms = 0;
let users = 0;
let timer: ReturnType<typeof setInterval> | null = null;
const now = ref(Date.now());

export function serverNow(): number {
  return Date.now() + skew_ms;
}

export function noteServerTime(t_ms: number): void {
  const difference = t_ms - Date.now();
  skew_ms = Math.abs(difference) < SKEW_MS_MIN ? 0 : difference;
  now.value = serverNow();
}

export function useNow(): Readonly<Ref<number>> {
  users += 1;
  now.value = serverNow();
  timer ??= setInterval(() => (now.value = serverNow()), 1_000);
  onScopeDispose(() => {
    users -= 1;
    if (users > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  });
  return readonly(now);
}

/** Milliseconds since it was started, by the tick of `useNow`; that a clock is set meanwhile does not count. */
export function useStopwatch(): { elapsed_ms: Readonly<Ref<number>>; start: () => void } {
  const elapsed_ms = ref(0);
  let started_ms: number | null = null;
  watch(useNow(), () => {
    if (started_ms !== null) elapsed_ms.value = performance.now() - started_ms;
  });
  const start = (): void => {
    started_ms = performance.now();
    elapsed_ms.value = 0;
  };
  return { elapsed_ms: readonly(elapsed_ms), start };
}
