import type { IconName } from './icons/shapes';

/** By the kind of an event, or of what is marked on a time axis. */
export const EVENT_ICONS: Partial<Record<string, IconName>> = {
  online: 'online',
  offline: 'offline',
  degraded: 'degraded',
  recovered: 'online',
  server_start: 'server',
  key_rotated: 'key',
  device_added: 'plus',
  version_change: 'up',
  back_fill: 'down',
  settings_changed: 'settings',
  restart: 'restart',
  gateway_restart: 'restart',
  error_burst: 'logs',
};
