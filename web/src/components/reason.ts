import type { Device } from '../api/model';
import { t, type TextKey } from '../i18n';

const REASONS: Record<string, TextKey> = {
  no_report: 'reason.no_report',
  gateway_stopped: 'reason.gateway_stopped',
  gateway_starting: 'reason.gateway_starting',
  gateway_not_ready: 'reason.gateway_not_ready',
  gateway_not_installed: 'reason.gateway_not_installed',
  gateway_unknown: 'reason.gateway_unknown',
};

/** Why a device is in its state, in words; a reason of a newer server is shown as it came. */
export function reasonText(device: Pick<Device, 'state' | 'reason'>): string | null {
  if (device.state === 'new') return t('reason.never');
  if (!device.reason) return null;
  const key = REASONS[device.reason];
  return key ? t(key) : device.reason.replaceAll('_', ' ');
}

const GATEWAY: Record<string, TextKey> = {
  running: 'gateway.running',
  starting: 'gateway.starting',
  not_ready: 'gateway.not_ready',
  stopped: 'gateway.stopped',
  not_installed: 'gateway.not_installed',
  unknown: 'gateway.unknown',
};

export function gatewayText(state: string | undefined): string | null {
  if (state === undefined) return null;
  const key = GATEWAY[state];
  return key ? t(key) : state.replaceAll('_', ' ');
}
