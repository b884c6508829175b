/** The page on a phone. */

import { holds } from './checks';
import { DEVICE, STEP_MS_MAX, at, rowOf, type Stage } from './stage';

const PHONE = { width: 390, height: 844 };

export async function phone({ checks, browser, server, page, watch, shoot }: Stage): Promise<void> {
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
    // Panels open where their button is, left or right, and stay in the window all the same.
    for (const opener of [at('add-metric'), at('custom-range'), `.chart ${at('export')}`, at('menu')]) {
      await phone.locator(opener).first().click();
      const box = await phone.locator('.panel').boundingBox();
      holds(box !== null && box.x >= 0 && box.x + box.width <= PHONE.width, `the panel of ${opener}: ${JSON.stringify(box)}`);
      await phone.keyboard.press('Escape');
      await phone.locator('.panel').waitFor({ state: 'detached' });
    }
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
}
