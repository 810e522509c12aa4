import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { browserIsThere, openBrowser } from '../browser.ts';
import { docker, expectCode, type Result } from './command.ts';
import { REPOSITORY } from './images.ts';
import { Installation } from './installation.ts';
import { findLeaks, type Secrets, secretsIn } from './secrets.ts';

jest.setTimeout(900_000);

const PASSWORD = 'nine quiet herons at dawn';
const ANSWERS = { KG_AI_PROVIDER: 'local', KG_EMBEDDING: 'local' };
const REFUSED = 'This token does not count (any more). On the host: ./operator.sh config claim';

/** The address that a command printed on a terminal, and the token in it. */
function printed({ stdout }: Result): { url: string; token: string } {
  const [, url = '', token = ''] = /(http:\S+\/claim#([\w-]{43}))(?![\w-])/.exec(stdout) ?? [];
  return { url, token };
}

(browserIsThere() ? describe : describe.skip)('the first admin, claimed in the web app', () => {
  let kg: Installation;
  let browser: Browser;
  let page: Page;
  const tokens: string[] = [];
  const problems: string[] = [];

  beforeAll(async () => {
    kg = await Installation.create({ dev: false }); // the page that users get
    browser = await openBrowser();
    page = await browser.newPage({ viewport: { width: 900, height: 720 } });
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('request', (request) => {
      if (tokens.some((token) => request.url().includes(token)))
        problems.push(`a token in ${request.method()} ${request.url()}`);
    });
  });
  afterAll(async () => {
    await browser?.close();
    await kg.destroy();
  });

  const post = async (token: string, password = PASSWORD) => {
    const response = await fetch(`http://127.0.0.1:${kg.webPort}/api/claim`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token, password }),
    });
    const headers = [...response.headers].filter(([name]) => name !== 'date');
    return { status: response.status, headers, text: await response.text() };
  };

  test('without a terminal up is refused, and names --claim', async () => {
    const { code, document } = await kg.json(['up', '--yes'], { env: ANSWERS });
    expect([code, document.error.code]).toEqual([4, 'INPUT_MISSING']);
    expect(document.error.details).toEqual([expect.stringContaining('--claim')]);
  });

  test('with --claim it starts, prints no token, and says how to get one', async () => {
    const result = await kg.ok(['up', '--yes', '--claim'], { env: ANSWERS });
    expect(result.stderr).toContain('./operator.sh config claim');
    expect(printed(result).token).toBe('');
    const { code, document } = await kg.json<{ next: string[] }>(['status', '--exit-code']);
    expect([code, document.data.next]).toEqual([0, ['./operator.sh config claim']]);
    expect((await kg.ok(['config', 'show'])).stdout).toContain('nobody has claimed the platform yet');
    await kg.ok(['config', 'validate']);
    await kg.ok(['stop']);
    await kg.ok(['start']);
  });

  test('up on a terminal asks for no password, and ends with the token', async () => {
    const result = expectCode(await kg.terminal('./operator.sh up', [], { env: ANSWERS }));
    const { url, token } = printed(result);
    expect(url).toBe(`http://localhost:${kg.webPort}/claim#${token}`);
    expect(token).toHaveLength(43);
    expect(result.stdout.indexOf('The platform is running')).toBeLessThan(result.stdout.indexOf(token));
    tokens.push(token);
  });

  test('config claim: to a terminal only, and the token before ends', async () => {
    for (const flags of [[], ['--json']]) {
      const refused = await kg.run(['config', 'claim', ...flags]);
      expect([refused.code, refused.stdout + refused.stderr]).toEqual([
        3,
        expect.stringContaining('config admin --from-file'),
      ]);
    }
    const { token } = printed(expectCode(await kg.terminal('./operator.sh config claim', [])));
    const [before = ''] = tokens;
    expect([token.length, token === before]).toEqual([43, false]);
    tokens.push(token);
    expect(await post(before)).toEqual(await post('x'.repeat(43)));
  });

  test('the login page leads to the claim page; a wrong token is refused there', async () => {
    await page.goto(`http://localhost:${kg.webPort}/`);
    await page.getByRole('link', { name: 'Set up the first administrator' }).click();
    await page.getByLabel('Token').fill('x'.repeat(43));
    await page.getByLabel('User name').fill('marie');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByLabel('Password again').fill(`${PASSWORD}x`);
    await page.getByRole('button').click();
    expect(await page.getByRole('alert').textContent()).toContain('differ');
    await page.getByLabel('Password again').fill(PASSWORD);
    await page.getByRole('button').click();
    await page.getByText(REFUSED).waitFor();
    expect(await page.getByLabel('User name').inputValue()).toBe('marie');
  });

  test('the printed address: the token leaves the address bar, and marie is logged in', async () => {
    const [, token = ''] = tokens;
    // Over the open page: only the fragment changes, and nothing is loaded.
    await page.goto(`http://localhost:${kg.webPort}/claim#${token}`);
    await page.getByText('The token was taken from the address.').waitFor();
    expect(page.url()).toBe(`http://localhost:${kg.webPort}/claim`);
    const picture = await page.screenshot();
    expect(picture.length).toBeGreaterThan(10_000);
    if (process.env.KG_UPDATE_SCREENSHOTS === '1') {
      await mkdir(join(REPOSITORY, 'docs', 'images'), { recursive: true });
      await page.goto('about:blank');
      await page.goto(`http://localhost:${kg.webPort}/claim#${token}`);
      await page.getByText('The token was taken from the address.').waitFor();
      await page.screenshot({ path: join(REPOSITORY, 'docs', 'images', 'claim.png') });
    }
    await page.getByLabel('User name').fill('marie');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByLabel('Password again').fill(PASSWORD);
    await page.getByRole('button', { name: 'Claim this platform' }).click();
    await page.getByTestId('add-text').waitFor();
    expect(page.url()).toBe(`http://localhost:${kg.webPort}/`);
    await page.reload();
    await page.getByTestId('add-text').waitFor();
    expect(await kg.logIn(PASSWORD, 'marie')).toMatchObject({ status: 200 });
    expect((await kg.api('GET', '/config')).status).toBe(200);
  });

  test('used up: refused like any other, and nothing shows that the platform was claimed', async () => {
    const [, token = ''] = tokens;
    const again = await post(token);
    expect([again.status, again.text]).toEqual([403, expect.stringContaining(REFUSED)]);
    expect(again).toEqual(await post('x'.repeat(43)));
    expect(again).toEqual(await post(token, 'short'));
    const visitor = await browser.newPage();
    await visitor.goto(`http://localhost:${kg.webPort}/`);
    await visitor.getByRole('link', { name: 'Set up the first administrator' }).waitFor();
    await visitor.close();
  });

  test('with an admin: config claim is refused, up prints no token, and there is nothing left to do', async () => {
    const late = await kg.terminal('./operator.sh config claim', []);
    expect([late.code, late.stdout]).toEqual([
      3,
      expect.stringContaining('there is an admin already: marie'),
    ]);
    const up = expectCode(await kg.terminal('./operator.sh up', [], { env: ANSWERS }));
    expect(up.stdout).toContain('marie');
    expect(printed(up).token).toBe('');
    const { document } = await kg.json<{ next: string[] }>(['status']);
    expect(document.data.next).toEqual([]);
  });

  test('the tokens were on those two terminals, and nowhere else', async () => {
    const secrets: Secrets = { PASSWORD };
    for (const [index, token] of tokens.entries()) secrets[`TOKEN${index}`] = token;
    const gateway = (await kg.containers()).gateway?.Id ?? '';
    expect(await docker('logs', gateway)).toContain('/api/claim');
    const found = await findLeaks(kg, secrets);
    expect(found).toEqual([
      expect.stringMatching(/^output of script .*\.\/operator\.sh config claim.*: TOKEN1$/),
      expect.stringMatching(/^output of script .*\.\/operator\.sh up.*: TOKEN0$/),
    ]);
    for (const { Id } of Object.values(await kg.containers()))
      expect(secretsIn(await docker('inspect', Id), secrets)).toEqual([]);
    const history = await kg.json(['config', 'history']);
    expect(history.result.stdout).toContain('"claim"');
    const told = [history.result.stdout, (await kg.ok(['history', '--json'])).stdout];
    const rows = await kg.psql(
      'SELECT h::text FROM kg_api.config_history h; SELECT c::text FROM kg_api.admin_claim c; SELECT u::text FROM kg_api.config_undo u;',
    );
    expect(secretsIn([...told, ...rows].join('\n'), secrets)).toEqual([]);
    expect(problems).toEqual([]);
  });
});
