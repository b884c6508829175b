/**
 * The browser test: the real server, the real agent and Chromium, from the sign-up link to a deleted
 * device. Prints one line per check; screenshots of each view go to `out/`.
 *
 * Needs the server built after the page, because the page is inside it. OPENCLAW_WATCH_BIN,
 * OPENCLAW_WATCH_AGENT_BIN and CHROMIUM name other programs than the debug build and Debian's browser.
 */

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import type { Browser, Page, Request } from 'playwright-core';
import { accessible } from './accessible';
import { badInput } from './bad-input';
import { Checks, equal, eventually, holds } from './checks';
import { startAgent, startServer, type Process, type Server } from './processes';
import { send } from './demo';
import { speed } from './speed';
import { ACCOUNT, at, rowOf, type Stage } from './stage';
import { Watch, colouredPixels, launch } from './watch';

const ROOT = resolve(import.meta.dirname, '..');
const OUT = join(ROOT, 'out');
const SERVER = resolve(process.env['OPENCLAW_WATCH_BIN'] ?? join(ROOT, '../target/debug/openclaw-watch'));
const AGENT = resolve(process.env['OPENCLAW_WATCH_AGENT_BIN'] ?? join(ROOT, '../target/debug/openclaw-watch-agent'));

const DESKTOP = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
const DEVICE = 'test-machine';
const HOSTILE = '<img src=x onerror=alert(1)>';

/** One report a second: the page must have it within a few. */
const REPORT_MS_MAX = 15_000;
/** Offline is declared 10 s after the last report; the rest is for a slow machine. */
const OFFLINE_MS_MAX = 30_000;
const STEP_MS_MAX = 15_000;
/** As it comes over the wire, compressed. */
const FIRST_LOAD_BYTES_MAX = 350_000;
/** Coloured pixels of a chart with a line in it; an empty one has none. */
const LINE_PIXELS_MIN = 4;
/** The agent reads its own memory size; the test reads it too and they may count a little differently. */
const MEMORY_TOLERANCE = 0.1;

export async function main(): Promise<number> {
  const checks = new Checks();
  const work = await mkdtemp(join(tmpdir(), 'openclaw-watch-e2e-'));
  await rm(OUT, { recursive: true, force: true });
  await mkdir(OUT, { recursive: true });
  let server: Server | null = null;
  let browser: Browser | null = null;
  const agents: Process[] = [];
  try {
    const started = await checks.run('the server starts and prints its sign-up link', async () => {
      server = await startServer(SERVER, join(work, 'data'));
      holds(server.signUp !== null, `no sign-up link in:\n${server.process.output()}`);
    });
    browser = await launch();
    if (started && server !== null) await scenario({ checks, browser, server, agents, work });
  } catch (error) {
    await checks.run('the test itself runs to its end', () => Promise.reject(error as Error));
  } finally {
    await browser?.close();
    for (const agent of agents) await agent.stop();
    await (server as Server | null)?.process.stop();
    await rm(work, { recursive: true, force: true });
  }
  return checks.finish();
}

