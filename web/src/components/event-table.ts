import type { DeviceEvent } from '../api/model';
import { t } from '../i18n';
import { csvTime } from '../lib/csv';
import type { Language } from '../lib/format';
import type { DataTable } from '../lib/table-layout';
import { eventText } from './event-text';

/** What happened as a table. */
export function eventTable(events: readonly DeviceEvent[], language: Language): DataTable {
  const rows = events.map((event) => [csvTime(event.t_ms), event.device_name, event.kind, eventText(event, language)]);
  return { file: 'events', title: t('events.title'), head: ['time', 'device', 'kind', 'text'], rows };
}
