import type { Device } from '../api/model';
import { t, type TextKey } from '../i18n';

const REASONS: Record<string, TextKey> = {
  no_report: 'reason.no_report',
  gateway_stopped: 'reason.gateway_stopped',
  gateway_starting: 'reason.gateway_starting',
  gateway_not_ready: 'reason.gateway_not_ready',
  gateway_not_installed: 'reason.gateway_not_installed',
  gateway_unknown: 'reason.gateway_unknown',
  gateway_draining: 'reason.gateway_draining',
  gateway_degraded: 'reason.gateway_degraded',
  gateway_stuck: 'reason.gateway_stuck',
  gateway_crashed: 'reason.gateway_crashed',
  usage_quiet: 'reason.usage_quiet',
  usage_unreadable: 'reason.usage_unreadable',
  usage_unknown_schema: 'reason.usage_unknown_schema',
};

/** Why a device is in its state, in words; a reason of a newer server is shown as it came. */
export function reasonText(device: Pick<Device, 'state' | 'reason'> & { states?: Device['states'] }): string | null {
  if (device.state === 'new') return t('reason.never');
  if (!device.reason) return null;
  const failing = device.states?.['gateway_failing'];
  if (failing && device.reason.startsWith('gateway_')) return t('reason.failing', { part: failing.replaceAll('_', ' ') });
  if (device.reason === 'gateway_crashed' && device.states?.['gateway_end'] === 'start_failed') return t('reason.gateway_start_failed');
  const why = device.reason === 'usage_unreadable' ? whyText(device.states ?? {}) : null;
  if (why) return t('reason.usage_unreadable_why', { why });
  const key = REASONS[device.reason];
  return key ? t(key) : device.reason.replaceAll('_', ' ');
}

const WHY: Record<string, TextKey> = {
  denied: 'usage.why_denied',
  damaged: 'usage.why_damaged',
  gone: 'usage.why_gone',
  locked: 'usage.why_locked',
  failed: 'usage.why_failed',
};

/** Why the agent cannot read OpenClaw's records. */
function whyText(states: Readonly<Record<string, string>>): string | null {
  return stateText(WHY, states['usage_why']);
}

const GATEWAY: Record<string, TextKey> = {
  running: 'gateway.running',
  starting: 'gateway.starting',
  not_ready: 'gateway.not_ready',
  stopped: 'gateway.stopped',
  not_installed: 'gateway.not_installed',
  unknown: 'gateway.unknown',
  draining: 'gateway.draining',
  degraded: 'gateway.degraded',
  stuck: 'gateway.stuck',
  crashed: 'gateway.crashed',
};

/** What the gateway does, and which part of it fails if it says so. */
export function gatewayText(states: Readonly<Record<string, string>>): string | null {
  const text = stateText(GATEWAY, states['gateway']);
  const failing = states['gateway_failing'];
  return text && failing ? t('gateway.with_failing', { state: text, part: failing.replaceAll('_', ' ') }) : text;
}

/** Of several gateways on one device the worst says the state; this says how many of them run. */
export function gatewaysText(states: Readonly<Record<string, string>>): string | null {
  const [, running, all] = /^(\d+)_of_(\d+)_running$/.exec(states['gateways'] ?? '') ?? [];
  return running !== undefined && all !== undefined ? t('gateway.several', { running, all }) : null;
}

const USAGE: Record<string, TextKey> = {
  ok: 'usage.ok',
  catching_up: 'usage.catching_up',
  partial: 'usage.partial',
  none: 'usage.none',
  quiet: 'usage.quiet',
  unreadable: 'usage.unreadable',
  unknown_schema: 'usage.unknown_schema',
};

/** How reading token usage goes on the device: never a silent zero. */
export function usageText(states: Readonly<Record<string, string>>): string | null {
  const text = stateText(USAGE, states['usage']);
  const why = whyText(states);
  return text && why ? t('usage.with_why', { state: text, why }) : text;
}

/** A word of a newer agent is shown as it came. */
function stateText(words: Record<string, TextKey>, state: string | undefined): string | null {
  if (state === undefined) return null;
  const key = words[state];
  return key ? t(key) : state.replaceAll('_', ' ');
}
