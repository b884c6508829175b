/** Calls to the server. Every answer passes a decoder; every failure is an `ApiError` with a code to branch on. */

import { decode, type Decoder } from '../lib/decode';
import * as model from './model';
import type { paths } from './schema';

/** Paths of the server's OpenAPI document, as `/devices/7` where it says `/devices/{id}`. */
type Known = { [P in keyof paths]: P extends `/api/v1${infer Rest}` ? Filled<Rest> : never }[keyof paths];
type Filled<P extends string> = P extends `${infer Before}{id}${infer After}` ? `${Before}${number}${After}` : P;

/** Longest wait for an answer; a query over a year takes well under a second. */
const ANSWER_MS_MAX = 20_000;

/** `network`: no answer at all. `unreadable`: an answer that is not what was agreed. The others are the server's. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field: string | null = null,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

let csrfToken: string | null = null;
let onSessionEnd: () => void = () => {};

/** The session sends its token with every change; null when nobody is signed in. */
export function useCsrfToken(token: string | null): void {
  csrfToken = token;
}

/** Called when an answer says that the session is over. */
export function whenSessionEnds(listener: () => void): void {
  onSessionEnd = listener;
}

export type Parameter = string | number | null | undefined | readonly (string | number)[];
export type Parameters = Record<string, Parameter>;

/** `{device: [1, 2], q: ''}` becomes `?device=1&device=2`: empty ones are left out. */
export function queryString(parameters: Parameters): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    const list = Array.isArray(value) ? (value as readonly (string | number)[]) : [value as string | number | null | undefined];
    for (const item of list) if (item !== null && item !== undefined && item !== '') search.append(name, String(item));
  }
  const encoded = search.toString();
  return encoded && `?${encoded}`;
}

export const api = {
  setup: (token: string, username: string, password: string) =>
    send('POST', '/setup', model.session, { token, username, password }),
  session: (signal?: AbortSignal) => get('/session', {}, model.session, signal),
  signIn: (username: string, password: string) => send('POST', '/session', model.session, { username, password }),
  signOut: () => send('DELETE', '/session', nothing),

  devices: (zone: string, signal?: AbortSignal) => get('/devices', { tz: zone }, model.deviceList, signal),
  device: (id: number, zone: string, signal?: AbortSignal) => get(`/devices/${id}`, { tz: zone }, model.deviceAnswer, signal),
  addDevice: (body: DeviceFields) => send('POST', '/devices', model.deviceAdded, body),
  editDevice: (id: number, body: Partial<DeviceFields>) => send('PATCH', `/devices/${id}`, model.deviceAnswer, body),
  deleteDevice: (id: number) => send('DELETE', `/devices/${id}`, model.deviceDeleted),
  makeEnrollCode: (body: DeviceFields) => send('POST', '/enroll-codes', model.enrollCodeMade, body),
  enrollCodes: (signal?: AbortSignal) => get('/enroll-codes', {}, model.enrollCodeList, signal),
  rotateKey: (id: number) => send('POST', `/devices/${id}/rotate-key`, model.keyRotated, {}),

  query: (parameters: Parameters, signal?: AbortSignal) => get('/query', parameters, model.queryAnswer, signal),
  activity: (signal?: AbortSignal) => get('/activity', {}, model.activityList, signal),
  summary: (zone: string, signal?: AbortSignal) => get('/summary', { tz: zone }, model.summary, signal),
  logs: (parameters: Parameters, signal?: AbortSignal) => get('/logs', parameters, model.logPage, signal),
  logGroups: (parameters: Parameters, signal?: AbortSignal) => get('/logs/groups', parameters, model.logGroups, signal),
  logCounts: (parameters: Parameters, signal?: AbortSignal) => get('/logs/counts', parameters, model.logCounts, signal),
  users: (signal?: AbortSignal) => get('/users', {}, model.userList, signal),
  addUser: (fields: { username: string; password: string; role: string }) => send('POST', '/users', model.oneUser, fields),
  editUser: (id: number, fields: { role?: string; password?: string }) => send('PATCH', `/users/${id}`, model.oneUser, fields),
  deleteUser: (id: number) => send('DELETE', `/users/${id}`, nothing),
  changePassword: (current_password: string, new_password: string) => send('POST', '/password', nothing, { current_password, new_password }),
  sessions: (signal?: AbortSignal) => get('/sessions', {}, model.sessionList, signal),
  endSession: (id: number) => send('DELETE', `/sessions/${id}`, nothing),
  tokens: (signal?: AbortSignal) => get('/tokens', {}, model.tokenList, signal),
  makeToken: (fields: { name: string; scope: string; expires_ms?: number }) => send('POST', '/tokens', model.tokenMade, fields),
  revokeToken: (id: number) => send('DELETE', `/tokens/${id}`, nothing),
  usage: (parameters: Parameters, signal?: AbortSignal) => get('/usage', parameters, model.usage, signal),
  usageSteps: (parameters: Parameters, signal?: AbortSignal) => get('/usage/steps', parameters, model.usageSteps, signal),
  prices: (signal?: AbortSignal) => get('/prices', {}, model.prices, signal),
  setPrices: (table: Pick<model.Prices, 'prices' | 'default'>) => send('PUT', '/prices', model.prices, table),
  settings: (signal?: AbortSignal) => get('/settings', {}, model.settings, signal),
  editSettings: (change: { time_zone?: string | null; retention?: object }) => send('PATCH', '/settings', model.settings, change),
  /** Outside of `/api/v1`: 503 with the same body when reports are not taken. */
  readiness: (signal?: AbortSignal) => fetched('/readyz', { method: 'GET' }, model.readiness, signal, [503]),
  storage: (signal?: AbortSignal) => get('/storage', {}, model.storage, signal),
  events: (parameters: Parameters, signal?: AbortSignal) => get('/events', parameters, model.eventPage, signal),
};

