/** What the server says, as types and the decoders that make them. Times are Unix milliseconds, sizes bytes. */

import {
  array,
  boolean,
  nullable,
  number,
  object,
  oneOf,
  record,
  recordOf,
  string,
  withDefault,
  type Decoder,
} from '../lib/decode';

type Of<D> = D extends Decoder<infer T> ? T : never;

export const DEVICE_TYPES = ['laptop', 'desktop', 'server', 'nas', 'vps', 'other'] as const;
export type DeviceType = (typeof DEVICE_TYPES)[number];

export const DEVICE_STATES = ['offline', 'degraded', 'new', 'online'] as const;
export type DeviceState = (typeof DEVICE_STATES)[number];

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const deviceState = oneOf(...DEVICE_STATES);

/** A type or level this page does not know yet is shown as the nearest harmless one. */
const deviceType: Decoder<DeviceType> = (value, path) =>
  DEVICE_TYPES.find((known) => known === string(value, path)) ?? 'other';
const logLevel: Decoder<LogLevel> = (value, path) => LOG_LEVELS.find((known) => known === string(value, path)) ?? 'info';

export const session = object({
  user: object({ id: withDefault(number, () => 0), username: string, role: string }),
  csrf_token: string,
  /** `plain`: what is typed can be read by everybody on the way. */
  transport: withDefault(string, () => 'tls'),
});
export type Session = Of<typeof session>;

/** What keeps the server from its work; a word this page does not know yet comes with the server's own sentence. */
export const readiness = object({ ready: boolean, reason: nullable(string), code: nullable(string) });
export type Readiness = Of<typeof readiness>;

const text = nullable(string);

const facts = withDefault(
  object({
    hostname: text,
    os: text,
    arch: text,
    kernel: text,
    cpu_model: text,
    cores: nullable(number),
    openclaw_version: text,
    public_ip: text,
  }),
  () => ({
    hostname: null,
    os: null,
    arch: null,
    kernel: null,
    cpu_model: null,
    cores: null,
    openclaw_version: null,
    public_ip: null,
  }),
);
export type Facts = Of<typeof facts>;

/** Metric name to value; what is not a number is left out. */
const values = recordOf(number);
export type Values = Of<typeof values>;

const spent = object({ tokens: number, cost_usd: number, basis: withDefault(array(string), () => []) });
export type Spent = Of<typeof spent>;
const spentDays = object({ today: spent, yesterday: spent, month: spent, total: spent });

export const device = object({
  id: number,
  name: string,
  device_type: deviceType,
  tags: withDefault(array(string), () => []),
  notes: withDefault(string, () => ''),
  state: deviceState,
  reason: text,
  since_ms: nullable(number),
  created_ms: nullable(number),
  last_seen_ms: nullable(number),
  interval_s: nullable(number),
  agent_version: text,
  facts,
  states: withDefault(recordOf(string), () => ({})),
  latest_ms: nullable(number),
  latest: withDefault(values, () => ({})),
  tokens_today: withDefault(number, () => 0),
  usage: nullable(spentDays),
});
export type Device = Of<typeof device>;

export const deviceList = object({ devices: array(device), now_ms: nullable(number) });
export const deviceAnswer = object({ device });

const install = object({ linux: string, macos: string, windows: string, docker: string });
export type Install = Of<typeof install>;

export const deviceAdded = object({ device, api_key: string, install });
export type DeviceAdded = Of<typeof deviceAdded>;

const enrollCode = object({ id: number, used_ms: nullable(number), device: nullable(number), expires_ms: number });
export type EnrollCode = Of<typeof enrollCode>;
export const enrollCodeMade = object({ code: string, enroll_code: enrollCode, install });
export const enrollCodeList = object({ enroll_codes: array(enrollCode) });

export const keyRotated = object({ api_key: string, install });
export type KeyRotated = Of<typeof keyRotated>;

export const deviceDeleted = object({
  deleted: object({ chunks: number, bytes: number, logs: number, events: number }),
});
export type DeviceDeleted = Of<typeof deviceDeleted>['deleted'];

