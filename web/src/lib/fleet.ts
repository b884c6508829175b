/** Order and filters of the device list: pure, so that "which one needs me" is a table of examples. */

import { DEVICE_STATES, type Device, type DeviceState } from '../api/model';
import { FULL_PERCENT, anyConcern, concernsOf } from './concerns';
import { fullestDisk, hottest, memoryPercent } from './metric';

export const SORTS = ['needs', 'name', 'availability', 'cpu', 'memory', 'disk', 'network', 'load', 'temperature', 'tokens', 'cost', 'uptime', 'version', 'agent', 'seen'] as const;
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

/** Bars turn amber from here (percent), and red from `FULL_PERCENT`. */
export const WARN_PERCENT = 65;

export type Level = 'ok' | 'warn' | 'critical';

export function level(percent: number | null | undefined): Level {
  if (percent === null || percent === undefined || percent < WARN_PERCENT) return 'ok';
  return percent < FULL_PERCENT ? 'warn' : 'critical';
}

/**
 * How much a device needs somebody; smaller is first. CPU is left out on purpose: it moves every
 * second and would make rows jump.
 */
export function need(device: Device): number {
  const troubled = device.state === 'online' && anyConcern(concernsOf(device.latest));
  return DEVICE_STATES.indexOf(device.state) * 2 - Number(troubled);
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

/**
 * Larger first when `descending`; a device without the figure is always last. What is compared is worked out once a
 * device. `up` tells for how much of the day it was there, percent.
 */
export function inOrder(devices: readonly Device[], sort: Sort, up: (id: number) => number | null): Device[] {
  const keyOf = sort.key === 'availability' ? (device: Device): Key => up(device.id) : KEY[sort.key];
  const keyed = devices.map((device) => ({ device, key: keyOf(device) }));
  const sign = sort.descending ? -1 : 1;
  keyed.sort((a, b) => ordered(a.key, b.key, sign) || byName.compare(a.device.name, b.device.name) || a.device.id - b.device.id);
  return keyed.map(({ device }) => device);
}

const byName = new Intl.Collator(undefined, { numeric: true });

/** What is not known comes last, whichever way the others go. */
function ordered(left: Key, right: Key, sign: number): number {
  if (left === null || right === null) return Number(left === null) - Number(right === null);
  if (typeof left === 'number' && typeof right === 'number') return sign * (left - right);
  return sign * byName.compare(String(left), String(right));
}

type Key = number | string | null;

const KEY: Record<Exclude<SortKey, 'availability'>, (device: Device) => Key> = {
  needs: need,
  name: (device) => device.name,
  version: (device) => device.facts.openclaw_version,
  agent: (device) => device.agent_version,
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
