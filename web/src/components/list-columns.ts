/** What devices, events and log lines are as tables; the names in a file are those the API uses. */

import type { Device, DeviceEvent, Log, LogGroup } from '../api/model';
import { t } from '../i18n';
import { csvTime } from '../lib/csv';
import { NO_FIGURE, coarseSpan, compact, count, moment, money, percent, rate, type Language } from '../lib/format';
import { listData, type ListColumn } from '../lib/list-table';
import { fullestDisk, hottest, memoryPercent } from '../lib/metric';
import type { DataTable } from '../lib/table-layout';
import { eventText } from './event-text';
import { reasonText } from './reason';

export function deviceTable(devices: readonly Device[], language: Language): DataTable {
  const share = (value: number | null | undefined): string => (value === null || value === undefined ? NO_FIGURE : `${percent(value)} %`);
  const columns: ListColumn<Device>[] = [
    { key: 'id', title: '', value: ({ id }) => id, fileOnly: true },
    { key: 'name', title: t('overview.device'), value: ({ name }) => name },
    { key: 'device_type', title: t('form.type'), value: ({ device_type }) => device_type, text: ({ device_type }) => t(`type.${device_type}`) },
    { key: 'tags', title: t('form.tags'), value: ({ tags }) => tags.join(' ') },
    { key: 'state', title: t('overview.state'), value: ({ state }) => state, text: (device) => [t(`state.${device.state}`), reasonText(device)].filter(Boolean).join(' · ') },
    { key: 'reason', title: '', value: ({ reason }) => reason, fileOnly: true },
    { key: 'cpu_percent', title: t('overview.cpu'), right: true, value: ({ latest }) => latest['cpu_percent'], text: ({ latest }) => share(latest['cpu_percent']) },
    { key: 'memory_percent', title: t('overview.memory'), right: true, value: ({ latest }) => memoryPercent(latest), text: ({ latest }) => share(memoryPercent(latest)) },
    { key: 'disk_percent', title: t('overview.disk'), right: true, value: ({ latest }) => fullestDisk(latest)?.percent, text: ({ latest }) => share(fullestDisk(latest)?.percent) },
    { key: 'net_tx_rate', title: t('chart.up'), right: true, value: ({ latest }) => latest['net_tx_rate'], text: ({ latest }) => rate(latest['net_tx_rate']) },
    { key: 'net_rx_rate', title: t('chart.down'), right: true, value: ({ latest }) => latest['net_rx_rate'], text: ({ latest }) => rate(latest['net_rx_rate']) },
    { key: 'load1', title: t('overview.load'), value: ({ latest }) => latest['load1'], fileOnly: true },
    { key: 'temperature_celsius', title: t('overview.temperature'), value: ({ latest }) => hottest(latest), fileOnly: true },
    { key: 'uptime_s', title: t('overview.uptime'), right: true, value: ({ latest }) => latest['uptime_s'], text: ({ latest }) => (latest['uptime_s'] === undefined ? NO_FIGURE : coarseSpan(latest['uptime_s'] * 1_000, language)) },
    { key: 'tokens_today', title: t('overview.tokens'), right: true, value: ({ tokens_today }) => tokens_today, text: ({ tokens_today }) => compact(tokens_today) },
    { key: 'cost_today_usd', title: t('overview.cost'), right: true, value: ({ usage }) => usage?.today.cost_usd, text: ({ usage }) => (usage ? money(usage.today.cost_usd, language) : NO_FIGURE) },
    { key: 'openclaw_version', title: t('overview.version'), value: ({ facts }) => facts.openclaw_version },
    { key: 'agent_version', title: t('overview.agent'), value: ({ agent_version }) => agent_version, fileOnly: true },
    { key: 'last_seen', title: t('overview.seen'), value: ({ last_seen_ms }) => csvTime(last_seen_ms), text: ({ last_seen_ms }) => (last_seen_ms === null ? t('overview.never') : moment(last_seen_ms, language)) },
  ];
  return listData('devices', t('fleet.devices'), columns, devices);
}

export function eventTable(events: readonly DeviceEvent[], language: Language): DataTable {
  const columns: ListColumn<DeviceEvent>[] = [
    { key: 'time', title: t('logs.since'), value: ({ t_ms }) => csvTime(t_ms), text: ({ t_ms }) => moment(t_ms, language) },
    { key: 'device', title: t('overview.device'), value: ({ device_name }) => device_name },
    { key: 'kind', title: '', value: ({ kind }) => kind, fileOnly: true },
    { key: 'text', title: t('chart.happened'), value: (event) => eventText(event, language) },
  ];
  return listData('events', t('events.title'), columns, events);
}

export function logTable(logs: readonly Log[], language: Language): DataTable {
  const columns: ListColumn<Log>[] = [
    { key: 'time', title: t('logs.since'), value: ({ t_ms }) => csvTime(t_ms), text: ({ t_ms }) => moment(t_ms, language) },
    { key: 'device', title: t('overview.device'), value: ({ device_name }) => device_name },
    { key: 'level', title: t('logs.level'), value: ({ level }) => level, text: ({ level }) => t(`logs.level_${level}`) },
    { key: 'source', title: t('logs.source'), value: ({ source }) => source },
    { key: 'message', title: t('logs.message'), value: ({ message }) => message },
  ];
  return listData('logs', t('logs.title'), columns, logs);
}

export function groupTable(groups: readonly LogGroup[], language: Language): DataTable {
  const columns: ListColumn<LogGroup>[] = [
    { key: 'count', title: t('logs.count'), right: true, value: (group) => group.count, text: (group) => count(group.count, language) },
    { key: 'devices', title: t('fleet.devices'), right: true, value: ({ devices_total }) => devices_total, text: ({ devices_total }) => count(devices_total, language) },
    { key: 'level', title: t('logs.level'), value: ({ level }) => level, text: ({ level }) => t(`logs.level_${level}`) },
    { key: 'source', title: t('logs.source'), value: ({ source }) => source },
    { key: 'template', title: t('logs.message'), value: ({ template }) => template },
    { key: 'first', title: t('logs.first'), value: ({ first_ms }) => csvTime(first_ms), text: ({ first_ms }) => moment(first_ms, language) },
    { key: 'last', title: t('logs.last'), value: ({ last_ms }) => csvTime(last_ms), text: ({ last_ms }) => moment(last_ms, language) },
    { key: 'example', title: '', value: ({ example }) => example, fileOnly: true },
  ];
  return listData('log-groups', t('logs.groups'), columns, groups);
}
