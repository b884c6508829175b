/** Looks at every view with axe-core, in both themes: nothing serious may be found. */

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { equal } from './checks';
import { at, type Stage } from './stage';

interface Finding {
  id: string;
  impact: string | null;
  nodes: { target: unknown[]; failureSummary?: string }[];
}

const DARK_TOO = ['/', '/usage', '/logs', '/settings/account', '/settings/storage'];

export async function accessible({ checks, server, page }: Stage, device: number): Promise<void> {
  const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  const views = [
    '/', '/?view=cards', '/usage', '/logs', '/events', `/devices/${device}`, `/devices/${device}/tokens`, `/devices/${device}/logs`,
    '/settings/display', '/settings/account', '/settings/users', '/settings/tokens', '/settings/prices', '/settings/storage',
  ];
  const look = async (where: string): Promise<string[]> => {
    await page.evaluate(source);
    const found = await page.evaluate(async () => {
      const axe = (window as unknown as { axe: { run(options: object): Promise<{ violations: Finding[] }> } }).axe;
      return (await axe.run({ resultTypes: ['violations'] })).violations;
    });
    return found
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${where}: ${id} at ${JSON.stringify(nodes[0]?.target)} (${nodes.length}) ${nodes[0]?.failureSummary?.split('\n')[1]?.trim() ?? ''}`);
  };

  for (const theme of ['light', 'dark'] as const) {
    await checks.run(`axe finds nothing serious in any view, ${theme}`, async () => {
      const problems: string[] = [];
      await page.evaluate((chosen) => localStorage.setItem('ocw.theme', chosen), theme);
      // Dark changes colours only; where they are all of them is enough.
      for (const view of theme === 'light' ? views : views.filter((one) => DARK_TOO.includes(one) || one.endsWith(String(device)))) {
        await page.goto(`${server.web}${view}`);
        await page.locator('main h1').first().waitFor({ state: 'attached' });
        await page.waitForFunction(() => document.querySelector('[aria-busy=true]') === null);
        problems.push(...(await look(view)));
      }
      await page.goto(`${server.web}/`);
      await page.locator(at('add-device')).click();
      await page.locator('input[name=device-name]').waitFor();
      problems.push(...(await look('the add-device dialog')));
      equal(problems, [], 'findings');
    });
  }
  await page.evaluate(() => localStorage.removeItem('ocw.theme'));
}
