/**
 * A made-up fleet with a past: devices like people have them, a year of figures, usage of two months,
 * logs of a week, and new reports as long as somebody looks. Everything follows from one seed.
 */

import { gzipSync } from 'node:zlib';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const GB = 1_000_000_000;

/** Rows of one report; its JSON stays far below what the server takes. */
const ROWS_PER_REPORT = 2_000;

export interface DemoDevice {
  id: number;
  name: string;
  type: string;
  tags: string[];
  key: string;
  /** 0 to 1, fixed for the device: what makes it busy or calm. */
  load: number;
  /** Answers of its assistant on a working day: a few devices do most of a fleet's. */
  answers: number;
  cores: number;
  memory: number;
  disk: number;
  /** How it is to be shown: most are well. */
  fate: 'well' | 'gateway_down' | 'failing' | 'silent' | 'never' | 'bare';
  seq: number;
  /** When the fleet was made up. */
  started_ms: number;
}

const PLACES = ['home', 'office', 'hetzner', 'lab', 'aliyun', 'travel'];
const NAMES: readonly (readonly [name: string, type: string, tags: string[]])[] = [
  ['mac-studio', 'desktop', ['home', 'main']],
  ['书房-nas', 'nas', ['home']],
  ['thinkpad-x1', 'laptop', ['travel']],
  ['fra-vps-01', 'vps', ['hetzner', 'prod']],
  ['fra-vps-02', 'vps', ['hetzner', 'prod']],
  ['sh-aliyun-1', 'vps', ['aliyun', 'prod']],
  ['build-box', 'server', ['office', 'ci']],
  ['gpu-rig', 'desktop', ['lab', 'gpu']],
  ['raspi-garage', 'other', ['home']],
  ['macbook-lin', 'laptop', ['travel', 'main']],
];

/** Same seed, same numbers. Source: mulberry32 by Tommy Ettinger, public domain. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export type Api = (method: string, path: string, body?: unknown) => Promise<unknown>;

/** Requests under way at once, as those of many devices would be. */
const AT_ONCE = 16;

export async function addFleet(api: Api, count: number, seed: number): Promise<DemoDevice[]> {
  const next = random(seed);
  const planned = Array.from({ length: count }, (_, index) => plan(index, next()));
  return await someAtOnce(planned, async (device) => await add(api, device));
}

async function add(api: Api, device: Omit<DemoDevice, 'id' | 'key'>): Promise<DemoDevice> {
  const { name, type, tags } = device;
  const added = (await api('POST', '/api/v1/devices', { name, device_type: type, tags, notes: '' })) as { device: { id: number }; api_key: string };
  return { ...device, id: added.device.id, key: added.api_key };
}

/** Answers a day of the devices that people work with, by their place in the fleet; the others have a few. */
const BUSY: Record<number, number> = { 0: 52, 2: 17, 5: 9, 6: 26, 7: 13, 9: 34 };

function answers(index: number, chance: number): number {
  return BUSY[index] ?? (index % 3 === 2 ? 0 : 5 * chance ** 3);
}

const FATES: Record<number, DemoDevice['fate']> = { 4: 'silent', 6: 'failing', 8: 'gateway_down', 11: 'never', 17: 'silent', 23: 'failing' };

function plan(index: number, chance: number): Omit<DemoDevice, 'id' | 'key'> {
  const place = PLACES[index % PLACES.length] ?? 'lab';
  const [name, type, tags] = NAMES[index] ?? [`${place}-${String(index + 1).padStart(2, '0')}`, ['server', 'vps', 'desktop', 'nas'][index % 4] ?? 'other', [place]];
  return {
    name,
    type,
    tags: [...tags],
    load: 0.08 + chance * 0.5,
    answers: answers(index, chance),
    cores: [8, 4, 8, 4, 4, 2, 16, 12, 4, 10][index % 10] ?? 4,
    memory: [64, 16, 32, 8, 8, 4, 64, 128, 4, 36][index % 10] ?? 8,
    disk: [2_000, 16_000, 1_000, 160, 160, 80, 4_000, 2_000, 64, 1_000][index % 10] ?? 250,
    fate: FATES[index] ?? (index % 13 === 12 ? 'bare' : 'well'),
    seq: 0,
    started_ms: Date.now(),
  };
}

export type Values = Record<string, number>;

