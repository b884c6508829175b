import { describe, expect, it } from 'vitest';
import { anyConcern, concernsOf } from './concerns';

describe('concerns', () => {
  it('are what is counted above zero', () => {
    expect(concernsOf({ cron_failing: 2, cron_late: 0, deliveries_dead: 1, cron_jobs: 6 }).counts).toEqual([
      { concern: 'cron_failing', n: 2 },
      { concern: 'deliveries_dead', n: 1 },
    ]);
  });

  it('of a clock begin at five seconds, either way', () => {
    expect([4_999, 5_000, -60_000].map((clock_offset_ms) => concernsOf({ clock_offset_ms }).clock_ms)).toEqual([null, 5_000, -60_000]);
  });

  it('of disk and memory begin at ninety percent', () => {
    const { disk, memory } = concernsOf({ memory_percent: 90, disk_percent: 89.9, 'disk_used{mount="/data"}': 95, 'disk_total{mount="/data"}': 100 });
    expect([disk, memory]).toEqual([{ mount: '/data', percent: 95 }, 90]);
  });

  it('of nothing are none', () => {
    expect(concernsOf({})).toEqual({ counts: [], clock_ms: null, spool_bytes: null, disk: null, memory: null });
    expect(anyConcern(concernsOf({}))).toBe(false);
    expect(anyConcern(concernsOf({ pairings_pending: 1 }))).toBe(true);
  });
});
