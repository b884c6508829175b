/** What the parts of the browser test share. */

import { join, resolve } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import type { Checks } from './checks';
import type { Api } from './demo';
import type { Process, Server } from './processes';
import type { Watch } from './watch';

const ROOT = resolve(import.meta.dirname, '..');
export const OUT = join(ROOT, 'out');
export const SERVER = resolve(process.env['OPENCLAW_WATCH_BIN'] ?? join(ROOT, '../target/debug/openclaw-watch'));
export const AGENT = resolve(process.env['OPENCLAW_WATCH_AGENT_BIN'] ?? join(ROOT, '../target/debug/openclaw-watch-agent'));

export const DESKTOP = { width: 1440, height: 900 };
export const DEVICE = 'test-machine';
export const HOSTILE = '<img src=x onerror=alert(1)>';

/** One report a second: the page must have it within a few. */
export const REPORT_MS_MAX = 15_000;
export const STEP_MS_MAX = 15_000;
/** Coloured pixels of a chart with a line in it; an empty one has none. */
export const LINE_PIXELS_MIN = 4;

export interface Stage {
  checks: Checks;
  browser: Browser;
  server: Server;
  agents: Process[];
  /** Folder for what the test's programs keep. */
  work: string;
  watch: Watch;
  /** Signed in as the administrator. */
  page: Page;
  shoot(name: string, on?: Page): Promise<unknown>;
}

export const ACCOUNT = { username: 'admin', password: 'correct horse battery' };

/** `[data-test=…]`. */
export function at(test: string): string {
  return `[data-test="${test}"]`;
}

/** A device's row or card in the overview. */
export function rowOf(page: Page, name: string): Locator {
  return page.locator('[data-device]', { has: page.getByRole('link', { name, exact: true }) });
}

/** The path that the address bar shows. */
export function pathOf(page: Page): string {
  return new URL(page.url()).pathname;
}

/** Calls to the API with the page's session. */
export async function caller(page: Page, web: string): Promise<Api> {
  const session = (await (await page.request.get(`${web}/api/v1/session`)).json()) as { csrf_token: string };
  const headers = { 'x-csrf-token': session.csrf_token, origin: web, 'content-type': 'application/json' };
  return async (method, path, data) => {
    const answer = await page.request.fetch(`${web}${path}`, { method, headers, ...(data === undefined ? {} : { data: JSON.stringify(data) }) });
    const text = await answer.text();
    if (!answer.ok()) throw new Error(`${method} ${path}: ${answer.status()} ${text}`);
    return text === '' ? null : (JSON.parse(text) as unknown);
  };
}

/** One of them. */
export async function call(page: Page, web: string, method: 'POST' | 'DELETE', path: string, data?: unknown): Promise<unknown> {
  return await (await caller(page, web))(method, path, data);
}

export async function addDevice(page: Page, web: string, name: string): Promise<{ id: number; key: string }> {
  const added = (await call(page, web, 'POST', '/api/v1/devices', { name, device_type: 'other', tags: [], notes: '' })) as {
    device: { id: number };
    api_key: string;
  };
  return { id: added.device.id, key: added.api_key };
}
