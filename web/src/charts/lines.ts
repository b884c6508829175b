/** Which lines each chart of the device page has: from a table of figures to named, coloured lines. Pure. */

import { parseMetric } from '../lib/metric';
import type { ColourName } from './palette';
import { lineColour } from './palette';
import type { Columns, Table } from './table';

/** Metrics asked for in one query for the whole page. */
export const PAGE_METRICS = [
  'cpu_percent',
  'cpu_core_percent*',
  'memory_used',
  'memory_total',
  'memory_percent',
  'swap_used',
  'disk_percent*',
  'disk_used*',
  'disk_total*',
  'net_tx_rate',
  'net_rx_rate',
  'load1',
  'load5',
  'load15',
  'disk_read_rate',
  'disk_write_rate',
  'gateway_rss',
  'temperature_celsius*',
] as const;

/** How a line is called: a text of the page, or a name that came from the device. */
export type LineName =
  | { kind: 'text'; key: 'chart.cpu_total' | 'chart.memory' | 'chart.swap' | 'chart.disk_main' | 'chart.up' | 'chart.down' | 'chart.load1' | 'chart.load5' | 'chart.load15' | 'chart.read' | 'chart.write' | 'chart.gateway_memory' | 'tokens.input' | 'tokens.output' | 'tokens.cache_read' | 'tokens.cache_write' }
  | { kind: 'core'; core: string }
  | { kind: 'own'; name: string };

export interface Line {
  id: string;
  name: LineName;
  colour: ColourName;
  columns: Columns;
  /** One of many: thin, without band, and not in the legend. */
  faint: boolean;
}

/** What the y axis shows; `max` null lets the data decide. */
export interface Scale {
  unit: 'percent' | 'bytes' | 'rate' | 'celsius' | 'number' | 'count';
  max: number | null;
}

export interface Picture {
  lines: Line[];
  scale: Scale;
  /** Sums of a step, stacked, instead of lines. */
  bars?: boolean;
}

const PERCENT: Scale = { unit: 'percent', max: 100 };

export function cpuPicture(table: Table, cores: boolean): Picture {
  const lines: Line[] = cores ? coreLines(table) : [];
  // The total last: it is drawn over the cores.
  lines.push(...one(table, 'cpu_percent', 'chart.cpu_total', 'chart-1'));
  return { lines, scale: PERCENT };
}

export function coreCount(table: Table): number {
  return coreLines(table).length;
}

export function memoryPicture(table: Table): Picture {
  const used = one(table, 'memory_used', 'chart.memory', 'chart-2');
  const swap = one(table, 'swap_used', 'chart.swap', 'chart-5');
  if (used.length === 0) return { lines: one(table, 'memory_percent', 'chart.memory', 'chart-2'), scale: PERCENT };
  return { lines: [...used, ...swap], scale: { unit: 'bytes', max: highest(table.series.get('memory_total')) } };
}

/** Percent of each disk; computed from used and total where the device does not say it. */
export function diskPicture(table: Table): Picture {
  const found = new Map<string, Columns>();
  for (const [metric, columns] of table.series) {
    const { name, labels } = parseMetric(metric);
    const mount = labels['mount'] ?? '';
    if (name === 'disk_percent') found.set(mount, columns);
    if (name !== 'disk_used' || found.has(mount)) continue;
    const total = table.series.get(metric.replace('disk_used', 'disk_total'));
    if (total && !table.series.has(metric.replace('disk_used', 'disk_percent'))) found.set(mount, shareOf(columns, total));
  }
  const mounts = [...found.keys()].sort();
  const lines = mounts.map((mount, index): Line => ({
    id: `disk ${mount}`,
    name: mount === '' ? { kind: 'text', key: 'chart.disk_main' } : { kind: 'own', name: mount },
    colour: lineColour(index + 2),
    columns: found.get(mount) ?? { avg: [], min: [], max: [] },
    faint: false,
  }));
  return { lines, scale: PERCENT };
}

