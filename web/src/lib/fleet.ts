/** Order and filters of the device list: pure, so that "which one needs me" is a table of examples. */

import { DEVICE_STATES, type Device, type DeviceState } from '../api/model';
import { fullestDisk, hottest, memoryPercent } from './metric';

export const SORTS = ['needs', 'name', 'cpu', 'memory', 'disk', 'network', 'load', 'temperature', 'tokens', 'cost', 'uptime', 'version', 'agent', 'seen'] as const;
export type SortKey = (typeof SORTS)[number];

export interface Sort {
  key: SortKey;
  descending: boolean;
}

export interface Filter {
  text: string;
  tag: string | null;
  state: DeviceState | null;
}

/** Bars turn amber, then red, from here (percent). */
export const WARN_PERCENT = 65;
export const CRITICAL_PERCENT = 90;

export type Level = 'ok' | 'warn' | 'critical';

export function level(percent: number | null | undefined): Level {
  if (percent === null || percent === undefined || percent < WARN_PERCENT) return 'ok';
  return percent < CRITICAL_PERCENT ? 'warn' : 'critical';
}

/**
 * How much a device needs somebody; smaller is first. CPU is left out on purpose: it moves every
 * second and would make rows jump.
 */
export function need(device: Device): number {
  const full = Math.max(memoryPercent(device.latest) ?? 0, fullestDisk(device.latest)?.percent ?? 0);
  const rank = DEVICE_STATES.indexOf(device.state);
  return rank * 10 - (device.state === 'online' && full >= CRITICAL_PERCENT ? 1 : 0);
}

export function matches(device: Device, filter: Filter): boolean {
  if (filter.state && device.state !== filter.state) return false;
  if (filter.tag && !device.tags.includes(filter.tag)) return false;
  const wanted = filter.text.trim().toLowerCase();
  if (!wanted) return true;
  return [device.name, device.device_type, device.facts.hostname ?? '', device.facts.os ?? '', ...device.tags].some((part) =>
    part.toLowerCase().includes(wanted),
  );
}

/** Larger numbers first when `descending`; a device without the figure is always last. */
export function compare(sort: Sort): (a: Device, b: Device) => number {
  const byName = (a: Device, b: Device): number => a.name.localeCompare(b.name, undefined, { numeric: true }) || a.id - b.id;
  const sign = sort.descending ? -1 : 1;
  if (sort.key === 'name') return (a, b) => sign * byName(a, b);
  if (sort.key === 'needs') return (a, b) => sign * (need(a) - need(b)) || byName(a, b);
  if (sort.key === 'version' || sort.key === 'agent') {
    const word = sort.key === 'version' ? (device: Device) => device.facts.openclaw_version : (device: Device) => device.agent_version;
    return (a, b) => ordered(word(a), word(b), (left, right) => sign * left.localeCompare(right, undefined, { numeric: true })) || byName(a, b);
  }
  const figure = FIGURE[sort.key];
  return (a, b) => ordered(figure(a), figure(b), (left, right) => sign * (left - right)) || byName(a, b);
}

/** What is not known comes last, whichever way the others go. */
function ordered<T>(left: T | null, right: T | null, by: (left: T, right: T) => number): number {
  if (left === null || right === null) return Number(left === null) - Number(right === null);
  return by(left, right);
}

const FIGURE: Record<Exclude<SortKey, 'name' | 'needs' | 'version' | 'agent'>, (device: Device) => number | null> = {
  cpu: (device) => device.latest['cpu_percent'] ?? null,
  memory: (device) => memoryPercent(device.latest),
  disk: (device) => fullestDisk(device.latest)?.percent ?? null,
  network: (device) => {
    const up = device.latest['net_tx_rate'];
    const down = device.latest['net_rx_rate'];
    return up === undefined && down === undefined ? null : (up ?? 0) + (down ?? 0);
  },
  load: (device) => device.latest['load1'] ?? null,
  temperature: (device) => hottest(device.latest),
  tokens: (device) => device.tokens_today,
  cost: (device) => device.usage?.today.cost_usd ?? null,
  uptime: (device) => device.latest['uptime_s'] ?? null,
  seen: (device) => device.last_seen_ms,
};

/** Every tag in use, with how many devices carry it, in order of name. */
export function tagCounts(devices: readonly Device[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const device of devices) for (const tag of device.tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
}
