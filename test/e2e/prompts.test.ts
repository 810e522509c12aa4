import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { sha256, startAiOnHost } from './ai.ts';
import { expectCode } from './command.ts';
import { ADMIN_PASSWORD, AI_KEY, Installation } from './installation.ts';
import { allSecrets, findLeaks } from './secrets.ts';

jest.setTimeout(900_000);

const ENTER = '\r';

describe('./operator.sh up on a terminal', () => {
  let kg: Installation;
  let ai: Awaited<ReturnType<typeof startAiOnHost>>;
  beforeAll(async () => {
    ai = await startAiOnHost();
    kg = await Installation.create();
  });
  afterAll(async () => {
    await ai.close();
    await kg.destroy();
  });

  test('asks for what is missing, for no password, and ends with a running platform that can be claimed', async () => {
    const result = await kg.terminal(
      './operator.sh up --dev',
      [
        { prompt: /Which AI provider/, type: ENTER },
        { prompt: /Model/, type: ENTER },
        { prompt: /API key for openai/, type: `${AI_KEY}${ENTER}` },
        { prompt: /embeddings\?/, type: ENTER },
      ],
      { env: { KG_AI_BASE_URL: ai.baseUrl } },
    );
    expectCode(result);
    expect(result.stdout).toContain(`http://localhost:${kg.webPort}`);
    expect(result.stdout).not.toContain(AI_KEY);
    expect(result.stdout).not.toMatch(/password for/i);
    const [, token] = /\/claim#([\w-]{43})/.exec(result.stdout) ?? [];
    expect(await kg.api('POST', '/claim', { token, password: ADMIN_PASSWORD })).toMatchObject({
      status: 200,
    });
  });

  test('what was typed is what counts', async () => {
    expect(await kg.logIn()).toMatchObject({ status: 200 });
    expect(await kg.api('POST', '/extract', { text: 'Marie Curie met Albert Einstein.' })).toMatchObject({
      status: 200,
    });
    expect(ai.last?.keySha256).toBe(sha256(AI_KEY));
    expect((await kg.json(['status', '--exit-code'])).code).toBe(0);
  });

  test('config admin asks twice, and again for one that is refused, or when the two differ', async () => {
    const next = `${ADMIN_PASSWORD} and more`;
    const result = await kg.terminal('./operator.sh config admin', [
      { prompt: /Password for admin/, type: `short${ENTER}` },
      { prompt: /12 to 1024/, type: `\x15${next}${ENTER}` },
      { prompt: /Once more/, type: `${next}x${ENTER}` },
      { prompt: /differ/, type: `\x15${next}${ENTER}` },
    ]);
    expectCode(result);
    expect(result.stdout).not.toContain(next);
    expect(await kg.logIn(next)).toMatchObject({ status: 200 });
    expect(await kg.logIn(ADMIN_PASSWORD)).toMatchObject({ status: 400 });
  });

  test('Ctrl-C at a prompt: exit 130, and nothing was set', async () => {
    const result = await kg.terminal('./operator.sh config admin --username someone', [
      { prompt: /Password for someone/, type: '\x03' },
    ]);
    expect(result.code).toBe(130);
    expect(await kg.psql("SELECT username FROM kg_api.users WHERE username = 'someone';")).toEqual([]);
  });

  test('teardown asks; n keeps the containers', async () => {
    const result = await kg.terminal('./operator.sh teardown', [{ prompt: /\[y\/N\]/, type: `n${ENTER}` }]);
    expect(result.code).toBe(2);
    expect(await kg.isRunning('api')).toBe(true);
  });

  test('nothing typed is in a log, a process list or a state file', async () => {
    expect(await findLeaks(kg, await allSecrets(kg))).toEqual([]);
  });

  test('teardown --volumes: the name, typed', async () => {
    const wrong = await kg.terminal('./operator.sh teardown --volumes', [
      { prompt: /type its name/i, type: `yes${ENTER}` },
    ]);
    expect(wrong.code).toBe(2);
    expect(await kg.isRunning('postgres')).toBe(true);
    expectCode(
      await kg.terminal('./operator.sh teardown --volumes', [
        { prompt: /type its name/i, type: `${kg.prefix}${ENTER}` },
      ]),
    );
    expect(await kg.leftovers()).toEqual([]);
  });
});
