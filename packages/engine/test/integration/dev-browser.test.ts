import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { browserIsThere, openBrowser, settled } from '../../../../test/browser.ts';

const REPOSITORY = join(import.meta.dirname, '..', '..', '..', '..');
const PASSWORD = 'a password for the browser';
const START_SECONDS = 90;

/** The built CLI, as `npm start -- --demo` runs it. */
class DevProcess {
  readonly #child: ChildProcess;
  #output = '';

  constructor(data: string) {
    this.#child = spawn(
      process.execPath,
      [join(REPOSITORY, 'packages/engine/bin/run.js'), 'dev', '--port', '0', '--data', data, '--demo'],
      {
        env: { PATH: process.env.PATH, HOME: process.env.HOME, KG_ADMIN_PASSWORD: PASSWORD },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  /** The address it prints. */
  async url(): Promise<string> {
    const deadline = performance.now() + START_SECONDS * 1000;
    for (;;) {
      const found = /Web app +(http:\S+)/.exec(this.#output)?.[1];
      if (found) return found;
      if (performance.now() > deadline || this.#child.exitCode !== null)
        throw new Error(`no address:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async stop(): Promise<number | null> {
    if (this.#child.exitCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGINT');
      await ended;
    }
    return this.#child.exitCode;
  }
}

(browserIsThere() ? describe : describe.skip)('kg-operator dev --demo in a browser', () => {
  let data: string;
  let dev: DevProcess;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    data = join(await mkdtemp(join(tmpdir(), 'kg-dev-')), 'data');
    dev = new DevProcess(data);
    browser = await openBrowser();
    page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.setDefaultTimeout(20_000);
  });
  afterAll(async () => {
    await browser?.close();
    await dev?.stop();
    await rm(join(data, '..'), { recursive: true, force: true });
  });

  async function logIn(): Promise<string[]> {
    await page.goto(await dev.url());
    await page.getByLabel('User name').fill('admin');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByTestId('node').nth(2).waitFor();
    return page
      .getByTestId('node')
      .evaluateAll((nodes) => nodes.map((node) => node.getAttribute('data-name') ?? ''));
  }

  test('log in: the graph of the demo text is drawn; a restart keeps it', async () => {
    const names = await logIn();
    expect(names.length).toBeGreaterThan(3);
    expect(await page.getByTestId('edge').count()).toBeGreaterThan(2);
    await page.waitForFunction(settled, undefined, { polling: 300 });
    const picture = await page.screenshot(
      process.env.KG_UPDATE_SCREENSHOTS === '1' ? { path: join(REPOSITORY, 'docs/images/dev.png') } : {},
    );
    expect(picture.length).toBeGreaterThan(10_000);

    expect(await dev.stop()).toBe(0);
    dev = new DevProcess(data);
    await page.context().clearCookies();
    await page.evaluate('sessionStorage.clear()');
    expect((await logIn()).sort()).toEqual(names.sort());
  });
});
