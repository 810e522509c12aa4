import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { browserIsThere, openBrowser, settled } from '../browser.ts';
import { sha256, startAiOnHost } from './ai.ts';
import { REPOSITORY } from './images.ts';
import { ADMIN_PASSWORD, AI_KEY, Installation } from './installation.ts';

jest.setTimeout(900_000);

const TEXT = `Ada Lovelace wrote to Charles Babbage. Charles Babbage designed the Analytical Engine.
Luigi Menabrea described the Analytical Engine. Ada Lovelace translated Luigi Menabrea. Mary Somerville taught Ada Lovelace.
Mary Somerville translated Pierre Laplace. John Herschel befriended Charles Babbage.`;
const NAMES = [
  'Ada Lovelace',
  'Analytical Engine',
  'Charles Babbage',
  'John Herschel',
  'Luigi Menabrea',
  'Mary Somerville',
  'Pierre Laplace',
];

(browserIsThere() ? describe : describe.skip)('the web app in a browser', () => {
  let kg: Installation;
  let ai: Awaited<ReturnType<typeof startAiOnHost>>;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    ai = await startAiOnHost();
    kg = await Installation.create({ dev: false }); // the page that users get
    const env = {
      KG_ADMIN_PASSWORD: ADMIN_PASSWORD,
      KG_AI_PROVIDER: 'openai',
      KG_AI_BASE_URL: ai.baseUrl,
      KG_AI_API_KEY: AI_KEY,
      KG_EMBEDDING: 'local',
    };
    await kg.ok(['up', '--yes'], { env });
    browser = await openBrowser();
    page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('request', (request) => {
      if (new URL(request.url()).port !== String(kg.webPort))
        problems.push(`asked elsewhere: ${request.url()}`);
    });
  });
  afterAll(async () => {
    await browser?.close();
    await ai.close();
    await kg.destroy();
  });

  const names = async () =>
    page
      .getByTestId('node')
      .evaluateAll((nodes) => nodes.map((node) => node.getAttribute('data-name') ?? ''));

  test('a wrong password stays at the login; the right one shows an empty graph', async () => {
    await page.goto(`http://localhost:${kg.webPort}/`);
    await page.getByLabel('User name').fill('admin');
    await page.getByLabel('Password').fill('not the password');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').waitFor();
    expect(await page.getByTestId('graph').count()).toBe(0);

    await page.getByLabel('Password').fill(ADMIN_PASSWORD);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByTestId('add-text').waitFor();
    expect(await page.getByTestId('node').count()).toBe(0);
    expect(page.url()).not.toContain('password');
  });

  test('text that is added becomes nodes and edges', async () => {
    const form = page.getByTestId('add-text');
    await form.getByLabel('Title').fill('The first programme');
    await form.locator('textarea').fill(TEXT);
    await form.getByRole('button').click();
    await page.getByTestId('extract-result').waitFor();
    expect(ai.last?.keySha256).toBe(sha256(AI_KEY));

    await page
      .getByTestId('node')
      .nth(NAMES.length - 1)
      .waitFor();
    expect((await names()).sort()).toEqual([...NAMES].sort());
    expect(await page.getByTestId('edge').count()).toBe(7);
    const box = await page.getByTestId('node').first().boundingBox();
    expect(box?.width).toBeGreaterThan(5); // drawn, not only there
  });

  test('the screenshot', async () => {
    await page.waitForFunction(settled, undefined, { polling: 300 });
    const picture = await page.screenshot();
    expect(picture.length).toBeGreaterThan(10_000);
    if (process.env.KG_UPDATE_SCREENSHOTS === '1') {
      await mkdir(join(REPOSITORY, 'docs', 'images'), { recursive: true });
      await page.screenshot({ path: join(REPOSITORY, 'docs', 'images', 'web.png') });
    }
  });

  test('after a reload the graph is still there; the API sees the same', async () => {
    await page.reload();
    await page
      .getByTestId('node')
      .nth(NAMES.length - 1)
      .waitFor();
    expect((await names()).sort()).toEqual([...NAMES].sort());
    await kg.logIn();
    const { body } = await kg.api<{ nodes: { name: string }[] }>('GET', '/graph');
    expect(body.nodes.map(({ name }) => name).sort()).toEqual([...NAMES].sort());
  });

  test('nothing went wrong on the page, and it asked nobody else', () => {
    expect(problems).toEqual([]);
  });
});
