/** Which log lines are shown, and how the address says it. Pure. */

import { LOG_LEVELS, type Log, type LogLevel } from '../api/model';

export const SINCE = ['1h', '24h', '7d', '30d'] as const;
export type Since = (typeof SINCE)[number];

const SINCE_MS: Record<Since, number> = { '1h': 3_600_000, '24h': 86_400_000, '7d': 7 * 86_400_000, '30d': 30 * 86_400_000 };

export interface LogFilter {
  q: string;
  /** Empty: of every device. */
  device: string;
  /** At least this bad; empty: every level. */
  level: LogLevel | '';
  since: Since | '';
  /** Lines up to this moment instead of the newest. */
  at: number | null;
  /** Only lines that say the same. */
  group: string | null;
}

type Query = Record<string, unknown>;

export function logFilterFrom(query: Query): LogFilter {
  const text = (name: string): string => (typeof query[name] === 'string' ? query[name] : '');
  return {
    q: text('q').slice(0, SEARCH_CHARS_MAX),
    device: /^\d{1,15}$/.test(text('device')) ? text('device') : '',
    level: LOG_LEVELS.find((level) => level === text('level')) ?? '',
    since: SINCE.find((since) => since === text('since')) ?? '',
    at: /^\d{1,15}$/.test(text('at')) ? Number(text('at')) : null,
    group: /^[0-9a-f]{16}$/.test(text('group')) ? text('group') : null,
  };
}

/** The server takes no longer text. */
export const SEARCH_CHARS_MAX = 200;

/** As the server is asked. */
export function logParameters(filter: LogFilter, now_ms: number): Record<string, string | number | null> {
  const { q, device, level, since, at } = filter;
  return {
    q,
    device,
    level,
    from_ms: since === '' ? null : now_ms - SINCE_MS[since],
    // `to_ms` is not part of the range, and the line at that moment is what was asked for.
    to_ms: at === null ? null : at + 1,
  };
}

/** Whether a line of the live feed belongs to what is shown. */
export function passes(filter: LogFilter, log: Log): boolean {
  return (
    LOG_LEVELS.indexOf(log.level) >= LOG_LEVELS.indexOf(filter.level || 'debug') &&
    (filter.device === '' || String(log.device) === filter.device) &&
    (filter.group === null || log.group === filter.group) &&
    log.message.toLowerCase().includes(filter.q.toLowerCase())
  );
}
