import { describe, expect, it } from 'vitest';
import { CLOSE_SESSION_ENDED, FEED_OFF, RETRY_MS_MAX, joinSubscriptions, retryMs, step, type Feed, type FeedEvent, type Subscription } from './feed';

/** Plays events; tells the last phase and everything that was to be done, in order. */
function play(...events: FeedEvent[]): { feed: Feed; done: string } {
  let feed = FEED_OFF;
  const done: string[] = [];
  for (const event of events) {
    const next = step(feed, event, 1);
    feed = next.feed;
    done.push(...next.effects.map((effect) => (effect.do === 'schedule' ? `schedule ${effect.ms}` : effect.do)));
  }
  return { feed, done: done.join(', ') };
}

const start: FeedEvent = { kind: 'start' };
const opened: FeedEvent = { kind: 'opened' };
const snapshot: FeedEvent = { kind: 'snapshot' };
const retry: FeedEvent = { kind: 'retry' };
const cut: FeedEvent = { kind: 'closed', code: 1006 };

describe('the live feed', () => {
  it('opens without asking for a resync', () => {
    const { feed, done } = play(start, opened, snapshot);
    expect(feed).toEqual({ phase: 'open', attempts: 0, missed: false });
    expect(done).toBe('connect');
  });

  it('waits longer after each failure, and forgets that once a snapshot came', () => {
    expect(play(start, cut, retry, cut, retry, cut).done).toBe(
      'connect, schedule 1000, connect, schedule 2000, connect, schedule 4000',
    );
    expect(play(start, cut, retry, opened, snapshot, cut).done).toBe('connect, schedule 1000, connect, resync, schedule 1000');
  });

  it('does not believe a socket that opens and closes at once', () => {
    const { feed, done } = play(start, opened, cut, retry, opened, cut);
    expect(feed.attempts).toBe(2);
    expect(done).toBe('connect, schedule 1000, connect, schedule 2000');
  });

  it('asks for a resync once after a cut', () => {
    expect(play(start, opened, snapshot, cut, retry, opened, snapshot, snapshot).done).toBe(
      'connect, schedule 1000, connect, resync',
    );
  });

  it('closes in a hidden tab and catches up when it is seen again', () => {
    const hidden = play(start, opened, snapshot, { kind: 'hidden' });
    expect(hidden.feed.phase).toBe('hidden');
    expect(hidden.done).toBe('connect, unschedule, disconnect');
    expect(play(start, opened, snapshot, { kind: 'hidden' }, { kind: 'visible' }, opened, snapshot).done).toBe(
      'connect, unschedule, disconnect, connect, resync',
    );
  });

  it('tries at once when the network is back', () => {
    expect(play(start, cut, { kind: 'network_back' }).done).toBe('connect, schedule 1000, unschedule, connect');
    expect(play(start, opened, snapshot, { kind: 'network_back' }).done).toBe('connect');
  });

  it('does not connect again after the session ended', () => {
    const { feed, done } = play(start, opened, snapshot, { kind: 'closed', code: CLOSE_SESSION_ENDED }, retry);
    expect(feed.phase).toBe('ended');
    expect(done).toBe('connect, end_session');
  });

  it('hears nothing from a socket it gave up', () => {
    expect(play(start, { kind: 'stop' }, opened, cut, retry).feed).toEqual(FEED_OFF);
  });
});

describe('the wait before a retry', () => {
  it('has an upper bound and is spread over its second half', () => {
    expect(retryMs(50, 1)).toBe(RETRY_MS_MAX);
    expect(retryMs(50, 0)).toBe(RETRY_MS_MAX / 2);
    expect(retryMs(0, 0.5)).toBe(750);
  });
});

describe('joined subscriptions', () => {
  const one = (devices: Subscription['devices'], metrics: string[] | null, focus = false): Subscription => ({ devices, metrics, focus });

  it('ask for everything that anyone wants', () => {
    expect(joinSubscriptions([one([3, 1], ['b']), one([1], ['a'])])).toEqual(one([1, 3], ['a', 'b']));
    expect(joinSubscriptions([one([1], ['a']), one('all', null)])).toEqual(one('all', null));
  });

  it('focus on one device only', () => {
    expect(joinSubscriptions([one([1], null, true)])?.focus).toBe(true);
    expect(joinSubscriptions([one([1], null, true), one([2], null)])?.focus).toBe(false);
  });

  it('are none when nobody listens', () => {
    expect(joinSubscriptions([])).toBeNull();
  });
});
