/** How long things are kept, while somebody types it: text, until it is looked at. Pure. */

import type { Retention } from '../api/model';

const GB = 1_000_000_000;
/** The server's bounds. */
const DAYS_MAX = 36_500;
const BYTES_MIN = 1_000_000;
const BYTES_MAX = 1_000_000_000_000_000;

export interface KeepLine {
  kind: string;
  days: string;
  /** Gigabytes; empty: no bound. */
  gigabytes: string;
}

export function keepLines(retention: readonly Retention[]): KeepLine[] {
  return retention.map(({ kind, keep_days, keep_bytes }) => ({ kind, days: String(keep_days), gigabytes: keep_bytes === null ? '' : String(keep_bytes / GB) }));
}

export type KeepEdit = Record<string, { days?: number; bytes?: number | null }>;

/** Only what was changed; `faults` names each place as `raw days`. */
export function readKeeps(lines: readonly KeepLine[], retention: readonly Retention[]): { edit: KeepEdit; faults: ReadonlySet<string> } {
  const edit: KeepEdit = {};
  const faults = new Set<string>();
  for (const line of lines) {
    const now = retention.find((one) => one.kind === line.kind);
    if (!now) continue;
    const days = /^\d{1,5}$/.test(line.days.trim()) ? Number(line.days) : NaN;
    if (!(days >= 1 && days <= DAYS_MAX)) faults.add(`${line.kind} days`);
    const bytes = bytesOf(line.gigabytes);
    if (bytes === undefined) faults.add(`${line.kind} bytes`);
    const changed = {
      ...(days !== now.keep_days && !now.days_fixed ? { days } : {}),
      ...(bytes !== undefined && bytes !== now.keep_bytes && !now.bytes_fixed && line.kind !== 'events' ? { bytes } : {}),
    };
    if (Object.keys(changed).length > 0) edit[line.kind] = changed;
  }
  return { edit, faults };
}

/** Null: no bound; undefined: not an amount the server takes. */
function bytesOf(gigabytes: string): number | null | undefined {
  const plain = gigabytes.trim().replace(',', '.');
  if (plain === '') return null;
  const bytes = /^\d+(\.\d+)?$/.test(plain) ? Math.round(Number(plain) * GB) : NaN;
  return bytes >= BYTES_MIN && bytes <= BYTES_MAX ? bytes : undefined;
}
