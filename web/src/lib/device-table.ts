import type { Device } from '../api/model';
import { csvTime } from './csv';
import { fullestDisk, hottest, memoryPercent } from './metric';
import type { DataTable } from './table-layout';

/** The device list as a table; the heads are the names the API uses. */
export function deviceTable(devices: readonly Device[], title: string): DataTable {
  const head = ['id', 'name', 'device_type', 'tags', 'state', 'reason', 'cpu_percent', 'memory_percent', 'disk_percent', 'net_tx_rate', 'net_rx_rate', 'load1', 'temperature_celsius', 'uptime_s', 'tokens_today', 'cost_today_usd', 'openclaw_version', 'agent_version', 'last_seen'];
  return {
    file: 'devices',
    title,
    head,
    rows: devices.map((device) => [
      device.id,
      device.name,
      device.device_type,
      device.tags.join(' '),
      device.state,
      device.reason,
      device.latest['cpu_percent'],
      memoryPercent(device.latest),
      fullestDisk(device.latest)?.percent,
      device.latest['net_tx_rate'],
      device.latest['net_rx_rate'],
      device.latest['load1'],
      hottest(device.latest),
      device.latest['uptime_s'],
      device.tokens_today,
      device.usage?.today.cost_usd,
      device.facts.openclaw_version,
      device.agent_version,
      csvTime(device.last_seen_ms),
    ]),
  };
}
