/** How things end: a session, an agent, a device, the server. */

import { join } from 'node:path';
import { equal, holds } from './checks';
import { startServer } from './processes';
import { ACCOUNT, DEVICE, HOSTILE, SERVER, at, pathOf, rowOf, type Stage } from './stage';

/** Offline is declared 10 s after the last report; the rest is for a slow machine. */
const OFFLINE_MS_MAX = 30_000;

export async function end({ checks, server, agents, work, watch, page, shoot }: Stage): Promise<void> {
  const row = (name: string) => rowOf(page, name);

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
    equal(pathOf(page), '/', 'address');
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
}
