/** What one does every day: more devices, search, language, theme, keyboard, logs. */

import { equal, eventually, holds } from './checks';
import { send } from './demo';
import { DEVICE, HOSTILE, LINE_PIXELS_MIN, REPORT_MS_MAX, STEP_MS_MAX, at, pathOf, rowOf, type Stage } from './stage';
import { colouredPixels } from './watch';

/** `key` is that of the device that reports. */
export async function everyday({ checks, server, page, shoot }: Stage, key: string): Promise<void> {
  const row = (name: string) => rowOf(page, name);

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
    equal(await page.locator(at('sign-out')).count(), 0, 'open menus');
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
      await eventually(async () => (pathOf(page) === leads ? true : null), STEP_MS_MAX, leads);
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
    await eventually(async () => (pathOf(page).startsWith('/devices/') ? true : null), STEP_MS_MAX, 'the address of a device');
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
}