/** Figures of a device at a moment: a day has a rhythm, a week too, disks fill up, and one day in March all cores were busy for a second. */
export function figures(device: DemoDevice, t_ms: number, now_ms: number, next: () => number): Values {
  const hour = (t_ms / HOUR) % 24;
  const rhythm = 0.55 + 0.45 * Math.sin(((hour - 8) / 24) * 2 * Math.PI);
  const burst = next() < 0.02 ? next() * 60 : 0;
  const cpu = Math.min(100, Math.max(0.3, device.load * 70 * rhythm + (next() - 0.5) * 9 + burst));
  const used = device.memory * GB * Math.min(0.97, 0.32 + device.load * 0.6 + 0.05 * Math.sin(t_ms / (5 * HOUR)) + (next() - 0.5) * 0.01);
  const age = (now_ms - t_ms) / (365 * DAY);
  const full = device.disk * GB * Math.min(0.96, 0.28 + device.load - 0.22 * age);
  const one = (value: number): number => Math.round(value * 10) / 10;
  const values: Values = {
    cpu_percent: one(cpu),
    memory_total: device.memory * GB,
    memory_used: Math.round(used),
    memory_percent: one((used / (device.memory * GB)) * 100),
    disk_total: device.disk * GB,
    disk_used: Math.round(full),
    disk_percent: one((full / (device.disk * GB)) * 100),
    net_rx_rate: Math.round(40_000 + next() * 900_000 * rhythm + burst * 180_000),
    net_tx_rate: Math.round(9_000 + next() * 240_000 * rhythm + burst * 30_000),
    load1: one((cpu / 100) * device.cores + next() * 0.3),
    load5: one((cpu / 100) * device.cores),
    load15: one((device.load * 70 * rhythm * device.cores) / 100),
  };
  if (device.fate !== 'bare') {
    values['swap_total'] = 4 * GB;
    values['swap_used'] = Math.round(0.4 * GB * device.load);
    values['gateway_rss'] = Math.round((310 + 120 * rhythm + next() * 10) * 1_000_000);
    values['gateway_cpu_percent'] = one(2 + burst / 4 + next());
    values['gateway_up'] = device.fate === 'gateway_down' ? 0 : 1;
    values['gateway_ready'] = device.fate === 'well' ? 1 : 0;
    values['sessions_active'] = Math.round(3 * rhythm + next() * 2);
  }
  return values;
}

/** Since when it runs: some days, and a troubled one was started again four hours ago. */
function bootedMs(device: DemoDevice, t_ms: number): number {
  const again = device.started_ms - 4 * HOUR;
  const troubled = device.fate === 'failing' || device.fate === 'gateway_down';
  return troubled && t_ms >= again ? again : device.started_ms - (3 + (device.id % 9)) * DAY;
}

/** What only recent rows carry: cores, further disks, temperature. */
export function details(device: DemoDevice, values: Values, t_ms: number, next: () => number): Values {
  const more: Values = { uptime_s: Math.round((t_ms - bootedMs(device, t_ms)) / 1_000), processes: 212 + Math.round(next() * 20), disk_read_rate: Math.round(next() * 4_000_000), disk_write_rate: Math.round(next() * 9_000_000) };
  if (device.fate === 'failing') Object.assign(more, { cron_failing: 2, pairings_pending: 1, clock_offset_ms: 74_000 });
  for (let core = 0; core < device.cores; core += 1) {
    more[`cpu_core_percent{core="${core}"}`] = Math.round(Math.min(100, Math.max(0, (values['cpu_percent'] ?? 0) * (0.4 + next() * 1.3))) * 10) / 10;
  }
  if (device.type === 'nas') {
    more['disk_total{mount="/volume2"}'] = 8_000 * GB;
    more['disk_used{mount="/volume2"}'] = Math.round(8_000 * GB * (0.4 + ((device.id * 37) % 56) / 100));
  }
  more['temperature_celsius{sensor="cpu"}'] = Math.round(38 + (values['cpu_percent'] ?? 0) / 2.4);
  return { ...values, ...more };
}

const PLATFORMS: Record<string, Record<string, unknown>> = {
  desktop: { os: 'macOS 15.6', arch: 'aarch64', kernel: '24.6.0', cpu_model: 'Apple M2 Max' },
  laptop: { os: 'Windows 11 24H2', arch: 'x86_64', kernel: '26100', cpu_model: 'Intel Core Ultra 7 155H' },
  nas: { os: 'Debian GNU/Linux 13', arch: 'x86_64', kernel: '6.12.38', cpu_model: 'Intel N100' },
  server: { os: 'Debian GNU/Linux 13', arch: 'x86_64', kernel: '6.12.38', cpu_model: 'AMD Ryzen 9 7950X' },
  vps: { os: 'Ubuntu 24.04.3 LTS', arch: 'x86_64', kernel: '6.8.0', cpu_model: 'AMD EPYC 7763' },
  other: { os: 'Raspberry Pi OS 12', arch: 'aarch64', kernel: '6.6.74', cpu_model: 'Cortex-A76' },
};

