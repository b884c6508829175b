import { describe, expect, it } from 'vitest';
import { decode } from '../lib/decode';
import { device, type Device } from '../api/model';
import { inOrder, level, matches, tagCounts, type SortKey } from './fleet';

let id = 0;
function make(name: string, state: string, latest: Record<string, number> = {}, more: object = {}): Device {
  id += 1;
  return decode(device, { id, name, device_type: 'server', state, latest, ...more });
}

function order(devices: Device[], key: SortKey, descending = false): string {
  return inOrder(devices, { key, descending }, () => null)
    .map((one) => one.name)
    .join(' ');
}

describe('the order of the list', () => {
  const devices = [
    make('calm', 'online', { cpu_percent: 99, memory_percent: 20 }),
    make('full', 'online', { disk_percent: 93 }),
    make('full-mount', 'online', { disk_percent: 10, 'disk_used{mount="/data"}': 95, 'disk_total{mount="/data"}': 100 }),
    make('late-cron', 'online', { cron_late: 1 }),
    make('fresh', 'new'),
    make('limping', 'degraded'),
    make('gone', 'offline', { cpu_percent: 5 }),
  ];

  it('puts first what needs somebody', () => {
    expect(order(devices, 'needs')).toBe('gone limping fresh full full-mount late-cron calm');
  });

  it('does not follow the CPU, which would make rows jump', () => {
    const hot = devices.map((one) => ({ ...one, latest: { ...one.latest, cpu_percent: Math.random() * 100 } }));
    expect(order(hot, 'needs')).toBe(order(devices, 'needs'));
  });

  it('by a figure has the unknown last, whichever way', () => {
    expect(order(devices.slice(0, 1).concat(devices.slice(4)), 'cpu', true)).toBe('calm gone fresh limping');
    expect(order(devices.slice(0, 1).concat(devices.slice(4)), 'cpu')).toBe('gone calm fresh limping');
  });

  it('by the last day has those first that were away the longest', () => {
    const [a, b, c] = [make('a', 'online'), make('b', 'online'), make('c', 'online')];
    const up = new Map([[a.id, 99.5], [b.id, 12]]);
    const names = (descending: boolean): string => inOrder([a, b, c], { key: 'availability', descending }, (of) => up.get(of) ?? null).map((one) => one.name).join(' ');
    expect([names(false), names(true)]).toEqual(['b a c', 'a b c']);
  });

  it('by name counts numbers', () => {
    expect(order([make('pi-10', 'online'), make('pi-9', 'online')], 'name')).toBe('pi-9 pi-10');
  });
});

describe('filters', () => {
  const nas = make('Basement NAS', 'online', {}, { tags: ['home', 'storage'], facts: { hostname: 'ds920', os: 'DSM 7' } });

  it.each([
    ['basement', true],
    ['STOR', true],
    ['ds92', true],
    ['  dsm ', true],
    ['attic', false],
  ])('text %s: %s', (text, found) => expect(matches(nas, { text, tag: null, state: null })).toBe(found));

  it('all hold at once', () => {
    expect(matches(nas, { text: 'nas', tag: 'home', state: 'online' })).toBe(true);
    expect(matches(nas, { text: 'nas', tag: 'home', state: 'offline' })).toBe(false);
    expect(matches(nas, { text: 'nas', tag: 'hom', state: null })).toBe(false);
  });

  it('know every tag and how often it is used', () => {
    expect(tagCounts([nas, make('b', 'online', {}, { tags: ['home'] })])).toEqual([
      ['home', 2],
      ['storage', 1],
    ]);
  });
});

describe('bars', () => {
  it('turn amber at 65 and red at 90', () => {
    expect([64.9, 65, 89.9, 90, null].map(level)).toEqual(['ok', 'warn', 'warn', 'critical', 'ok']);
  });
});
