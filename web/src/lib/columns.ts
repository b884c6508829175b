/** Columns of the device table: which there are, which are shown, and which of those fit. Pure. */

import type { SortKey } from './fleet';

export const COLUMNS = [
  'state',
  'availability',
  'cpu',
  'memory',
  'disk',
  'network',
  'load',
  'temperature',
  'tokens',
  'cost',
  'uptime',
  'version',
  'agent',
  'seen',
] as const;
export type Column = (typeof COLUMNS)[number];

export const COLUMNS_DEFAULT: readonly Column[] = ['state', 'availability', 'cpu', 'memory', 'disk', 'network', 'tokens', 'cost', 'version', 'seen'];

interface Shape {
  /** Narrowest useful width and share of what is left over, pixels. */
  min: number;
  grow: number;
  /** When there is no room the smallest goes first. */
  weight: number;
  sort: SortKey;
}

/** The name comes first and always. */
const NAME: Pick<Shape, 'min' | 'grow'> = { min: 150, grow: 2 };

export const SHAPE: Record<Column, Shape> = {
  state: { min: 142, grow: 1.3, weight: 100, sort: 'needs' },
  availability: { min: 106, grow: 1, weight: 45, sort: 'availability' },
  cpu: { min: 136, grow: 1.2, weight: 90, sort: 'cpu' },
  memory: { min: 64, grow: 0.6, weight: 85, sort: 'memory' },
  disk: { min: 64, grow: 0.6, weight: 80, sort: 'disk' },
  network: { min: 86, grow: 0, weight: 50, sort: 'network' },
  load: { min: 48, grow: 0, weight: 30, sort: 'load' },
  temperature: { min: 56, grow: 0, weight: 25, sort: 'temperature' },
  tokens: { min: 84, grow: 0, weight: 48, sort: 'tokens' },
  cost: { min: 72, grow: 0, weight: 40, sort: 'cost' },
  uptime: { min: 64, grow: 0, weight: 20, sort: 'uptime' },
  version: { min: 70, grow: 0, weight: 35, sort: 'version' },
  agent: { min: 52, grow: 0, weight: 15, sort: 'agent' },
  seen: { min: 76, grow: 0, weight: 60, sort: 'seen' },
};

/** Between two columns, and at both ends of a row, pixels. */
export const COLUMN_GAP_PX = 18;
const EDGES_PX = 32;

/** `state,cpu` in the address bar; null when nothing there names a column. */
export function columnsFrom(text: unknown): readonly Column[] | null {
  if (typeof text !== 'string') return null;
  const named = new Set(text.split(','));
  const found = COLUMNS.filter((column) => named.has(column));
  return found.length > 0 ? found : null;
}

export function columnsFit(chosen: readonly Column[], width_px: number): Column[] {
  const kept = COLUMNS.filter((column) => chosen.includes(column));
  const needed = (): number => EDGES_PX + NAME.min + kept.reduce((sum, column) => sum + SHAPE[column].min + COLUMN_GAP_PX, 0);
  while (kept.length > 1 && needed() > width_px) {
    const least = kept.reduce((a, b) => (SHAPE[b].weight < SHAPE[a].weight ? b : a));
    kept.splice(kept.indexOf(least), 1);
  }
  return kept;
}

/** As `grid-template-columns` takes it. */
export function gridTemplate(columns: readonly Column[]): string {
  const track = ({ min, grow }: Pick<Shape, 'min' | 'grow'>): string => (grow > 0 ? `minmax(${min}px, ${grow}fr)` : `${min}px`);
  return [NAME, ...columns.map((column) => SHAPE[column])].map(track).join(' ');
}
