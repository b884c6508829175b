/** Settings: API tokens, prices, how long things are kept. */

import { equal } from './checks';
import { at, type Stage } from './stage';

export async function settings({ checks, server, page, shoot }: Stage): Promise<void> {
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
}
