/** From the sign-up link to a device that reports: what a new user does first. */

import { totalmem } from 'node:os';
import { join } from 'node:path';
import { equal, eventually, holds } from './checks';
import { startAgent } from './processes';
import { ACCOUNT, AGENT, DESKTOP, DEVICE, REPORT_MS_MAX, at, pathOf, rowOf, type Stage } from './stage';

/** As it comes over the wire, compressed. */
const FIRST_LOAD_BYTES_MAX = 350_000;
/** The agent reads its own memory size; the test reads it too and they may count a little differently. */
const MEMORY_TOLERANCE = 0.1;

/** The key of the device that was added; null: without an account nothing else can be seen. */
export async function firstRun({ checks, browser, server, agents, work, page, watch, shoot }: Stage): Promise<string | null> {
  await checks.run('before the first account every address leads to the sign-up notice', async () => {
    await page.goto(`${server.web}/logs`);
    await page.getByText('Nobody has signed up yet').waitFor();
    equal(pathOf(page), '/setup', 'address');
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
    equal(pathOf(page), '/', 'address');
  });

  // Without an account nothing below can be seen.

  if (!signedUp) return null;

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

  await checks.run('a dialog that waits for two minutes says what may be wrong', async () => {
    const waiting = await watch.open(browser, { viewport: DESKTOP, storageState: await page.context().storageState() });
    await waiting.clock.install();
    await waiting.goto(`${server.web}/`);
    await waiting.locator(at('add-device')).click();
    await waiting.locator('input[name=device-name]').fill('never comes');
    await waiting.getByRole('button', { name: 'Next' }).click();
    for (const [system, command] of [['Linux', /^curl .*install\.sh' \| sh -s -- '/], ['macOS', /^curl /], ['Windows', /irm '.*install\.ps1'/], ['Docker', /^docker run .* enroll .* && docker run -d /]] as const) {
      await waiting.getByRole('dialog').getByText(system, { exact: true }).click();
      holds(command.test(await waiting.locator(at('install-command')).innerText()), `the command for ${system}: ${await waiting.locator(at('install-command')).innerText()}`);
    }
    await waiting.getByText('Waiting for the first report').waitFor();
    equal(await waiting.locator('.causes').count(), 0, 'causes before two minutes');
    await waiting.clock.fastForward('02:01');
    await waiting.locator('.causes').waitFor();
    equal(await waiting.locator('.causes > li').count(), 3, 'causes');
    await shoot('add-device-slow', waiting);
    await waiting.context().close();
  });

  await checks.run('the row is online with the real figures of this machine', async () => {
    await rowOf(page, DEVICE).and(page.locator('[data-state=online], [data-state=degraded]')).waitFor();
    const answer = await page.request.get(`${server.web}/api/v1/devices`);
    const { devices } = (await answer.json()) as { devices: { name: string; latest: Record<string, number> }[] };
    const latest = devices.find((device) => device.name === DEVICE)?.latest ?? {};
    const memory = latest['memory_total'] ?? 0;
    holds(Math.abs(memory / totalmem() - 1) < MEMORY_TOLERANCE, `memory_total ${memory}, this machine has ${totalmem()}`);
    const figures = await rowOf(page, DEVICE).locator('.meter .figure').allInnerTexts();
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
    const read = (): Promise<string> => rowOf(page, DEVICE).locator('.value').allInnerTexts().then((texts) => texts.join(' '));
    const before = await read();
    await eventually(async () => ((await read()) === before ? null : true), REPORT_MS_MAX, 'another value');
  });


  return key;
}
