/** The device list with its live values, shared by the views. */

import { ref, shallowReactive, shallowRef } from 'vue';
import { api } from '../api/client';
import type { Device, LiveUpdate } from '../api/model';
import { CONCERN_METRICS } from '../lib/concerns';
import { noteServerTime } from './clock';
import { zone } from './zone';

/** Metrics a row of the overview shows, with every label where a star stands; the live feed is asked for these only. */
export const ROW_METRICS = [
  'cpu_percent',
  'memory_percent',
  'memory_used',
  'memory_total',
  'disk_percent*',
  'disk_used*',
  'disk_total*',
  'net_tx_rate',
  'net_rx_rate',
  'uptime_s',
  'load1',
  'temperature_celsius*',
  ...CONCERN_METRICS,
] as const;

/**
 * Each device is reactive by itself, so a new value redraws one row. `shape` counts up when the
 * list or a state changes, which is when rows may change places.
 */
export const fleet = {
  devices: shallowRef<ReadonlyMap<number, Device>>(new Map()),
  loaded: ref(false),
  shape: ref(0),
};

export async function loadFleet(signal?: AbortSignal): Promise<void> {
  const answer = await api.devices(zone.value, signal);
  if (answer.now_ms !== null) noteServerTime(answer.now_ms);
  const known = fleet.devices.value;
  const next = new Map<number, Device>();
  for (const device of answer.devices) next.set(device.id, merged(known.get(device.id), device));
  fleet.devices.value = next;
  fleet.loaded.value = true;
  fleet.shape.value += 1;
}

/** Puts one device that was fetched or edited in its place. */
export function keepDevice(device: Device): Device {
  const kept = merged(fleet.devices.value.get(device.id), device);
  fleet.devices.value = new Map(fleet.devices.value).set(device.id, kept);
  fleet.shape.value += 1;
  return kept;
}

export function forgetDevice(id: number): void {
  const next = new Map(fleet.devices.value);
  next.delete(id);
  fleet.devices.value = next;
  fleet.shape.value += 1;
}

export function applyUpdate(update: LiveUpdate): void {
  noteServerTime(update.t_ms);
  for (const [id, row] of Object.entries(update.rows)) {
    const device = fleet.devices.value.get(Number(id));
    if (device) device.latest = { ...device.latest, ...row };
  }
  for (const [id, state] of Object.entries(update.states)) {
    const device = fleet.devices.value.get(Number(id));
    if (!device) continue;
    if (device.state !== state.state || device.reason !== state.reason) fleet.shape.value += 1;
    Object.assign(device, state);
  }
}

function merged(known: Device | undefined, device: Device): Device {
  return known ? Object.assign(known, device) : shallowReactive(device);
}
