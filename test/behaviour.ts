import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

/** A running platform as its user sees it: the command line with `--json`, and the API over HTTP. */
export interface PlatformUnderTest {
  /** Runs an engine command with `--json`. */
  command(args: string[], env?: Record<string, string>): Promise<{ code: number; output: string }>;
  /** Base address of the API. */
  api: string;
  /** Stops the platform and starts it again. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export const FIRST_PASSWORD = 'the first password';
const SECOND_PASSWORD = 'the second password';
const API_KEY = 'sk-behaviour-0123456789';

interface Document {
  ok: boolean;
  /** What the commands used here answer, each a part of it. */
  data: {
    ok?: boolean;
    changed?: boolean;
    pending?: string[];
    applied?: string[];
    items?: { ok: boolean }[];
  };
  error?: { code: string };
}

/** What must hold of an installation whatever it runs on: started with FIRST_PASSWORD for `admin`, provider `local`, embedding `local`. */
export function behavesLikeThePlatform(name: string, open: () => Promise<PlatformUnderTest>): void {
  describe(`the platform, on ${name}`, () => {
    let platform: PlatformUnderTest;
    let token = '';
    beforeAll(async () => {
      platform = await open();
    }, 600_000);
    afterAll(() => platform?.close(), 120_000);

    async function command(
      args: string[],
      env?: Record<string, string>,
    ): Promise<{ code: number; document: Document }> {
      const { code, output } = await platform.command(args, env);
      return { code, document: JSON.parse(output) as Document };
    }

    async function call(
      method: string,
      path: string,
      body?: unknown,
    ): Promise<{ status: number; body: Record<string, unknown> }> {
      const response = await fetch(`${platform.api}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    }

    async function logIn(password: string): Promise<number> {
      const response = await fetch(`${platform.api}/oauth/token`, {
        method: 'POST',
        body: new URLSearchParams({ grant_type: 'password', username: 'admin', password }),
      });
      const { access_token } = (await response.json()) as { access_token?: string };
      token = access_token ?? token;
      return response.status;
    }

    test('all four layers are complete, and every migration is applied', async () => {
      const { code, document } = await command(['status', '--exit-code']);
      expect([code, document.data.ok]).toEqual([0, true]);
      expect((await command(['migrate', 'status'])).document.data.pending).toEqual([]);
      expect((await command(['migrate'])).document.data.applied).toEqual([]);
      const { document: shown } = await command(['config', 'show']);
      expect(shown.data.items?.map(({ ok }) => ok)).toEqual(Array(shown.data.items?.length).fill(true));
      expect(shown.data.items?.length).toBeGreaterThan(3);
    });

    test('only the password logs in, and only a token is let in', async () => {
      expect(await logIn('not the password')).toBe(400);
      expect((await call('GET', '/graph')).status).toBe(401);
      expect(await logIn(FIRST_PASSWORD)).toBe(200);
      expect((await call('GET', '/graph')).status).toBe(200);
    });

    test('concepts and relations are one each, however often they are posted', async () => {
      for (const status of [201, 200]) {
        expect((await call('POST', '/concepts', { name: 'Garage' })).status).toBe(status);
      }
      await call('POST', '/concepts', { name: 'Bucket' });
      const relation = { from: 'Garage', to: 'Bucket', type: 'holds' };
      for (const status of [201, 200])
        expect((await call('POST', '/relations', relation)).status).toBe(status);
      expect((await call('GET', '/graph')).body).toMatchObject({ nodes: { length: 2 }, edges: [relation] });
    });

    test('text is stored as it was, and what is extracted from it is in the graph', async () => {
      const text = 'Ada Lovelace wrote to Charles Babbage — “ünï©ode”.\n';
      const { status, body } = await call('POST', '/extract', { title: 'A letter', text });
      expect(status).toBe(200);
      const { id } = body.document as { id: string };
      expect((await call('GET', `/documents/${id}`)).body.text).toBe(text);
      const { nodes } = (await call('GET', '/graph')).body as { nodes: { name: string }[] };
      expect(nodes.map((node) => node.name)).toEqual(
        expect.arrayContaining(['Ada Lovelace', 'Charles Babbage', 'Garage']),
      );
    });

    test('a change is one, the same again is none', async () => {
      const changes: [string[], Record<string, string>?][] = [
        [['config', 'embedding', 'local', '--model', 'another', '--dimensions', '8']],
        [['config', 'ai-provider', 'openai', '--model', 'm'], { KG_AI_API_KEY: 'sk-before-0123456789' }],
      ];
      for (const [change, env] of changes) {
        expect((await command(change, env)).document.data.changed).toBe(true);
        expect((await command(change, env)).document.data.changed).toBe(false);
      }
    });

    test('a key goes in and is never shown', async () => {
      const set = () => platform.command(['config', 'api-key', 'openai'], { KG_AI_API_KEY: API_KEY });
      for (const changed of [true, false]) {
        const { output } = await set();
        expect(JSON.parse(output).data).toMatchObject({ provider: 'openai', changed });
        expect(output).not.toContain(API_KEY);
      }
      expect((await platform.command(['config', 'show'])).output).not.toContain(API_KEY);
    });

    test('bad input is refused with its code, and changes nothing', async () => {
      const before = (await command(['config', 'show'])).document.data;
      expect(await command(['config', 'embedding', 'nosuch'])).toMatchObject({
        code: 2,
        document: { ok: false, error: { code: 'USAGE' } },
      });
      expect(await command(['config', 'ai-provider', 'openai', '--base-url', 'ftp://x'])).toMatchObject({
        code: 2,
        document: { error: { code: 'URL_INVALID' } },
      });
      expect(await command(['config', 'admin'], { KG_ADMIN_PASSWORD: 'short' })).toMatchObject({
        code: 2,
        document: { error: { code: 'PASSWORD_INVALID' } },
      });
      expect((await command(['config', 'show'])).document.data).toEqual(before);
    });

    test('a setting counts within two seconds, without a restart', async () => {
      const title = async () => (await call('GET', '/site')).body.title;
      for (const wanted of ['Renamed', 'Knowledge graph']) {
        expect((await command(['config', 'set', 'web.title', wanted])).code).toBe(0);
        const changed = performance.now();
        while ((await title()) !== wanted && performance.now() - changed < 2_000) await sleep(20);
        expect(await title()).toBe(wanted);
      }
    });

    test('a new password counts at once', async () => {
      expect(
        (await command(['config', 'admin'], { KG_ADMIN_PASSWORD: SECOND_PASSWORD })).document.data.changed,
      ).toBe(true);
      expect([await logIn(FIRST_PASSWORD), await logIn(SECOND_PASSWORD)]).toEqual([400, 200]);
    });

    test('a restart keeps all of it', async () => {
      const [graph, documents] = [await call('GET', '/graph'), await call('GET', '/documents')];
      await platform.restart();
      expect(await logIn(SECOND_PASSWORD)).toBe(200);
      expect(await call('GET', '/graph')).toEqual(graph);
      expect(await call('GET', '/documents')).toEqual(documents);
    });
  });
}