const column = withDefault(nullable(array(nullable(number))), () => null);

const series = object({ device: number, metric: string, avg: column, min: column, max: column });
export type Series = Of<typeof series>;

const gap = object({ device: number, from_ms: number, to_ms: number, cause: string });
export type Gap = Of<typeof gap>;

export const queryAnswer = object({
  tier: string,
  step_ms: number,
  from_ms: number,
  to_ms: number,
  t_ms: array(number),
  series: array(series),
  gaps: withDefault(array(gap), () => []),
});
export type QueryAnswer = Of<typeof queryAnswer>;

const axis = { from_ms: number, step_ms: number };
/** The last day and the last hour of each device. */
export const activityList = object({
  now_ms: number,
  availability: object({ ...axis, slots: number }),
  spark: object({ ...axis, points: number }),
  /** `availability` is a letter for each slot; see `lib/strip.ts`. */
  devices: array(object({ id: number, availability: string, online_percent: nullable(number), spark: array(nullable(number)) })),
});
export type ActivityList = Of<typeof activityList>;

const words = withDefault(array(string), () => []);
const perDay = object({ today: number, yesterday: number, month: withDefault(number, () => 0), total: number });

export const summary = object({
  now_ms: number,
  devices: object({ online: number, degraded: number, offline: number, new: number, total: number }),
  tokens: perDay,
  cost_usd: perDay,
  cost_basis: withDefault(object({ today: words, yesterday: words, month: words, total: words }), () => ({ today: [], yesterday: [], month: [], total: [] })),
  errors_24h: number,
  storage: object({ bytes: number, samples: number }),
  version: string,
});
export type Summary = Of<typeof summary>;

const log = object({
  id: number,
  device: nullable(number),
  device_name: withDefault(string, () => ''),
  t_ms: number,
  level: logLevel,
  source: withDefault(string, () => ''),
  message: string,
  /** Lines that say the same have the same one. */
  group: withDefault(string, () => ''),
});
export type Log = Of<typeof log>;

/** The server's place to go on from; opaque, so a number or text. */
const cursor: Decoder<string | null> = (value) =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : null;

export const logPage = object({ logs: array(log), next: cursor });
export type LogPage = Of<typeof logPage>;

const logGroup = object({
  id: string,
  source: string,
  template: string,
  count: number,
  first_ms: number,
  last_ms: number,
  level: logLevel,
  devices: array(object({ device: number, device_name: text, count: number })),
  devices_total: number,
  example: string,
});
export type LogGroup = Of<typeof logGroup>;
export const logGroups = object({ groups: array(logGroup), groups_total: number, lines_total: number });
export type LogGroups = Of<typeof logGroups>;

const numbers = array(number);

export const logCounts = object({ from_ms: number, step_ms: number, counts: numbers });
export type LogCounts = Of<typeof logCounts>;

export const usageSteps = object({ from_ms: number, step_ms: number, messages: numbers, input: numbers, output: numbers, cache_read: numbers, cache_write: numbers, cost_usd: numbers });
export type UsageSteps = Of<typeof usageSteps>;

const event = object({
  id: number,
  device: nullable(number),
  device_name: withDefault(string, () => ''),
  t_ms: number,
  kind: string,
  detail: withDefault(record<unknown>((value) => value), () => ({})),
});
export type DeviceEvent = Of<typeof event>;

export const eventPage = object({ events: array(event), next: cursor });
export type EventPage = Of<typeof eventPage>;

const liveState = object({
  state: deviceState,
  reason: text,
  since_ms: nullable(number),
  last_seen_ms: nullable(number),
  latest_ms: nullable(number),
});
export type LiveState = Of<typeof liveState>;

const livePart = object({
  t_ms: number,
  rows: withDefault(recordOf(values), () => ({})),
  states: withDefault(recordOf(liveState), () => ({})),
  logs: withDefault(array(log), () => []),
  devices_changed: withDefault(boolean, () => false),
});

