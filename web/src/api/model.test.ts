import { describe, expect, it } from 'vitest';
import { decode } from '../lib/decode';
import { device, liveMessage, logPage, queryAnswer } from './model';

describe('a device', () => {
  it('that never reported has empty facts and values', () => {
    const decoded = decode(device, {
      id: 7,
      name: 'new-thing',
      device_type: 'vps',
      tags: [],
      notes: '',
      state: 'new',
      reason: null,
      since_ms: null,
      created_ms: 1,
      last_seen_ms: null,
      interval_s: 30,
      agent_version: null,
      facts: {},
      states: {},
      latest_ms: null,
      latest: {},
      tokens_today: 0,
    });
    expect(decoded.facts.hostname).toBeNull();
    expect(decoded.latest).toEqual({});
  });

  it('of a type this page does not know is "other"; an unknown state is refused', () => {
    const base = { id: 1, name: 'x', device_type: 'toaster', state: 'online' };
    expect(decode(device, base).device_type).toBe('other');
    expect(() => decode(device, { ...base, state: 'asleep' })).toThrow('state');
  });
});

describe('a live message', () => {
  it('is a snapshot or a change', () => {
    const rows = { '1': { cpu_percent: 1.5 } };
    expect(decode(liveMessage, { snapshot: { t_ms: 5, rows, states: {}, logs: [] } })).toMatchObject({ snapshot: true, t_ms: 5, rows });
    expect(decode(liveMessage, { t_ms: 6, rows })).toMatchObject({ snapshot: false, states: {}, logs: [], devices_changed: false });
  });

  it('without a time is refused', () => {
    expect(() => decode(liveMessage, { rows: {} })).toThrow('t_ms');
  });
});

describe('a page of logs', () => {
  it('takes a cursor as number or text, and null as the end', () => {
    expect(decode(logPage, { logs: [], next: 12 }).next).toBe('12');
    expect(decode(logPage, { logs: [], next: 'a-1' }).next).toBe('a-1');
    expect(decode(logPage, { logs: [], next: null }).next).toBeNull();
  });
});

describe('a query answer', () => {
  it('may leave out the aggregates that were not asked for', () => {
    const answer = { tier: 'raw', step_ms: 0, from_ms: 0, to_ms: 9, t_ms: [1], series: [{ device: 1, metric: 'cpu_percent', avg: [null] }] };
    expect(decode(queryAnswer, answer).series[0]).toEqual({ device: 1, metric: 'cpu_percent', avg: [null], min: null, max: null });
    expect(decode(queryAnswer, answer).gaps).toEqual([]);
  });
});
