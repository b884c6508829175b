/** The CPU lines of the overview: the last hour of each device, one point a minute, moved on by the live feed. */

import { shallowReactive } from 'vue';
import { api } from '../api/client';
import type { LiveUpdate, QueryAnswer } from '../api/model';

export const SPARK_MS = 3_600_000;
const SPARK_POINTS = 60;
const POINT_MS = SPARK_MS / SPARK_POINTS;
/** Devices asked for in one query; more are asked for one query after the other. */
const DEVICES_PER_QUERY = 50;
/** Past this the list is for searching, not for looking at lines. */
const DEVICES_MAX = 400;

/** Time and value; null where nothing is known, so that the line has a hole there. */
export type SparkPoint = readonly [t_ms: number, value: number | null];

export const sparks = shallowReactive(new Map<number, readonly SparkPoint[]>());

export async function loadSparks(ids: readonly number[], now_ms: number, signal?: AbortSignal): Promise<void> {
  for (let at = 0; at < Math.min(ids.length, DEVICES_MAX); at += DEVICES_PER_QUERY) {
    const device = ids.slice(at, at + DEVICES_PER_QUERY);
    const answer = await api.query(
      { device, metric: 'cpu_percent', from_ms: now_ms - SPARK_MS, to_ms: now_ms, points: SPARK_POINTS, agg: 'avg' },
      signal,
    );
    for (const id of device) sparks.set(id, sparkOf(answer, id));
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
    if (value !== undefined) sparks.set(Number(id), withPoint(sparks.get(Number(id)) ?? [], update.t_ms, value));
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
