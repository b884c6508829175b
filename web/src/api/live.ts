/** The live feed: one socket for the whole page. Carries out what `feed.ts` decides. */

import { readonly, ref } from 'vue';
import { decode } from '../lib/decode';
import { FEED_OFF, joinSubscriptions, step, type Feed, type FeedEvent, type Subscription } from './feed';
import { liveMessage, type LiveUpdate } from './model';

/** A glance at another tab does not cost the connection. */
const HIDDEN_MS_MAX = 20_000;

export interface Listener {
  update(update: LiveUpdate): void;
  /** Called after a cut, once the feed works again: fetch what may have been missed. */
  resync(): void;
}

let feed: Feed = FEED_OFF;
let socket: WebSocket | null = null;
let retryTimer: ReturnType<typeof setTimeout> | null = null;
let hideTimer: ReturnType<typeof setTimeout> | null = null;
let sent = '';
let onSessionEnd: () => void = () => {};
let onCut: () => void = () => {};

const entries = new Set<{ subscription: Subscription; listener: Listener }>();

const phase = ref<Feed['phase']>('off');
const attempts = ref(0);
const updated_ms = ref<number | null>(null);
const unreadable = ref(false);

/** For the header: is the feed up, and how old is what is shown (server's time). */
export const liveStatus = { phase: readonly(phase), attempts: readonly(attempts), updated_ms: readonly(updated_ms), unreadable: readonly(unreadable) };

/** Listens until the returned function is called. */
export function subscribe(subscription: Subscription, listener: Listener): () => void {
  const entry = { subscription, listener };
  entries.add(entry);
  // A view that replaces another unsubscribes and subscribes in one go: settle once for both.
  queueMicrotask(settle);
  return () => {
    entries.delete(entry);
    queueMicrotask(settle);
  };
}

/** `ended`: the server said that the session is over. `cut`: the socket is gone, for whatever reason. */
export function whenLiveStops(listeners: { ended(): void; cut(): void }): void {
  onSessionEnd = listeners.ended;
  onCut = listeners.cut;
}

function settle(): void {
  const wanted = joinSubscriptions([...entries].map((entry) => entry.subscription));
  if (wanted === null) {
    if (feed.phase !== 'off') dispatch({ kind: 'stop' });
    return;
  }
  if (feed.phase === 'off' || feed.phase === 'ended') dispatch({ kind: 'start' });
  const message = JSON.stringify({ subscribe: wanted });
  if (socket?.readyState !== WebSocket.OPEN || message === sent) return;
  socket.send(message);
  sent = message;
}

function dispatch(event: FeedEvent): void {
  const next = step(feed, event, Math.random());
  feed = next.feed;
  phase.value = feed.phase;
  attempts.value = feed.attempts;
  for (const effect of next.effects) {
    switch (effect.do) {
      case 'connect':
        connect();
        break;
      case 'disconnect':
        disconnect();
        break;
      case 'schedule':
        retryTimer = setTimeout(() => dispatch({ kind: 'retry' }), effect.ms);
        onCut();
        break;
      case 'unschedule':
        if (retryTimer !== null) clearTimeout(retryTimer);
        retryTimer = null;
        break;
      case 'resync':
        for (const entry of [...entries]) entry.listener.resync();
        break;
      case 'end_session':
        onSessionEnd();
        break;
    }
  }
}

function connect(): void {
  disconnect();
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const opened = new WebSocket(`${scheme}://${location.host}/api/v1/live`);
  socket = opened;
  // A socket that was given up may still speak: only the present one is heard.
  opened.addEventListener('open', () => {
    if (socket !== opened) return;
    dispatch({ kind: 'opened' });
    settle();
  });
  opened.addEventListener('message', (message) => {
    if (socket === opened) receive(message.data);
  });
  opened.addEventListener('close', (closed) => {
    if (socket !== opened) return;
    socket = null;
    sent = '';
    dispatch({ kind: 'closed', code: closed.code });
  });
}

function disconnect(): void {
  const old = socket;
  socket = null;
  sent = '';
  old?.close();
}

function receive(data: unknown): void {
  let update: LiveUpdate;
  try {
    update = decode(liveMessage, JSON.parse(String(data)));
  } catch {
    // One message that cannot be read is skipped; the next snapshot brings everything again. The person is
    // told, because a newer server may say what this page cannot show.
    unreadable.value = true;
    return;
  }
  updated_ms.value = update.t_ms;
  for (const entry of [...entries]) entry.listener.update(update);
  if (update.snapshot) dispatch({ kind: 'snapshot' });
}

if (typeof document !== 'undefined') {
  document.addEventListener('visibilitychange', () => {
    if (hideTimer !== null) clearTimeout(hideTimer);
    hideTimer = null;
    if (document.hidden) hideTimer = setTimeout(() => dispatch({ kind: 'hidden' }), HIDDEN_MS_MAX);
    else dispatch({ kind: 'visible' });
  });
  window.addEventListener('online', () => dispatch({ kind: 'network_back' }));
}
