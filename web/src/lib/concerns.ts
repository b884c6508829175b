/** Quiet troubles: what a device counts but does not go offline over. Pure. */

import type { Values } from '../api/model';
import { fullestDisk, memoryPercent } from './metric';

export const CONCERNS = ['cron_failing', 'cron_late', 'pairings_pending', 'approvals_pending', 'deliveries_dead'] as const;
export type Concern = (typeof CONCERNS)[number];

/** What the concerns are read from. */
export const CONCERN_METRICS = [...CONCERNS, 'clock_offset_ms', 'spool_bytes'] as const;

/** A disk or memory this full (percent) stops something soon. */
export const FULL_PERCENT = 90;

/** A clock this wrong puts events in the wrong order. */
export const CLOCK_MS_MIN = 5_000;
/** Reports waiting on the device for less than this are the normal rhythm. */
const SPOOL_BYTES_MIN = 1_000_000;

export interface Concerns {
  /** How full what is nearly full is, percent; null when there is room. */
  disk: { mount: string | null; percent: number } | null;
  memory: number | null;
  counts: { concern: Concern; n: number }[];
  /** What would have to be added to the device's clock (positive: it is behind), milliseconds; null when it is right. */
  clock_ms: number | null;
  /** What waits on the device's disk, bytes; null when it is not worth a word. */
  spool_bytes: number | null;
}

export function concernsOf(latest: Values): Concerns {
  const clock = latest['clock_offset_ms'];
  const spool = latest['spool_bytes'];
  const disk = fullestDisk(latest);
  const memory = memoryPercent(latest);
  return {
    disk: disk?.percent !== null && disk?.percent !== undefined && disk.percent >= FULL_PERCENT ? { mount: disk.mount, percent: disk.percent } : null,
    memory: memory !== null && memory >= FULL_PERCENT ? memory : null,
    counts: CONCERNS.flatMap((concern) => {
      const n = latest[concern];
      return n !== undefined && n > 0 ? [{ concern, n: Math.round(n) }] : [];
    }),
    clock_ms: clock !== undefined && Math.abs(clock) >= CLOCK_MS_MIN ? clock : null,
    spool_bytes: spool !== undefined && spool >= SPOOL_BYTES_MIN ? spool : null,
  };
}

export function anyConcern({ counts, clock_ms, spool_bytes, disk, memory }: Concerns): boolean {
  return counts.length > 0 || clock_ms !== null || spool_bytes !== null || disk !== null || memory !== null;
}