export type LiveUpdate = Of<typeof livePart> & { snapshot: boolean };

export const liveMessage: Decoder<LiveUpdate> = (value, path) => {
  const whole = object({ snapshot: nullable(livePart) })(value, path);
  return whole.snapshot ? { ...whole.snapshot, snapshot: true } : { ...livePart(value, path), snapshot: false };
};

export const errorAnswer = object({ error: object({ code: string, message: string, field: text }) });

/** How long something is kept and what that takes; null while nobody can tell. */
const keepCost = { keep_days: number, keep_bytes: nullable(number), bytes_per_day: nullable(number), forecast_bytes: nullable(number) };
const tier = object({ tier: string, chunks: number, bytes: number, oldest_ms: nullable(number), samples: number, bytes_per_sample: nullable(number), ...keepCost });
export type Tier = Of<typeof tier>;

export const storage = object({
  tiers: array(tier),
  logs: object({ bytes: number, oldest_ms: nullable(number), ...keepCost }),
  forecast_bytes: nullable(number),
  bytes_per_sample: nullable(number),
  metrics_refused: number,
  queries_refused: number,
  tail_bytes: number,
  head_samples: number,
  meta_bytes: number,
  log_bytes: withDefault(number, () => 0),
  total_bytes: number,
  damaged_chunks: withDefault(number, () => 0),
  damaged_bytes: withDefault(number, () => 0),
  damaged_groups: withDefault(number, () => 0),
  reports_refused: withDefault(number, () => 0),
});
export type Storage = Of<typeof storage>;

const user = object({ id: number, username: string, role: string, created_ms: number, seen_ms: nullable(number) });
export type User = Of<typeof user>;
export const userList = object({ users: array(user) });
export const oneUser = object({ user });

const signedIn = object({ id: number, username: string, created_ms: number, used_ms: number, address: string, client: string, current: boolean });
export type SignedIn = Of<typeof signedIn>;
export const sessionList = object({ sessions: array(signedIn) });

const apiToken = object({
  id: number,
  name: string,
  scope: string,
  username: string,
  created_ms: number,
  expires_ms: nullable(number),
  used_ms: nullable(number),
});
export type ApiToken = Of<typeof apiToken>;
export const tokenList = object({ tokens: array(apiToken), now_ms: number });
export const tokenMade = object({ token: string, api_token: apiToken });

const tokenCounts = { tokens: number, input: number, output: number, cache_read: number, cache_write: number, messages: withDefault(number, () => 0) };
const figures = {
  ...tokenCounts,
  cost_usd: number,
  cost: object({ reported_usd: number, price_table_usd: number, default_usd: number, unknown_tokens: number }),
};
export type UsageFigures = Of<typeof usageTotal>;
const usageTotal = object(figures);
const usageRow = object({
  ...figures,
  day: text,
  device: nullable(number),
  device_name: text,
  agent: text,
  provider: text,
  model: text,
});
export type UsageRow = Of<typeof usageRow>;
export const usage = object({ from: string, to: string, tz: string, by: array(string), rows: array(usageRow), total: usageTotal });
export type Usage = Of<typeof usage>;

const tokenPrices = { input: number, output: number, cache_read: number, cache_write: number };
const price = object({ provider: string, model: string, from: string, ...tokenPrices });
export type Price = Of<typeof price>;
const usedModel = object({ provider: string, model: string, tokens: number, unreported_tokens: number, last_used: string, basis: string });
export type UsedModel = Of<typeof usedModel>;
export const prices = object({ prices: array(price), default: nullable(object(tokenPrices)), models: array(usedModel) });
export type Prices = Of<typeof prices>;

const retention = object({
  kind: string,
  ...keepCost,
  default_days: number,
  days_fixed: boolean,
  bytes_fixed: boolean,
  bytes: number,
  oldest_ms: nullable(number),
});
export type Retention = Of<typeof retention>;
export const settings = object({ time_zone: string, time_zone_chosen: boolean, retention: array(retention) });
export type Settings = Of<typeof settings>;
