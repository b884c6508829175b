/**
 * The live feed's decisions, without socket, clock or chance: `step(state, event)` says what holds
 * next and what is to be done. `live.ts` does it.
 */

export const RETRY_MS_FIRST = 1_000;
export const RETRY_MS_MAX = 30_000;

/** The server's close code for "this session is over": connecting again would be refused. */
export const CLOSE_SESSION_ENDED = 4001;

export type Phase =
  /** Nobody listens. */
  | 'off'
  | 'connecting'
  | 'open'
  /** Cut; connects again when the timer rings. */
  | 'waiting'
  /** The tab is not visible: closed until it is. */
  | 'hidden'
  /** The session is over. */
  | 'ended';

export interface Feed {
  phase: Phase;
  /** Failed attempts since the feed last worked. */
  attempts: number;
  /** Something may have been missed; cleared by the first snapshot after that. */
  missed: boolean;
}

export type FeedEvent =
  | { kind: 'start' }
  | { kind: 'stop' }
  | { kind: 'opened' }
  | { kind: 'snapshot' }
  | { kind: 'closed'; code: number }
  | { kind: 'retry' }
  | { kind: 'hidden' }
  | { kind: 'visible' }
  | { kind: 'network_back' };

export type Effect =
  | { do: 'connect' }
  | { do: 'disconnect' }
  | { do: 'schedule'; ms: number }
  | { do: 'unschedule' }
  | { do: 'resync' }
  | { do: 'end_session' };

export const FEED_OFF: Feed = { phase: 'off', attempts: 0, missed: false };

/** `random` in 0..1 spreads the clients of a restarted server over time. */
export function step(feed: Feed, event: FeedEvent, random: number): { feed: Feed; effects: Effect[] } {
  const stay = { feed, effects: [] };
  switch (event.kind) {
    case 'start':
      return feed.phase === 'off' || feed.phase === 'ended' ? connect({ ...FEED_OFF }) : stay;
    case 'stop':
      return { feed: { ...FEED_OFF }, effects: [{ do: 'unschedule' }, { do: 'disconnect' }] };
    case 'opened':
      return feed.phase === 'connecting' ? { feed: { ...feed, phase: 'open' }, effects: [] } : stay;
    case 'snapshot':
      // Only data proves that the feed works; a proxy may accept the socket and drop it at once.
      if (feed.phase !== 'open') return stay;
      return { feed: { phase: 'open', attempts: 0, missed: false }, effects: feed.missed ? [{ do: 'resync' }] : [] };
    case 'closed':
      if (feed.phase !== 'connecting' && feed.phase !== 'open') return stay;
      if (event.code === CLOSE_SESSION_ENDED) return { feed: { ...FEED_OFF, phase: 'ended' }, effects: [{ do: 'end_session' }] };
      return {
        feed: { phase: 'waiting', attempts: feed.attempts + 1, missed: true },
        effects: [{ do: 'schedule', ms: retryMs(feed.attempts, random) }],
      };
    case 'retry':
      return feed.phase === 'waiting' ? connect(feed) : stay;
    case 'network_back':
      return feed.phase === 'waiting' ? connect(feed, [{ do: 'unschedule' }]) : stay;
    case 'hidden':
      if (feed.phase === 'off' || feed.phase === 'ended' || feed.phase === 'hidden') return stay;
      return {
        feed: { phase: 'hidden', attempts: 0, missed: true },
        effects: [{ do: 'unschedule' }, { do: 'disconnect' }],
      };
    case 'visible':
      return feed.phase === 'hidden' ? connect(feed) : stay;
  }
}

function connect(feed: Feed, before: Effect[] = []): { feed: Feed; effects: Effect[] } {
  return { feed: { ...feed, phase: 'connecting' }, effects: [...before, { do: 'connect' }] };
}

/** Doubles from one second to half a minute; the wait itself is between half of that and all of it. */
export function retryMs(attempts: number, random: number): number {
  const whole = Math.min(RETRY_MS_FIRST * 2 ** Math.min(attempts, 10), RETRY_MS_MAX);
  return Math.round(whole * (0.5 + 0.5 * random));
}

export interface Subscription {
  devices: readonly number[] | 'all';
  /** null: every metric; a name that ends in `*` means all that begin so. */
  metrics: readonly string[] | null;
  /** One device looked at closely: the server may send up to 20 times a second. */
  focus: boolean;
}

/** One socket serves every part of a view, so what they want is joined. null: nobody wants anything. */
export function joinSubscriptions(wanted: readonly Subscription[]): Subscription | null {
  if (wanted.length === 0) return null;
  const devices = new Set<number>();
  const metrics = new Set<string>();
  let everyDevice = false;
  let everyMetric = false;
  for (const one of wanted) {
    if (one.devices === 'all') everyDevice = true;
    else one.devices.forEach((id) => devices.add(id));
    if (one.metrics === null) everyMetric = true;
    else one.metrics.forEach((metric) => metrics.add(metric));
  }
  return {
    devices: everyDevice ? 'all' : [...devices].sort((a, b) => a - b),
    metrics: everyMetric ? null : [...metrics].sort(),
    focus: !everyDevice && devices.size === 1 && wanted.some((one) => one.focus),
  };
}
