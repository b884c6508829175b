import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { effectScope, nextTick } from 'vue';
import { noteServerTime, useStopwatch } from './clock';

describe('a stopwatch', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('counts from its start and does not jump when the clock is set', async () => {
    const scope = effectScope();
    const stopwatch = scope.run(useStopwatch);
    if (stopwatch === undefined) throw new Error('the scope is active');
    const { elapsed_ms, start } = stopwatch;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(elapsed_ms.value).toBe(0);
    start();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(elapsed_ms.value).toBe(3_000);
    noteServerTime(Date.now() - 3_600_000);
    await nextTick();
    expect(elapsed_ms.value).toBe(3_000);
    start();
    expect(elapsed_ms.value).toBe(0);
    scope.stop();
  });
});