async function scenario({ checks, browser, server, agents, work }: Pick<Stage, 'checks' | 'browser' | 'server' | 'agents' | 'work'>): Promise<void> {
  const watch = new Watch(server.web);
  const page = await watch.open(browser, { viewport: DESKTOP, colorScheme: 'light' });
  page.setDefaultTimeout(STEP_MS_MAX);
  const row = (name: string) => rowOf(page, name);
  const path = (): string => new URL(page.url()).pathname;
  const shoot = (name: string, on: Page = page): Promise<unknown> => on.screenshot({ path: join(OUT, `${name}.png`) });

  await checks.run('before the first account every address leads to the sign-up notice', async () => {
    await page.goto(`${server.web}/logs`);
    await page.getByText('Nobody has signed up yet').waitFor();
    equal(path(), '/setup', 'address');
    await shoot('setup-without-link');
  });

  const signedUp = await checks.run('the sign-up link makes the account and signs in', async () => {
    await page.goto(server.signUp ?? '');
    await page.locator('input[name=username]').fill(ACCOUNT.username);
    await page.locator('input[name=password]').fill('short');
    await page.locator('input[name=repeat]').fill('short');
    await page.locator('button[type=submit]').click();
    await page.getByText('The password needs at least 10 characters.').waitFor();
    await page.locator('input[name=password]').fill(ACCOUNT.password);
    await page.locator('input[name=repeat]').fill(ACCOUNT.password);
    await shoot('setup');
    await page.locator('button[type=submit]').click();
    await page.locator(at('menu')).waitFor();
    equal(path(), '/', 'address');
  });

  // Without an account nothing below can be seen.
  if (!signedUp) return;

  await checks.run('the first visit opens the add-device dialog', async () => {
    await page.getByRole('dialog', { name: 'Add a device' }).waitFor();
    equal(await page.locator('input[name=device-name]').evaluate((input) => input === document.activeElement), true, 'focus on the name');
    await shoot('add-device');
  });

  let key = '';
  await checks.run('adding a device shows its key and a command with the key in it', async () => {
    await page.locator('input[name=device-name]').fill(DEVICE);
    await page.locator('input[name=device-tags]').fill('home, test');
    await page.locator('label', { has: page.locator(at('how-key')) }).click();
    await page.getByRole('button', { name: 'Next' }).click();
    key = (await page.locator(at('api-key')).innerText()).trim();
    holds(/^ocw_\S{20,}$/.test(key), `a key: ${key.slice(0, 4)}…`);
    holds((await page.locator(at('install-command')).innerText()).includes(key), 'the command holds the key');
    await page.getByText('Waiting for the first report').waitFor();
    await shoot('add-device-waiting');
  });

  await checks.run('the dialog notices the first report of the agent, with host and version', async () => {
    agents.push(startAgent(AGENT, server.ingest, key, join(work, 'agent')));
    await page.locator(at('arrived')).waitFor({ timeout: REPORT_MS_MAX });
    await page.getByText(/, agent \d/).waitFor();
    await shoot('add-device-arrived');
    await page.locator(at('add-done')).click();
  });

  await checks.run('the row is online with the real figures of this machine', async () => {
    await row(DEVICE).and(page.locator('[data-state=online], [data-state=degraded]')).waitFor();
    const answer = await page.request.get(`${server.web}/api/v1/devices`);
    const { devices } = (await answer.json()) as { devices: { name: string; latest: Record<string, number> }[] };
    const latest = devices.find((device) => device.name === DEVICE)?.latest ?? {};
    const memory = latest['memory_total'] ?? 0;
    holds(Math.abs(memory / totalmem() - 1) < MEMORY_TOLERANCE, `memory_total ${memory}, this machine has ${totalmem()}`);
    const figures = await row(DEVICE).locator('.meter .figure').allInnerTexts();
    equal(figures.length, 3, 'meters in the row');
    for (const figure of figures) holds(/\d/.test(figure), `a figure: ${figure}`);
    await shoot('overview');
  });

  await checks.run('the first view loads less than 350 kB, and no charts', async () => {
    const fresh = await watch.open(browser, { viewport: DESKTOP, storageState: await page.context().storageState() });
    await fresh.goto(`${server.web}/`);
    await rowOf(fresh, DEVICE).waitFor();
    const loaded = await fresh.evaluate(() =>
      performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')).map((entry) => ({ name: entry.name, bytes: (entry as PerformanceResourceTiming).transferSize })),
    );
    const files = loaded.filter(({ name }) => !name.includes('/api/'));
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    console.log(`      ${Math.round(bytes / 1000)} kB in ${files.length} files`);
    holds(bytes > 10_000 && bytes < FIRST_LOAD_BYTES_MAX, `the first view loads ${bytes} bytes`);
    equal(files.filter(({ name }) => name.includes('echarts')).length, 0, 'files of the charts');
    await fresh.context().close();
  });

  await checks.run('values in the row move by themselves', async () => {
    const read = (): Promise<string> => row(DEVICE).locator('.value').allInnerTexts().then((texts) => texts.join(' '));
    const before = await read();
    await eventually(async () => ((await read()) === before ? null : true), REPORT_MS_MAX, 'another value');
  });

  await checks.run('the device page draws its charts', async () => {
    await row(DEVICE).getByRole('link').click();
    await page.getByRole('heading', { name: DEVICE, level: 1 }).waitFor();
    // In a quarter of an hour a second is about a pixel wide, so that a few reports make a line.
    await page.locator('label', { has: page.locator(at('range-15m')) }).click();
    const drawn = await eventually(
      async () => {
        // Charts out of sight are drawn when they come into it.
        for (const plot of await page.locator('.plot').all()) await plot.scrollIntoViewIfNeeded();
        const pixels = await colouredPixels(page, '.plot canvas');
        return pixels.length >= 5 && pixels.every((count) => count > LINE_PIXELS_MIN) ? pixels : null;
      },
      REPORT_MS_MAX,
      'five charts with lines, or more',
    );
    console.log(`      ${drawn.length} charts`);
    await page.evaluate(() => window.scrollTo(0, 0));
    await shoot('device');
  });

  await checks.run('the CPU chart moves with the live feed', async () => {
    const legend = (): Promise<string> => page.locator('.chart .legend').allInnerTexts().then((texts) => texts.join(' '));
    const before = await legend();
    await eventually(async () => ((await legend()) === before ? null : true), REPORT_MS_MAX, 'another value');
  });

  const queriedSpan = (url: string): number => {
    const { searchParams } = new URL(url);
    return Number(searchParams.get('to_ms')) - Number(searchParams.get('from_ms'));
  };
  /** The range that the first query after something was done asks for. */
  const queriedBy = async (action: () => Promise<void>): Promise<number> => {
    const isQuery = (request: Request): boolean => new URL(request.url()).pathname === '/api/v1/query';
    const [request] = await Promise.all([page.waitForRequest(isQuery), action()]);
    return queriedSpan(request.url());
  };
  const zoomed = (): boolean => new URL(page.url()).searchParams.has('from');
  const dragAcross = async (from: number, to: number): Promise<void> => {
    // From the top: scrolled down, the bar with the ranges may cover the chart.
    await page.evaluate(() => window.scrollTo(0, 0));
    const box = await page.locator('.plot').first().boundingBox();
    holds(box !== null, 'the first chart has a place');
    await page.mouse.move(box.x + box.width * from, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * to, box.y + box.height / 2, { steps: 5 });
    await page.mouse.up();
  };

  await checks.run('a drag zooms: the server is asked for the narrower range, and the address says so', async () => {
    const whole = await queriedBy(() => page.locator('label', { has: page.locator(at('range-6h')) }).click());
    equal(whole, 6 * 3_600_000, 'the whole range');
    const span = await queriedBy(() => dragAcross(0.5, 0.75));
    holds(span > 3_600_000 && span < 2 * 3_600_000, `zoomed span ${span}`);
    holds(zoomed(), page.url());
    await page.locator(at('zoom-out')).waitFor();
    await shoot('device-zoomed');
  });

  await checks.run('a second zoom, a double click, and the button lead back', async () => {
    const narrower = await queriedBy(() => dragAcross(0.4, 0.8));
    holds(narrower < 3_600_000, `the second zoom is narrower: ${narrower}`);
    const back = await queriedBy(() => page.locator('.plot').first().dblclick());
    holds(back > 3_600_000, `a double click goes back one zoom: ${back}`);
    await page.locator(at('zoom-out')).click();
    await eventually(async () => (zoomed() ? null : true), STEP_MS_MAX, 'no zoom in the address');
  });

  await checks.run('a device named like markup is text', async () => {
    await page.goto(`${server.web}/`);
    await page.locator(at('add-device')).click();
    await page.locator('input[name=device-name]').fill(HOSTILE);
    await page.locator('input[name=device-tags]').fill('<b>bold</b>');
    await page.locator('label', { has: page.locator(at('how-key')) }).click();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.locator(at('api-key')).waitFor();
    await page.locator(at('add-done')).click();
    await row(HOSTILE).waitFor();
    equal(await row(HOSTILE).locator('a').innerText(), HOSTILE, 'name');
    await row(HOSTILE).locator('a').click();
    await page.getByRole('heading', { name: HOSTILE, level: 1 }).waitFor();
    equal(await page.locator('img, main b').count(), 0, 'elements made of names');
    await page.goBack();
  });

  await checks.run('a device enrols itself with the one line, and the dialog notices', async () => {
    await page.locator(at('add-device')).click();
    await page.locator('input[name=device-name]').fill('enrolled');
    await page.getByRole('button', { name: 'Next' }).click();
    const command = await page.locator(at('install-command')).innerText();
    const code = /install\.sh' \| sh -s -- '([^']+)'/.exec(command)?.[1] ?? '';
    holds(code !== '', `a code in: ${command}`);
    await shoot('add-device-code');
    const answer = await fetch(`${server.ingest}/api/v1/enroll`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code, name: 'enrolled', platform: 'linux/x86_64' }),
    });
    equal(answer.status, 201, 'the answer to the code');
    const { api_key } = (await answer.json()) as { api_key: string };
    await send(server.ingest, api_key, { agent: { version: '0.1.0', boot_id: '00000000-0000-4000-8000-0000000000cc', seq: 1 }, rows: [{ t_ms: Date.now(), v: { cpu_percent: 1 } }] });
    await page.locator(at('arrived')).waitFor({ timeout: REPORT_MS_MAX });
    await page.locator(at('add-done')).click();
    await row('enrolled').waitFor();
  });

  await checks.run('the slash key leads to the search, which is in the address', async () => {
    await row(DEVICE).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('test-m');
    await row(HOSTILE).waitFor({ state: 'detached' });
    await row(DEVICE).waitFor();
    equal(new URL(page.url()).searchParams.get('q'), 'test-m', 'q');
    await page.reload();
    await row(DEVICE).waitFor();
    equal(await row(HOSTILE).count(), 0, 'rows that do not match');
    await page.getByRole('button', { name: 'Clear filters' }).click();
    await row(HOSTILE).waitFor();
  });

  await checks.run('the language can be switched and stays', async () => {
    await page.locator(at('menu')).click();
    await page.locator('label', { has: page.locator(at('language-zh')) }).click();
    await page.getByText('最近的错误').waitFor();
    await page.reload();
    await page.getByText('最近的错误').waitFor();
    equal(await page.evaluate(() => document.documentElement.lang), 'zh-CN', 'language of the page');
    await shoot('overview-zh');
  });

  await checks.run('the theme can be switched and stays', async () => {
    const background = (): Promise<string> => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await background();
    await page.locator(at('menu')).click();
    await page.locator('label', { has: page.locator(at('theme-dark')) }).click();
    const dark = await background();
    holds(dark !== light, `background ${dark} in both themes`);
    await page.reload();
    await row(DEVICE).waitFor();
    equal(await background(), dark, 'background after a reload');
    await shoot('overview-zh-dark');
    await row(DEVICE).locator('a').click();
    await page.locator('label', { has: page.locator(at('range-15m')) }).click();
    await eventually(async () => ((await colouredPixels(page, '.plot canvas'))[0] ?? 0) > LINE_PIXELS_MIN || null, STEP_MS_MAX, 'a line');
    await shoot('device-zh-dark');
  });

  await checks.run('language and theme can be switched back', async () => {
    await page.locator(at('menu')).click();
    await page.locator('label', { has: page.locator(at('language-en')) }).click();
    await page.locator('label', { has: page.locator(at('theme-light')) }).click();
    await page.keyboard.press('Escape');
    equal(await page.locator('#menu-panel').count(), 0, 'open menus');
    equal(await page.evaluate(() => document.documentElement.lang), 'en', 'language of the page');
  });

  await checks.run('logs have a view of their own', async () => {
    await page.goto(`${server.web}/logs?level=error`);
    await page.getByRole('heading', { name: 'Logs', level: 1 }).waitFor();
    await page.locator('.line, .face').first().waitFor();
    await shoot('logs');
  });

  await checks.run('every page has its address and says what it is', async () => {
    for (const [address, heading] of [['/usage', 'Tokens'], ['/events', 'Events'], ['/settings', 'Settings'], ['/settings/storage', 'Settings']] as const) {
      await page.goto(`${server.web}${address}`);
      await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
    }
    await page.getByText('Not sealed yet').waitFor();
    await shoot('storage');
  });

  await checks.run('the keyboard leads everywhere', async () => {
    await page.goto(`${server.web}/`);
    await row(DEVICE).waitFor();
    for (const [keys, leads] of [['gt', '/usage'], ['gl', '/logs'], ['ge', '/events'], ['gs', '/settings'], ['go', '/']] as const) {
      await page.keyboard.type(keys);
      await eventually(async () => (path() === leads ? true : null), STEP_MS_MAX, leads);
    }
    await row(DEVICE).waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('k');
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('Enter');
    await eventually(async () => (path().startsWith('/devices/') ? true : null), STEP_MS_MAX, 'the address of a device');
  });

  await checks.run('an API token is shown once, works, and stops when it is revoked', async () => {
    await page.goto(`${server.web}/settings/tokens`);
    await page.locator(at('token-make')).click();
    await page.locator('input[name=token-name]').fill('backup script');
    await page.getByRole('button', { name: 'Make token' }).click();
    const token = (await page.locator(at('token-made')).innerText()).trim();
    const ask = async (): Promise<number> => (await fetch(`${server.web}/api/v1/devices`, { headers: { authorization: `Bearer ${token}` } })).status;
    equal(await ask(), 200, 'an answer to the token');
    await page.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('button', { name: 'Revoke' }).click();
    await page.locator(at('confirm')).click();
    await page.getByText('No tokens yet').waitFor();
    equal(await ask(), 401, 'an answer to the revoked token');
  });

  await checks.run('a price is saved with its day, and a wrong one is marked', async () => {
    await page.goto(`${server.web}/settings/prices`);
    await page.locator(at('price-add')).click();
    await page.getByLabel('Model').first().fill('some-model*');
    await page.getByLabel('Input').first().fill('three');
    await page.locator(at('price-save')).click();
    await page.getByText('The marked fields are not right').waitFor();
    equal(await page.getByLabel('Input').first().getAttribute('aria-invalid'), 'true', 'the field');
    await page.getByLabel('Input').first().fill('3.5');
    await page.locator(at('price-save')).click();
    await page.getByText('Saved').waitFor();
    await page.reload();
    await page.getByLabel('Model').first().waitFor();
    equal(await page.getByLabel('Input').first().inputValue(), '3.5', 'the price after a reload');
  });

  await checks.run('how long things are kept, and whose days are counted, is changed in the page', async () => {
    await page.goto(`${server.web}/settings/keeping`);
    await page.locator('input[name=days-logs]').fill('0');
    await page.locator(at('keeping-save')).click();
    await page.getByText('The marked fields are not right').waitFor();
    await page.locator('input[name=days-logs]').fill('60');
    await page.getByLabel('Time zone of the days').selectOption('Asia/Shanghai');
    await page.locator(at('keeping-save')).click();
    await page.getByText('Saved').waitFor();
    await page.goto(`${server.web}/usage`);
    await page.getByText('Days of Asia/Shanghai').waitFor();
    await page.goto(`${server.web}/settings/keeping`);
    await page.locator('input[name=days-logs]').waitFor();
    equal(await page.locator('input[name=days-logs]').inputValue(), '60', 'days after a reload');
    await shoot('keeping');
  });

  await checks.run('log lines are searched, grouped, and one group is opened', async () => {
    await send(server.ingest, key, {
      agent: { version: '0.1.0', boot_id: '00000000-0000-4000-8000-0000000000bb', seq: 1 },
      logs: [1, 2, 3].map((n) => ({ t_ms: Date.now() - n * 1_000, level: 'error', source: 'gateway', message: `会话 session ${n}00${n} lost after ${n * 17} ms` })),
    });
    await page.goto(`${server.web}/logs`);
    await page.getByText('lost after 34 ms').waitFor();
    await page.locator(at('log-search')).fill('会话');
    await eventually(async () => (new URL(page.url()).searchParams.get('q') === '会话' ? true : null), STEP_MS_MAX, 'the search in the address');
    await page.locator('label', { has: page.locator(at('log-view-groups')) }).click();
    await page.getByText('3 times on 1 device').waitFor();
    await shoot('log-groups');
    await page.locator('.group .open').first().click();
    await page.locator(at('leave-group')).waitFor();
    await eventually(async () => ((await page.locator('.line').count()) === 3 ? true : null), STEP_MS_MAX, 'the three lines of the group');
  });

  await checks.run('a phone shows every view without sideways scrolling', async () => {
    const state = await page.context().storageState();
    const phone = await watch.open(browser, { viewport: PHONE, storageState: state, hasTouch: true, isMobile: true });
    phone.setDefaultTimeout(STEP_MS_MAX);
    const fits = async (name: string): Promise<void> => {
      const [needed, there] = await phone.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth] as const);
      await shoot(`phone-${name}`, phone);
      holds(needed <= there && there === PHONE.width, `${name} is ${needed} px wide, the phone ${there}`);
    };
    await phone.goto(`${server.web}/`);
    await phone.locator('[data-device]').first().waitFor();
    await fits('overview');
    await phone.locator(at('add-device')).click();
    await phone.locator('input[name=device-name]').waitFor();
    await fits('add-device');
    await phone.keyboard.press('Escape');
    await rowOf(phone, DEVICE).getByRole('link').click();
    await phone.locator('.plot canvas').first().waitFor();
    await fits('device');
    await phone.goto(`${server.web}/logs`);
    await phone.locator('.line, .face').first().waitFor();
    await fits('logs');
    for (const view of ['usage', 'events', 'settings/account', 'settings/users', 'settings/tokens', 'settings/prices', 'settings/keeping', 'settings/storage']) {
      await phone.goto(`${server.web}/${view}`);
      await phone.locator('main .card').first().waitFor();
      await fits(view.replace('/', '-'));
    }
    await phone.context().close();
  });

  const stage: Stage = { checks, browser, server, agents, work, watch, page, shoot };
  await badInput(stage);
  await accessible(stage, 1);
  await speed(stage);

  await checks.run('signing out leads to the sign-in, and nothing else can be seen', async () => {
    await page.goto(`${server.web}/`);
    await page.locator(at('menu')).click();
    await page.locator(at('sign-out')).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.goto(`${server.web}/logs?level=error`);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await shoot('sign-in');
  });

  await checks.run('a wrong password is refused in words, the right one leads where one wanted to go', async () => {
    await page.locator('input[name=username]').fill(ACCOUNT.username);
    await page.locator('input[name=password]').fill('not the password');
    await page.locator('button[type=submit]').click();
    await page.getByText('User name or password is wrong.').waitFor();
    await page.locator('input[name=password]').fill(ACCOUNT.password);
    await page.locator('button[type=submit]').click();
    await page.getByRole('heading', { name: 'Logs', level: 1 }).waitFor();
    equal(new URL(page.url()).searchParams.get('level'), 'error', 'level');
  });

  await checks.run('a device whose agent stopped goes offline by itself and keeps its last values', async () => {
    await page.goto(`${server.web}/`);
    await row(DEVICE).and(page.locator('[data-state=online], [data-state=degraded]')).waitFor();
    for (const agent of agents) await agent.stop();
    await row(DEVICE).and(page.locator('[data-state=offline]')).waitFor({ timeout: OFFLINE_MS_MAX });
    await shoot('overview-offline');
    await row(DEVICE).locator('a').click();
    await page.locator(at('stale')).waitFor();
    holds(/\d/.test(await page.locator(at('now-cpu')).innerText()), 'the last CPU value is still there');
    await shoot('device-offline');
  });

  await checks.run('a device is deleted only when its name was typed', async () => {
    await page.locator(at('delete')).click();
    const confirm = page.locator(at('confirm-delete'));
    await page.locator('input[name=confirm-name]').fill('test-machin');
    equal(await confirm.isDisabled(), true, 'the button with a wrong name');
    await page.locator('input[name=confirm-name]').fill(DEVICE);
    await shoot('delete');
    await confirm.click();
    await row(HOSTILE).waitFor();
    equal(path(), '/', 'address');
    equal(await row(DEVICE).count(), 0, 'rows of the deleted device');
  });

  await checks.run('a server that goes away is said so, and the page recovers by itself', async () => {
    watch.outage = true;
    equal(await server.process.stop(), 0, 'exit code of the server');
    await page.locator(at('live-cut')).waitFor();
    await shoot('live-cut');
    const again = await startServer(SERVER, join(work, 'data'), new URL(server.web).host, new URL(server.ingest).host);
    server.process = again.process;
    await page.locator(at('live-cut')).waitFor({ state: 'detached', timeout: OFFLINE_MS_MAX });
    watch.outage = false;
    equal(again.signUp, null, 'sign-up link of a server with an account');
  });

  await checks.run('no console error or warning', async () => equal(watch.problems, [], 'said on the console'));
  await checks.run('no violation of the content security policy', async () => equal(watch.violations, [], 'violations'));
  await checks.run('no request to another host', async () => equal(watch.foreign, [], 'requests'));
}
