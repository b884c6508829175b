/** What the overview shows of the past: the CPU line of the last hour, moved on by the live feed, and the strip of the last day. */

import { shallowReactive } from 'vue';
import { api } from '../api/client';
import type { LiveUpdate } from '../api/model';
import { withValue, type Spark } from '../lib/spark';
import { stripOf, type Strip } from '../lib/strip';

export const sparks = shallowReactive(new Map<number, Spark>());
export const strips = shallowReactive(new Map<number, Strip>());

/** One answer for the whole fleet, however long the list is. */
export async function loadGlances(signal?: AbortSignal): Promise<void> {
  const { devices, spark } = await api.activity(signal);
  const there = new Set(devices.map(({ id }) => id));
  for (const map of [sparks, strips]) for (const id of map.keys()) if (!there.has(id)) map.delete(id);
  for (const device of devices) {
    sparks.set(device.id, { from_ms: spark.from_ms, step_ms: spark.step_ms, values: device.spark });
    const known = strips.get(device.id);
    const strip = stripOf(device.availability, device.online_percent);
    // Most days are as they were: their rows need no drawing.
    if (known?.up_percent !== strip.up_percent || known.slots.join() !== strip.slots.join()) strips.set(device.id, strip);
  }
}

export function moveSparks(update: LiveUpdate): void {
  // A snapshot says again what the line has already.
  if (update.snapshot) return;
  for (const [id, row] of Object.entries(update.rows)) {
    const value = row['cpu_percent'];
    const spark = sparks.get(Number(id));
    if (value !== undefined && spark) sparks.set(Number(id), withValue(spark, update.t_ms, value));
  }
}