export function networkPicture(table: Table): Picture {
  return {
    lines: [...one(table, 'net_rx_rate', 'chart.down', 'chart-1'), ...one(table, 'net_tx_rate', 'chart.up', 'chart-4')],
    scale: { unit: 'rate', max: null },
  };
}

export function loadPicture(table: Table): Picture {
  return {
    lines: [
      ...one(table, 'load1', 'chart.load1', 'chart-3'),
      ...one(table, 'load5', 'chart.load5', 'chart-1'),
      ...one(table, 'load15', 'chart.load15', 'chart-2'),
    ],
    scale: { unit: 'number', max: null },
  };
}

export function diskIoPicture(table: Table): Picture {
  return {
    lines: [...one(table, 'disk_read_rate', 'chart.read', 'chart-3'), ...one(table, 'disk_write_rate', 'chart.write', 'chart-5')],
    scale: { unit: 'rate', max: null },
  };
}

export function gatewayPicture(table: Table): Picture {
  return { lines: one(table, 'gateway_rss', 'chart.gateway_memory', 'chart-2'), scale: { unit: 'bytes', max: null } };
}

/** A line per sensor, named as the device names it. */
export function temperaturePicture(table: Table): Picture {
  const lines: Line[] = [];
  for (const [metric, columns] of table.series) {
    const { name, labels } = parseMetric(metric);
    if (name !== 'temperature_celsius') continue;
    lines.push({ id: metric, name: { kind: 'own', name: labels['sensor'] ?? metric }, colour: 'chart-4', columns, faint: false });
  }
  lines.sort((a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }));
  return { lines: lines.map((line, index) => ({ ...line, colour: lineColour(index + 3) })), scale: { unit: 'celsius', max: null } };
}

/** Any metric by itself; what its name ends with says its unit. */
export function metricPicture(table: Table, metric: string): Picture {
  const columns = table.series.get(metric);
  const { name } = parseMetric(metric);
  const unit = name.endsWith('_percent') ? 'percent' : name.endsWith('_rate') ? 'rate' : BYTES.test(name) ? 'bytes' : name.includes('celsius') ? 'celsius' : 'number';
  const lines: Line[] = columns ? [{ id: metric, name: { kind: 'own', name: metric }, colour: 'chart-1', columns, faint: false }] : [];
  return { lines, scale: unit === 'percent' ? PERCENT : { unit, max: null } };
}

const BYTES = /_bytes(_total)?$|^(memory|swap|disk)_(used|total)$|_rss$/;

/** Metrics that have a chart of their own already; a name with a star stands for all that begin so. */
export function charted(metric: string): boolean {
  return PAGE_METRICS.some((name) => (name.endsWith('*') ? metric.startsWith(name.slice(0, -1)) : metric === name));
}

function coreLines(table: Table): Line[] {
  const lines: Line[] = [];
  for (const [metric, columns] of table.series) {
    const { name, labels } = parseMetric(metric);
    const core = labels['core'];
    if (name !== 'cpu_core_percent' || core === undefined) continue;
    lines.push({ id: metric, name: { kind: 'core', core }, colour: 'chart-1', columns, faint: true });
  }
  lines.sort((a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }));
  return lines.map((line, index) => ({ ...line, colour: lineColour(index + 1) }));
}

function one(table: Table, metric: string, key: Extract<LineName, { kind: 'text' }>['key'], colour: ColourName): Line[] {
  const columns = table.series.get(metric);
  return columns ? [{ id: metric, name: { kind: 'text', key }, colour, columns, faint: false }] : [];
}

function highest(columns: Columns | undefined): number | null {
  let max: number | null = null;
  for (const value of columns?.max ?? []) if (value !== null && (max === null || value > max)) max = value;
  return max;
}

function shareOf(used: Columns, total: Columns): Columns {
  const share = (part: Columns['avg']): (number | null)[] =>
    part.map((value, index) => {
      const whole = total.avg[index];
      return value === null || !whole ? null : (value / whole) * 100;
    });
  return { avg: share(used.avg), min: share(used.min), max: share(used.max) };
}
