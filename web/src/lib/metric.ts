/** Metric names: `disk_used{mount="/data"}` is the name `disk_used` with a label. */

export interface Metric {
  name: string;
  labels: Record<string, string>;
}

const LABEL = /([a-z_][a-z0-9_]*)="((?:[^"\\]|\\.)*)"/gi;

export function parseMetric(metric: string): Metric {
  const open = metric.indexOf('{');
  if (open < 0) return { name: metric, labels: {} };
  const labels: Record<string, string> = {};
  for (const match of metric.slice(open).matchAll(LABEL)) {
    const [, key, value] = match;
    if (key !== undefined && value !== undefined) labels[key] = value.replace(/\\(.)/g, '$1');
  }
  return { name: metric.slice(0, open), labels };
}

/** One disk of a device; `mount` is null for the one the agent calls the device's own. */
export interface Disk {
  mount: string | null;
  used: number | null;
  total: number | null;
  percent: number | null;
}

/** Every disk in a device's latest values, the device's own first, the fullest next. */
export function disks(latest: Record<string, number>): Disk[] {
  const found = new Map<string | null, Disk>();
  for (const [metric, value] of Object.entries(latest)) {
    if (!metric.startsWith('disk_')) continue;
    const { name, labels } = parseMetric(metric);
    const mount = labels['mount'] ?? null;
    const disk = found.get(mount) ?? { mount, used: null, total: null, percent: null };
    if (name === 'disk_used') disk.used = value;
    else if (name === 'disk_total') disk.total = value;
    else if (name === 'disk_percent') disk.percent = value;
    else continue;
    found.set(mount, disk);
  }
  const all = [...found.values()];
  for (const disk of all) disk.percent ??= disk.total && disk.used !== null ? (disk.used / disk.total) * 100 : null;
  return all.sort((a, b) => Number(a.mount !== null) - Number(b.mount !== null) || (b.percent ?? 0) - (a.percent ?? 0));
}

/** How full the fullest disk is; null when none is known. */
export function fullestDisk(latest: Record<string, number>): Disk | null {
  const known = disks(latest).filter((disk) => disk.percent !== null);
  return known.reduce<Disk | null>((worst, disk) => ((disk.percent ?? 0) > (worst?.percent ?? -1) ? disk : worst), null);
}

export function memoryPercent(latest: Record<string, number>): number | null {
  const percent = latest['memory_percent'];
  if (percent !== undefined) return percent;
  const used = latest['memory_used'];
  const total = latest['memory_total'];
  return used !== undefined && total ? (used / total) * 100 : null;
}

/** The warmest sensor, degrees Celsius; null when there is none. */
export function hottest(latest: Record<string, number>): number | null {
  let found: number | null = null;
  for (const [metric, value] of Object.entries(latest)) {
    if (metric.startsWith('temperature_celsius') && (found === null || value > found)) found = value;
  }
  return found;
}
