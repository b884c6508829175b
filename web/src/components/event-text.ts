import type { DeviceEvent } from '../api/model';
import { t } from '../i18n';
import { span, stamp, type Language } from '../lib/format';
import { reasonText } from './reason';

/** What happened, in words; a kind of a newer server is shown as it came. */
export function eventText(event: DeviceEvent, language: Language): string {
  switch (event.kind) {
    case 'online': {
      const offline_ms = number(event, 'offline_ms');
      return offline_ms === null ? t('event.online') : t('event.online_after', { span: span(offline_ms, language) });
    }
    case 'offline': {
      const last_ms = number(event, 'last_seen_ms');
      return last_ms === null ? t('event.offline') : t('event.offline_last', { time: stamp(last_ms, event.t_ms, language) });
    }
    case 'degraded': {
      const reason = reasonText({ state: 'degraded', reason: word(event, 'reason') });
      return reason === null ? t('state.degraded') : t('event.degraded', { reason });
    }
    case 'recovered':
      return t('event.recovered');
    case 'server_start': {
      const down_ms = number(event, 'down_from_ms');
      return down_ms === null
        ? t('event.server_start')
        : t('event.server_start_down', { span: span(event.t_ms - down_ms, language) });
    }
    case 'key_rotated':
      return t('event.key_rotated');
    case 'device_added':
      return t('event.device_added');
    case 'version_change': {
      const from = word(event, 'from');
      const to = word(event, 'to') ?? '–';
      return from === null ? t('event.version_now', { to }) : t('event.version_change', { from, to });
    }
    case 'back_fill': {
      const from_ms = number(event, 'from_ms');
      const to_ms = number(event, 'to_ms');
      return from_ms === null || to_ms === null ? t('event.back_fill') : t('event.back_fill_span', { span: span(to_ms - from_ms, language), time: stamp(from_ms, event.t_ms, language) });
    }
    case 'settings_changed':
      return t('event.settings_changed');
    default:
      return event.kind.replaceAll('_', ' ');
  }
}

function number(event: DeviceEvent, field: string): number | null {
  const value = event.detail[field];
  return typeof value === 'number' ? value : null;
}

function word(event: DeviceEvent, field: string): string | null {
  const value = event.detail[field];
  return typeof value === 'string' ? value : null;
}