export interface DeviceFields {
  name: string;
  device_type: model.DeviceType;
  tags: string[];
  notes: string;
}

const nothing: Decoder<null> = () => null;

function get<T>(path: Known, parameters: Parameters, decoder: Decoder<T>, signal?: AbortSignal): Promise<T> {
  return call(path + queryString(parameters), { method: 'GET' }, decoder, signal);
}

function send<T>(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: Known, decoder: Decoder<T>, body?: object): Promise<T> {
  const headers: Record<string, string> = {};
  if (csrfToken !== null) headers['X-CSRF-Token'] = csrfToken;
  if (body === undefined) return call(path, { method, headers }, decoder);
  headers['Content-Type'] = 'application/json';
  return call(path, { method, headers, body: JSON.stringify(body) }, decoder);
}

function call<T>(path: string, init: RequestInit, decoder: Decoder<T>, signal?: AbortSignal): Promise<T> {
  return fetched(`/api/v1${path}`, init, decoder, signal);
}

/** `answers`: statuses that bring a body of the same kind as 200. */
async function fetched<T>(
  path: string,
  init: RequestInit,
  decoder: Decoder<T>,
  signal?: AbortSignal,
  answers: readonly number[] = [],
): Promise<T> {
  const timeout = AbortSignal.timeout(ANSWER_MS_MAX);
  let answer: Response;
  let body: unknown;
  try {
    answer = await fetch(path, {
      ...init,
      credentials: 'same-origin',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    const received = await answer.text();
    body = received === '' ? null : parse(received);
  } catch (error) {
    // A view that went away aborts its calls; nobody waits for those.
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'network', String(error));
  }
  if (!answer.ok && !answers.includes(answer.status)) throw refused(answer.status, body, path);
  try {
    return decode(decoder, body);
  } catch (error) {
    throw new ApiError(answer.status, 'unreadable', String(error));
  }
}

function refused(status: number, body: unknown, path: string): ApiError {
  let refusal: ApiError;
  try {
    const { error } = decode(model.errorAnswer, body);
    refusal = new ApiError(status, error.code, error.message, error.field);
  } catch {
    refusal = new ApiError(status, status === 401 ? 'unauthorized' : 'unreadable', `HTTP ${status}`);
  }
  // A wrong password is 401 as well; that one the sign-in view answers itself.
  if (status === 401 && path !== '/api/v1/session') onSessionEnd();
  return refusal;
}

function parse(received: string): unknown {
  try {
    return JSON.parse(received);
  } catch {
    return undefined;
  }
}
