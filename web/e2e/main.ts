/**
 * The browser test: the real server, the real agent and Chromium, from the sign-up link to a deleted
 * device. Prints one line per check; screenshots of each view go to `out/`.
 *
 * Needs the server built after the page, because the page is inside it. OPENCLAW_WATCH_BIN,
 * OPENCLAW_WATCH_AGENT_BIN and CHROMIUM name other programs than the debug build and Debian's browser.
 */

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { accessible } from './accessible';
import { badInput } from './bad-input';
import { charts } from './charts';
import { Checks, equal, holds } from './checks';
import { end } from './end';
import { everyday } from './everyday';
import { files } from './files';
import { firstRun } from './first-run';
import { phone } from './phone';
import { startServer, type Process, type Server } from './processes';
import { settings } from './settings';
import { speed } from './speed';
import { DESKTOP, OUT, SERVER, STEP_MS_MAX, type Stage } from './stage';
import { Watch, launch } from './watch';

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

async function scenario(programs: Pick<Stage, 'checks' | 'browser' | 'server' | 'agents' | 'work'>): Promise<void> {
  const { checks, browser, server } = programs;
  const watch = new Watch(server.web);
  const page = await watch.open(browser, { viewport: DESKTOP, colorScheme: 'light' });
  page.setDefaultTimeout(STEP_MS_MAX);
  const stage: Stage = { ...programs, watch, page, shoot: (name, on = page) => on.screenshot({ path: join(OUT, `${name}.png`) }) };

  const key = await firstRun(stage);
  if (key === null) return;
  await charts(stage);
  await everyday(stage, key);
  await settings(stage);
  await files(stage);
  await phone(stage);
  await badInput(stage);
  await accessible(stage, 1);
  await end(stage);
  await speed(stage);

  await checks.run('no console error or warning', async () => equal(watch.problems, [], 'said on the console'));
  await checks.run('no violation of the content security policy', async () => equal(watch.violations, [], 'violations'));
  await checks.run('no request to another host', async () => equal(watch.foreign, [], 'requests'));
}
