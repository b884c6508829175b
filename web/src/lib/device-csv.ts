import type { Device } from '../api/model';
import { csv, csvTime } from './csv';
import { fullestDisk, hottest, memoryPercent } from './metric';

/** The device list as a table; the heads are the names the API uses. */
export function deviceCsv(devices: readonly Device[]): string {
  const head = ['id', 'name', 'device_type', 'tags', 'state', 'reason', 'cpu_percent', 'memory_percent', 'disk_percent', 'net_tx_rate', 'net_rx_rate', 'load1', 'temperature_celsius', 'uptime_s', 'tokens_today', 'cost_today_usd', 'openclaw_version', 'agent_version', 'last_seen'];
  return csv(
    head,
    devices.map((device) => [
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
  );
}
