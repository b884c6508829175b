/**
 * A tour of every view in both languages, both themes, on a desk and on a phone, against a server with a
 * made-up fleet: `npm run tour` leaves the pictures in `out/tour/` for a person to look at.
 *
 * TOUR_WEB names a server that `npm run demo` started; TOUR_ONLY takes views or styles by a piece of their name.
 */

import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { madeUpDay } from './demo';
import { DEMO_ACCOUNT, startDemo } from './demo-server';
import { launch } from './watch';

const OUT = resolve(import.meta.dirname, '../out/tour');
const ONLY = (process.env['TOUR_ONLY'] ?? '').split(',').filter(Boolean);

interface Style {
  name: string;
  language: 'en' | 'zh';
  theme: 'light' | 'dark';
  width: number;
  height: number;
  mobile: boolean;
}

/** Beside both forms in both languages and themes one as large as screens get. */
const LARGE: Style = { name: '4k-en-light', language: 'en', theme: 'light', width: 3_840, height: 2_160, mobile: false };

const STYLES: readonly Style[] = (['desktop', 'phone'] as const).flatMap((form): Style[] =>
  (['en', 'zh'] as const).flatMap((language) =>
    (['light', 'dark'] as const).map((theme) => ({
      name: `${form}-${language}-${theme}`,
      language,
      theme,
      width: form === 'phone' ? 390 : 1440,
      height: form === 'phone' ? 844 : 900,
      mobile: form === 'phone',
    })),
  ),
).concat(LARGE);

interface View {
  name: string;
  path: string;
  /** The whole page, not only what fits in the window. */
  whole?: boolean;
  /** Without a session. */
  stranger?: boolean;
  /** While it is still loading. */
  early?: boolean;
  /** What the network answers otherwise than the server does. */
  before?(context: BrowserContext): Promise<unknown>;
  prepare?(page: Page): Promise<void>;
}

interface Shown {
  device: number;
  silent: number;
  troubled: number;
  waiting: number;
}

/** The fleet as the server tells it, changed on its way to the page. */
async function otherFleet(context: BrowserContext, change: (devices: Record<string, unknown>[]) => Record<string, unknown>[]): Promise<void> {
  await context.route('**/api/v1/devices?*', async (route) => {
    const answer = await route.fetch();
    const json = (await answer.json()) as { devices: Record<string, unknown>[] };
    await route.fulfill({ response: answer, json: { ...json, devices: change(json.devices) } });
  });
}

const LONG = 'kubernetes-worker-with-a-name-that-nobody-will-ever-type-64-char';

const test = (name: string): string => `[data-test="${name}"]`;

function views({ device, silent, troubled, waiting }: Shown): View[] {
  return [
    { name: 'overview', path: '/' },
    { name: 'device', path: `/devices/${device}`, whole: true },
    { name: 'device-1y', path: `/devices/${device}?range=1y` },
    { name: 'device-offline', path: `/devices/${silent}` },
    { name: 'device-30d', path: `/devices/${device}?range=30d` },
    { name: 'device-6h', path: `/devices/${troubled}?range=6h`, whole: true },
    { name: 'logs', path: '/logs' },
    { name: 'log-groups', path: '/logs?view=groups' },
    { name: 'usage', path: '/usage', whole: true },
    { name: 'usage-cost', path: '/usage?measure=cost&by=device&days=90d' },
    { name: 'device-tokens', path: `/devices/${device}/tokens` },
    { name: 'device-logs', path: `/devices/${device}/logs` },
    { name: 'device-live', path: `/devices/${device}?range=live` },
    { name: 'account', path: '/settings/account' },
    { name: 'users', path: '/settings/users' },
    { name: 'api-tokens', path: '/settings/tokens' },
    { name: 'prices', path: '/settings/prices' },
    { name: 'events', path: '/events' },
    { name: 'cards', path: '/?view=cards' },
    { name: 'device-events', path: `/devices/${troubled}/events` },
    { name: 'storage', path: '/settings/storage' },
    { name: 'keeping', path: '/settings/keeping' },
    { name: 'display', path: '/settings/display' },
    { name: 'filtered', path: '/?state=offline' },
    { name: 'hover', path: `/devices/${device}?range=24h`, async prepare(page) {
        await page.waitForFunction(() => document.querySelector('[aria-busy=true]') === null);
        const box = await page.locator('.plot').first().boundingBox();
        if (box) await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2);
      } },
    { name: 'print', path: '/usage', whole: true, async prepare(page) {
        await page.locator('.plot canvas').first().waitFor();
        await page.waitForTimeout(500);
        await page.evaluate(() => window.dispatchEvent(new Event('beforeprint')));
        await page.emulateMedia({ media: 'print' });
      } },
    { name: 'add-code', path: '/', async prepare(page) {
        await page.locator(test('add-device')).click();
        await page.locator('input[name=device-name]').fill('new-laptop');
        await page.getByRole('dialog').locator('button[type=submit]').click();
        await page.locator(test('install-command')).waitFor();
      } },
    { name: 'delete', path: `/devices/${device}`, async prepare(page) {
        await page.locator(test('delete')).click();
        await page.locator('input[name=confirm-name]').waitFor();
      } },
    { name: 'keys', path: '/', async prepare(page) {
        await page.locator('[data-device]').first().waitFor();
        await page.keyboard.press('?');
      } },
    {
      name: 'add',
      path: '/',
      async prepare(page) {
        await page.locator(test('add-device')).click();
        await page.locator('input[name=device-name]').waitFor();
      },
    },
    { name: 'sign-in', path: '/sign-in', stranger: true },
    { name: 'waiting', path: `/devices/${waiting}` },
    { name: 'reasons', path: `/devices/${troubled}` },
    { name: 'first-run', path: '/', before: (context) => otherFleet(context, () => []), async prepare(page) {
        await page.locator('input[name=device-name]').waitFor();
        await page.keyboard.press('Escape');
      } },
    { name: 'long-names', path: '/', before: (context) => otherFleet(context, (devices) => devices.map((one) => ({ ...one, name: `${LONG}-${String(one['id'])}`, tags: [LONG.slice(0, 32), 'production', '上海机房', 'another-tag', 'and-one-more'] }))) },
    { name: 'refusing', path: '/', before: (context) => context.route('**/readyz', (route) => route.fulfill({ status: 503, json: { ready: false, reason: 'the disk is full', code: 'disk_full' } })) },
    { name: 'feed-cut', path: '/', before: (context) => context.routeWebSocket(/\/api\/v1\/live/, (socket) => void socket.close()) },
    { name: 'loading', path: '/', early: true, before: (context) => context.route('**/api/v1/{devices,summary,logs,activity}*', () => undefined) },
    { name: 'failing', path: '/logs', before: (context) => context.route('**/api/v1/logs?*', (route) => route.fulfill({ status: 503, json: { error: { code: 'unavailable', message: 'busy' } } })) },
    { name: 'nothing', path: '/nowhere' },
    { name: 'metrics', path: `/devices/${device}`, async prepare(page) {
        await page.locator(test('add-metric')).click();
      } },
    { name: 'ten-years', path: `/devices/${device}?from=1480000000000&to=${Date.now()}` },
    { name: 'tab-focus', path: '/', async prepare(page) {
        await page.locator('[data-device]').first().waitFor();
        for (let presses = 0; presses < 3; presses += 1) await page.keyboard.press('j');
      } },
  ];
}

