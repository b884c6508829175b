/**
 * What the overview shows of the past: the CPU line of the last hour and the strip of the last day. Fetched
 * for the devices that are in sight, the line moved on by the live feed.
 */

import { shallowReactive } from 'vue';
import { api } from '../api/client';
import type { LiveUpdate, QueryAnswer } from '../api/model';
import { STRIP_CELLS, STRIP_MS, stripOf, type Strip } from '../lib/strip';

export const SPARK_MS = 3_600_000;
const SPARK_POINTS = 60;
const POINT_MS = SPARK_MS / SPARK_POINTS;
/** Devices asked for in one query. */
const DEVICES_PER_QUERY = 50;
/** While somebody scrolls nothing is fetched. */
const REST_MS = 120;
/** A strip moves by a cell in half an hour; the newest cell should not be older than this. */
const STRIP_AGE_MS_MAX = 120_000;

/** Time and value; null where nothing is known, so that the line has a hole there. */
export type SparkPoint = readonly [t_ms: number, value: number | null];

export const sparks = shallowReactive(new Map<number, readonly SparkPoint[]>());
export const strips = shallowReactive(new Map<number, Strip>());

const fetched_ms = new Map<number, number>();
let wanted: readonly number[] = [];
let timer: ReturnType<typeof setTimeout> | null = null;
let running = false;

/** These devices are in sight. What is missing or old is fetched once the list is at rest. */
export function wantGlances(ids: readonly number[], now: () => number): void {
  wanted = ids;
  if (timer !== null) clearTimeout(timer);
  timer = setTimeout(() => void fetchMissing(now), REST_MS);
}

/** After a cut of the feed the lines have holes. */
export function forgetGlances(): void {
  fetched_ms.clear();
}

async function fetchMissing(now: () => number): Promise<void> {
  timer = null;
  if (running) return;
  running = true;
  let device: readonly number[] = [];
  try {
    for (;;) {
      const now_ms = now();
      device = wanted.filter((id) => now_ms - (fetched_ms.get(id) ?? -Infinity) > STRIP_AGE_MS_MAX).slice(0, DEVICES_PER_QUERY);
      if (device.length === 0) return;
      for (const id of device) fetched_ms.set(id, now_ms);
      const ask = (ms: number, points: number): Promise<QueryAnswer> =>
        api.query({ device, metric: 'cpu_percent', from_ms: now_ms - ms, to_ms: now_ms, points, agg: 'avg' });
      const [hour, day] = await Promise.all([ask(SPARK_MS, SPARK_POINTS), ask(STRIP_MS, STRIP_CELLS)]);
      for (const id of device) {
        sparks.set(id, sparkOf(hour, id));
        strips.set(id, stripOf(day, id, now_ms));
      }
    }
  } catch {
    // An extra: the figures beside them say what matters, and the next look at the list tries again.
    for (const id of device) fetched_ms.delete(id);
  } finally {
    running = false;
  }
}

export function sparkOf(answer: QueryAnswer, device: number): SparkPoint[] {
  const column = answer.series.find((series) => series.device === device)?.avg;
  if (!column) return [];
  const points: SparkPoint[] = [];
  let last_ms: number | null = null;
  for (const [index, t_ms] of answer.t_ms.entries()) {
    const value = column[index] ?? null;
    if (value === null) continue;
    if (last_ms !== null && t_ms - last_ms > HOLE_MS) points.push([last_ms, null]);
    points.push([t_ms, value]);
    last_ms = t_ms;
  }
  return points;
}

/** Nothing for this long is shown as a hole. */
const HOLE_MS = 4 * POINT_MS;

/** Adds what the feed brought: the newest point moves until its minute is over. */
export function moveSparks(update: LiveUpdate): void {
  for (const [id, row] of Object.entries(update.rows)) {
    const value = row['cpu_percent'];
    const points = sparks.get(Number(id));
    if (value !== undefined && points) sparks.set(Number(id), withPoint(points, update.t_ms, value));
  }
}

export function withPoint(points: readonly SparkPoint[], t_ms: number, value: number): SparkPoint[] {
  const kept = points.filter(([at]) => at > t_ms - SPARK_MS);
  const before = kept.at(-2);
  if (before && t_ms - before[0] < POINT_MS) kept.pop();
  const last = kept.at(-1);
  if (last && t_ms - last[0] > HOLE_MS) kept.push([last[0], null]);
  kept.push([t_ms, value]);
  return kept;
}