export function report(device: DemoDevice, boot: string, rest: Record<string, unknown>): Record<string, unknown> {
  device.seq += 1;
  const states: Record<string, string> =
    device.fate === 'gateway_down'
      ? { gateway: 'crashed', usage: 'ok' }
      : device.fate === 'failing'
        ? { gateway: 'degraded', gateway_failing: 'telegram', usage: 'quiet' }
        : device.fate === 'bare'
          ? {}
          : { gateway: 'running', usage: 'ok' };
  return {
    agent: { version: '0.1.0', boot_id: boot, seq: device.seq, interval_s: device.fate === 'silent' ? 5 : 60 },
    facts: { hostname: device.name, cores: device.cores, openclaw_version: device.fate === 'bare' ? undefined : ['2026.9.6', '2026.9.4', '2026.8.1'][device.id % 3], public_ip: `203.0.113.${device.id % 250}`, ...PLATFORMS[device.type] },
    states,
    ...rest,
  };
}

export async function send(ingest: string, key: string, body: unknown): Promise<void> {
  const answer = await fetch(`${ingest}/api/v1/report`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-encoding': 'gzip' },
    body: gzipSync(JSON.stringify(body), { level: 1 }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`report refused: ${answer.status} ${text}`);
  const { rejected, faults } = JSON.parse(text) as { rejected: number; faults: unknown[] };
  if (rejected > 0) throw new Error(`rows refused: ${JSON.stringify(faults[0])}`);
}

/** Unique for a device and a run of it. */
export function bootId(device: number): string {
  return `00000000-0000-4000-8000-${String(device).padStart(12, '0')}`;
}

/** The year before now: the first device in steps of ten minutes, the others in steps of six hours, the last day every two minutes. */
export async function sendPast(ingest: string, fleet: readonly DemoDevice[], now_ms: number, seed: number): Promise<void> {
  const one = async (device: DemoDevice): Promise<void> => {
    if (device.fate === 'never') return;
    const next = random(seed + device.id);
    const until = now_ms - (device.fate === 'silent' ? 3 * HOUR : 0);
    const step = device === fleet[0] ? 10 * MINUTE : 6 * HOUR;
    const spike = now_ms - 255 * DAY;
    let rows: { t_ms: number; v: Values }[] = [];
    const flush = async (more: Record<string, unknown> = {}): Promise<void> => {
      await send(ingest, device.key, report(device, bootId(device.id), { rows, ...more }));
      rows = [];
    };
    for (let t_ms = now_ms - 364 * DAY; t_ms < until; t_ms += t_ms < now_ms - DAY ? step : 2 * MINUTE) {
      // A machine that was off for a night, so that the strip and the charts have something to say.
      if (device.id % 5 === 2 && t_ms > now_ms - 9 * HOUR && t_ms < now_ms - 7 * HOUR) continue;
      const values = figures(device, t_ms, now_ms, next);
      if (device === fleet[0] && Math.abs(t_ms - spike) < step / 2) {
        // One second, one row: the mean of a day does not show it, the band must.
        rows.push({ t_ms: t_ms + 1_000, v: { ...values, cpu_percent: 100 } });
      }
      rows.push({ t_ms, v: t_ms > now_ms - DAY ? details(device, values, t_ms, next) : values });
      if (rows.length >= ROWS_PER_REPORT) await flush();
    }
    await flush({ usage: usage(device, now_ms, next), logs: logs(device, now_ms, next) });
  };
  await someAtOnce(fleet, one);
}

/** A few at a time, as many devices' reports would meet. */
async function someAtOnce<In, Out>(all: readonly In[], one: (each: In) => Promise<Out>): Promise<Out[]> {
  const done: Out[] = [];
  for (let at = 0; at < all.length; at += AT_ONCE) done.push(...(await Promise.all(all.slice(at, at + AT_ONCE).map(one))));
  return done;
}

const MODELS = [
  ['anthropic', 'claude-sonnet-4-5', 3, 15],
  ['anthropic', 'claude-opus-4-1', 15, 75],
  ['openai', 'gpt-5', 1.25, 10],
  ['deepseek', 'deepseek-chat', 0.28, 0.42],
  ['ollama', 'qwen3-32b', 0, 0],
] as const;

function usage(device: DemoDevice, now_ms: number, next: () => number): unknown[] {
  if (device.fate === 'bare') return [];
  const events: unknown[] = [];
  for (let day = 60; day >= 0; day -= 1) {
    const weekend = [0, 6].includes(new Date(now_ms - day * DAY).getUTCDay());
    // A part of an answer is the chance of one.
    const turns = device.answers * (weekend ? 0.4 : 1) * (0.5 + next()) + next();
    for (let turn = 0; turn < Math.floor(turns); turn += 1) {
      const t_ms = Math.round(now_ms - day * DAY - next() * 11 * HOUR);
      const [provider, model, into, out] = MODELS[Math.floor(next() * next() * MODELS.length)] ?? MODELS[0];
      const input = Math.round(400 + next() * 9_000);
      const output = Math.round(80 + next() * 2_400);
      const cache_read = Math.round(next() * 60_000);
      const reported = provider !== 'ollama' && provider !== 'deepseek';
      events.push({
        event_id: `${device.id}-${day}-${turn}`,
        t_ms,
        agent: ['main', 'coder', 'telegram'][Math.floor(next() * 3)],
        provider,
        model,
        input,
        output,
        cache_read,
        cache_write: Math.round(next() * 3_000),
        ...(reported ? { cost_usd: (input * into + output * out + cache_read * into * 0.1) / 1e6, cost_basis: 'reported' } : {}),
      });
    }
  }
  return events;
}

const LINES: readonly (readonly [level: string, source: string, message: string])[] = [
  ['info', 'gateway', 'listening on 127.0.0.1:18789'],
  ['info', 'gateway', 'cron job "daily summary" finished in 4.2 s'],
  ['info', 'gateway/telegram', 'update 48213 handled in 312 ms'],
  ['warn', 'gateway/provider', 'anthropic answered 529 overloaded, trying again in 8 s'],
  ['warn', 'gateway', '会话压缩用了 12.4 秒'],
  ['error', 'gateway/telegram', 'getUpdates failed: ETIMEDOUT 149.154.167.220:443'],
  ['error', 'gateway/provider', 'rate limit reached for model claude-sonnet-4-5: 429 Too Many Requests'],
  ['error', 'gateway', 'tool exec failed: command not found: rg'],
  ['fatal', 'gateway', 'out of memory: heap limit 4096 MB reached'],
];

function logs(device: DemoDevice, now_ms: number, next: () => number): unknown[] {
  const lines: { t_ms: number; level: string; source: string; message: string }[] = [];
  for (let line = 0; line < 40; line += 1) {
    const pick = device.fate === 'well' || device.fate === 'bare' ? next() * 6.2 : next() * LINES.length;
    const [level, source, message] = LINES[Math.floor(pick)] ?? ['info', 'gateway', 'ok'];
    lines.push({ t_ms: Math.round(now_ms - next() * 3 * DAY - (device.fate === 'silent' ? 3 * HOUR : 0)), level, source, message });
  }
  // What went wrong went wrong many times within a few minutes.
  const burst = device.fate === 'failing' ? 34 : 0;
  for (let line = 0; line < burst; line += 1) lines.push({ t_ms: Math.round(now_ms - 95 * MINUTE + next() * 4 * MINUTE), level: 'error', source: 'gateway/telegram', message: 'getUpdates failed: ETIMEDOUT 149.154.167.220:443' });
  return lines.sort((a, b) => a.t_ms - b.t_ms);
}

/** Reports of all devices that are alive, once; to be called every few seconds. */
export async function sendNow(ingest: string, fleet: readonly DemoDevice[], now_ms: number, next: () => number): Promise<void> {
  const alive = fleet.filter((device) => device.fate !== 'never' && device.fate !== 'silent');
  const one = async (device: DemoDevice): Promise<void> => {
    const values = details(device, figures(device, now_ms, now_ms, next), now_ms, next);
    await send(ingest, device.key, report(device, bootId(device.id), { rows: [{ t_ms: now_ms, v: values }] }));
  };
  await someAtOnce(alive, one);
}

/**
 * The last day of the fleet as `/api/v1/activity` would tell it, had the server been running: it was started a minute
 * ago, and what it did not see itself it does not claim to know.
 */
export function madeUpDay(id: number, state: string, known: string): string {
  const next = random(id);
  const slots = known.length;
  const letters = [...known].map((letter) => (letter === '-' ? 'o' : letter));
  const from = (hours: number): number => slots - hours * 4;
  if (state === 'new') return known;
  if (state === 'offline') letters.fill('x', from(3));
  if (state === 'degraded') letters.fill('d', from(2 + Math.floor(next() * 5)));
  if (id % 5 === 2) letters.fill('x', from(9), from(7));
  if (id % 7 === 3) letters.fill('i', from(16), from(16) + 1);
  if (id % 11 === 4) letters.fill('d', from(20), from(18));
  return letters.join('');
}
