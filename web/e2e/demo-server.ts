/**
 * A server on this machine with the made-up fleet in it, for looking at the page by hand and for the tour:
 * `npm run demo` prints where it is and ends with Ctrl-C.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { addFleet, random, sendNow, sendPast, type Api, type DemoDevice } from './demo';
import { startServer, type Server } from './processes';

const SERVER = resolve(process.env['OPENCLAW_WATCH_BIN'] ?? join(import.meta.dirname, '../../target/debug/openclaw-watch'));
const SEED = 7;
/** Between two reports of each device. */
const REPORT_MS = 5_000;

export const DEMO_ACCOUNT = { username: 'admin', password: 'correct horse battery' };

export interface Demo {
  server: Server;
  fleet: DemoDevice[];
  /** Signed-in calls, as the page makes them. */
  api: Api;
  stop(): Promise<void>;
}

export async function startDemo(devices: number, web = '127.0.0.1:0', ingest = '127.0.0.1:0'): Promise<Demo> {
  const work = await mkdtemp(join(tmpdir(), 'openclaw-watch-demo-'));
  // A year of rows can only be sent in while rows that old are taken.
  const server = await startServer(SERVER, join(work, 'data'), web, ingest, ['--retention-raw-days', '400']);
  const api = await signUp(server);
  // What is older than its device is history that it brings along, and not data that arrived late.
  const now_ms = Date.now();
  const fleet = await addFleet(api, devices, SEED);
  await sendPast(server.ingest, fleet, now_ms, SEED);
  const next = random(SEED);
  await sendNow(server.ingest, fleet, Date.now(), next);
  let sending = Promise.resolve();
  const timer = setInterval(() => {
    sending = sending.then(() => sendNow(server.ingest, fleet, Date.now(), next)).catch(() => undefined);
  }, REPORT_MS);
  return {
    server,
    fleet,
    api,
    async stop() {
      clearInterval(timer);
      await sending;
      await server.process.stop();
      await rm(work, { recursive: true, force: true });
    },
  };
}

async function signUp(server: Server): Promise<Api> {
  const token = new URL(server.signUp ?? '').searchParams.get('token');
  const answer = await fetch(`${server.web}/api/v1/setup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, ...DEMO_ACCOUNT }),
  });
  if (!answer.ok) throw new Error(`sign-up: ${answer.status} ${await answer.text()}`);
  const { csrf_token } = (await answer.json()) as { csrf_token: string };
  const cookie = (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  return async (method, path, body) => {
    const response = await fetch(`${server.web}${path}`, {
      method,
      headers: { cookie, 'x-csrf-token': csrf_token, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? null : (JSON.parse(text) as unknown);
  };
}

/** Runs until Ctrl-C. */
export async function main(): Promise<number> {
  const devices = Number(process.env['DEMO_DEVICES'] ?? '60');
  const demo = await startDemo(devices, process.env['DEMO_WEB'] ?? '127.0.0.1:0');
  console.log(`Ready: ${demo.server.web} (${DEMO_ACCOUNT.username} / ${DEMO_ACCOUNT.password}), ${devices} devices`);
  await new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  await demo.stop();
  return 0;
}