export async function main(): Promise<number> {
  await mkdir(OUT, { recursive: true });
  const given = process.env['TOUR_WEB'];
  const demo = given === undefined ? await startDemo(60) : null;
  const web = given ?? demo?.server.web ?? '';
  const browser = await launch();
  try {
    await tour(browser, web);
  } finally {
    await browser.close();
    await demo?.stop();
  }
  return 0;
}

async function tour(browser: Browser, web: string): Promise<void> {
  const door = await browser.newContext();
  const answer = await door.request.post(`${web}/api/v1/session`, { data: DEMO_ACCOUNT, headers: { origin: web } });
  if (!answer.ok()) throw new Error(`sign-in: ${answer.status()} ${await answer.text()}`);
  const { devices } = (await (await door.request.get(`${web}/api/v1/devices`)).json()) as { devices: { id: number; name: string; state: string }[] };
  const first = devices.find((device) => device.name === 'mac-studio') ?? devices[0];
  const silent = devices.find((device) => device.state === 'offline') ?? devices[0];
  const troubled = devices.find((device) => device.name === 'build-box') ?? devices[0];
  const waiting = devices.find((device) => device.state === 'new') ?? devices[0];
  const storageState = await door.storageState();
  const wanted = (name: string): boolean => ONLY.length === 0 || ONLY.some((piece) => name.includes(piece));
  for (const style of STYLES) {
    for (const view of views({ device: first?.id ?? 1, silent: silent?.id ?? 1, troubled: troubled?.id ?? 1, waiting: waiting?.id ?? 1 })) {
      const name = `${view.name}-${style.name}`;
      if (!wanted(name)) continue;
      const context = await browser.newContext({
        viewport: { width: style.width, height: style.height },
        locale: style.language === 'zh' ? 'zh-CN' : 'en-GB',
        timezoneId: 'Europe/Berlin',
        colorScheme: style.theme,
        isMobile: style.mobile,
        hasTouch: style.mobile,
        reducedMotion: 'reduce',
        ...(view.stranger ? {} : { storageState }),
      });
      await pretendDay(context, new Map(devices.map((device) => [device.id, device.state])));
      await view.before?.(context);
      const page = await context.newPage();
      try {
        await page.goto(`${web}${view.path}`);
        await view.prepare?.(page);
        if (!view.early) await settled(page);
        else await page.locator('main [role=status]').first().waitFor();
        await page.screenshot({ path: join(OUT, `${name}.png`), fullPage: view.whole === true });
        console.log(name);
      } catch (error) {
        console.log(`${name}: ${String(error).split('\n')[0]}`);
      }
      await context.close();
    }
  }
}

/** The server has just been started and knows nothing of yesterday; the fleet is made up anyway, and so is its day. */
async function pretendDay(context: BrowserContext, states: ReadonlyMap<number, string>): Promise<void> {
  await context.route('**/api/v1/activity', async (route) => {
    const answer = await route.fetch();
    const list = (await answer.json()) as { devices: { id: number; availability: string; online_percent: number | null }[] };
    for (const device of list.devices) {
      device.availability = madeUpDay(device.id, states.get(device.id) ?? 'online', device.availability);
      const silent = [...device.availability].filter((letter) => letter === 'x').length;
      device.online_percent = states.get(device.id) === 'new' ? null : (100 * (device.availability.length - silent)) / device.availability.length;
    }
    await route.fulfill({ response: answer, json: list });
  });
}

/** Until nothing is loading any more and the fonts and charts are drawn. */
async function settled(page: Page): Promise<void> {
  await page.waitForFunction(() => document.querySelector('[aria-busy=true]') === null && document.querySelector('main')?.childElementCount);
  await page.waitForTimeout(1_600);
}
