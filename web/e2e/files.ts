/** What leaves the page: tables and charts as CSV and as pictures, and the token page on paper. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { equal, holds } from './checks';
import { bootId, send } from './demo';
import { OUT, addDevice, at, call, type Stage } from './stage';
import { colouredPixels } from './watch';

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const MARK = '\uFEFF';
/** Lightness of the paper: white, or nearly. */
const LIGHT_MIN = 0.9;

export async function files({ checks, server, page, shoot }: Stage): Promise<void> {
  /** Opens a menu and takes what comes of one of its two buttons. */
  const take = async (menu: Locator, form: 'csv' | 'png'): Promise<{ name: string; bytes: Buffer }> => {
    await menu.click();
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator(at(`export-${form}`)).click()]);
    return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
  };
  const both = async (menu: Locator, what: string, head: string): Promise<string> => {
    const csv = await take(menu, 'csv');
    const text = csv.bytes.toString('utf8');
    holds(text.startsWith(MARK + head), `${what}: ${text.slice(0, 80)}`);
    holds(/^openclaw-watch-.+-\d{8}-\d{4}\.csv$/.test(csv.name), csv.name);
    const png = await take(menu, 'png');
    equal([...png.bytes.subarray(0, 8)], [...PNG], `${what}: the first bytes of the picture`);
    await writeFile(join(OUT, `file-${what}.png`), png.bytes);
    return text;
  };
  let device = 0;

  await checks.run('every chart and every table is a file: CSV and picture', async () => {
    const { id, key } = await addDevice(page, server.web, '=files');
    device = id;
    const now = Date.now();
    const rows = [now - 50_000, now - 40_000, now - 30_000].map((t_ms) => ({ t_ms, v: { cpu_percent: 40, memory_percent: 50 } }));
    const usage = [{ event_id: 'files-1', t_ms: now, agent: 'main', provider: 'acme', model: 'm-1', input: 900, output: 100, cache_read: 0, cache_write: 0, cost_usd: 0.5, cost_basis: 'reported' }];
    await send(server.ingest, key, { agent: { version: '0.1.0', boot_id: bootId(id), seq: 1, interval_s: 600 }, rows, usage, logs: [{ t_ms: now, level: 'error', source: 'gateway', message: '=1+1' }] });
    const menu = (scope: string): Locator => page.locator(`${scope} [data-test=export]`).first();

    await page.goto(`${server.web}/?q=%3Dfiles`);
    await page.locator('[data-device]').first().waitFor();
    // The line above the list says whose error is the newest: the list of errors is below all devices.
    await page.locator('.line .extra', { hasText: '=files' }).waitFor();
    await both(menu('.tools'), 'devices', 'id,name,');
    await page.goto(`${server.web}/devices/${id}?range=15m`);
    await page.waitForFunction(() => document.querySelector('.plot canvas') !== null && document.querySelector('[aria-busy=true]') === null);
    await page.locator('.chart').first().hover();
    await both(menu('.chart'), 'chart', 'time,cpu_percent\r\n');
    await page.goto(`${server.web}/devices/${id}/events`);
    await both(menu('main'), 'events', 'time,device,kind,text');
    await page.goto(`${server.web}/logs?device=${id}`);
    await page.locator('.line').first().waitFor();
    await both(menu('.tools'), 'logs', 'time,device,level,source,message');
    await page.goto(`${server.web}/logs?device=${id}&view=groups`);
    await page.locator('.group').first().waitFor();
    await both(menu('.tools'), 'log-groups', 'count,devices,level');
    await page.goto(`${server.web}/devices/${id}/tokens`);
    await page.locator('.plot canvas').first().waitFor();
    await both(menu('.chart'), 'tokens-chart', 'day,model,');
    await both(menu('.card:not(.chart)'), 'tokens-table', 'model,share_percent,');
    // The settings' tables are one component; each has what a person may see of it, and never what is secret.
    const { token } = (await call(page, server.web, 'POST', '/api/v1/tokens', { name: '=token', scope: 'read' })) as { token: string };
    const tables: [section: string, what: string, head: string][] = [
      ['storage', 'storage', 'what,bytes,'],
      ['keeping', 'retention', 'kind,keep_days,keep_gigabytes,'],
      ['account', 'sessions', 'username,browser,address,used\r\n'],
      ['users', 'users', 'username,role,seen\r\n'],
      ['tokens', 'api-tokens', 'name,scope,username,used,ends\r\n'],
      ['prices', 'prices', 'provider,model,from,input,'],
    ];
    for (const [section, what, head] of tables) {
      await page.goto(`${server.web}/settings/${section}`);
      if (section === 'prices') await page.locator(at('price-add')).click();
      const text = await both(menu('main'), what, head);
      holds(!text.includes(token) && !/password|hash|secret/i.test(text), `nothing secret in ${what}: ${text}`);
      if (section === 'tokens') holds(text.includes("\r\n'=token,read,"), text);
    }
  });

  await checks.run('a name that begins like a formula is text in a spreadsheet', async () => {
    await page.goto(`${server.web}/logs?device=${device}`);
    await page.locator('.line').first().waitFor();
    const { bytes } = await take(page.locator('.tools [data-test=export]').first(), 'csv');
    holds(bytes.toString('utf8').includes(",'=files,error,gateway,'=1+1"), bytes.toString('utf8'));
  });

  await checks.run('on paper the token page is light and whole, whatever the screen is', async () => {
    await page.evaluate(() => localStorage.setItem('ocw.theme', 'dark'));
    await page.goto(`${server.web}/usage`);
    await page.waitForFunction(() => document.querySelector('.plot canvas') !== null && document.querySelector('[aria-busy=true]') === null);
    // What the browser itself does before it prints; then the page is looked at as it would be on the sheet.
    await page.evaluate(() => window.dispatchEvent(new Event('beforeprint')));
    await page.emulateMedia({ media: 'print' });
    try {
      const lightness = await page.evaluate(() => {
        const [red = 0, green = 0, blue = 0] = getComputedStyle(document.querySelector('.card') ?? document.body).backgroundColor.match(/\d+/g)?.map(Number) ?? [];
        return (red + green + blue) / 3 / 255;
      });
      holds(lightness > LIGHT_MIN, `lightness of a card: ${lightness}`);
      equal(await page.locator('header.bar:visible, .tools:visible, [data-test=export]:visible').count(), 0, 'things nobody can click on paper');
      const [sheet, card] = await Promise.all([page.locator('.sheet').boundingBox(), page.locator('.card.chart').boundingBox()]);
      holds(sheet !== null && card !== null && sheet.width > 0.9 * card.width && sheet.y + sheet.height <= card.y + card.height, `the chart within its card: ${JSON.stringify([sheet, card])}`);
      holds(((await colouredPixels(page, '.plot .sheet'))[0] ?? 0) > 100, 'the bars are there');
      await shoot('usage-print');
    } finally {
      await page.emulateMedia({ media: null });
      await page.evaluate(() => window.dispatchEvent(new Event('afterprint')));
    }
    const pdf = await page.pdf({ format: 'A4' });
    equal(pdf.subarray(0, 5).toString(), '%PDF-', 'a document');
    await writeFile(join(OUT, 'usage.pdf'), pdf);
    equal(await page.evaluate(() => document.documentElement.dataset['theme']), 'dark', 'the theme after printing');
    await page.evaluate(() => localStorage.removeItem('ocw.theme'));
  });
}
