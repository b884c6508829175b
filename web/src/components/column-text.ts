import type { TextKey } from '../i18n';
import type { Column } from '../lib/columns';

export const COLUMN_TEXT: Record<Column, TextKey> = {
  state: 'overview.state',
  availability: 'overview.availability',
  cpu: 'overview.cpu_hour',
  memory: 'overview.memory',
  disk: 'overview.disk',
  network: 'overview.network',
  load: 'overview.load',
  temperature: 'overview.temperature',
  tokens: 'overview.tokens',
  cost: 'overview.cost',
  uptime: 'overview.uptime',
  version: 'overview.version',
  agent: 'overview.agent',
  seen: 'overview.seen',
};

/** Single figures stand at the right end, so that their digits line up. */
export const RIGHT: ReadonlySet<Column> = new Set<Column>(['load', 'temperature', 'tokens', 'cost', 'uptime', 'seen']);
