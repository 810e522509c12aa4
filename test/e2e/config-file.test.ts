import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { sha256, startAiOnHost } from './ai.ts';
import { ADMIN_PASSWORD, AI_KEY, Installation } from './installation.ts';
import { allSecrets, findLeaks } from './secrets.ts';

jest.setTimeout(900_000);

const ADA = 'what only Ada types';

describe('one file brings a fresh installation to ready', () => {
  let kg: Installation;
  let ai: Awaited<ReturnType<typeof startAiOnHost>>;
  let file: string;
  const env = { KG_ADMIN_PASSWORD: ADMIN_PASSWORD, LLM_KEY: AI_KEY };

  beforeAll(async () => {
    ai = await startAiOnHost();
    kg = await Installation.create();
    file = `version: 1
users:
  ada:
    role: user
    password: {file: secrets/ada}
  admin:
    role: admin
    password: {env: KG_ADMIN_PASSWORD}
ai:
  active: openai-compatible
  providers:
    local: {}
    openai-compatible:
      model: gpt-5-mini
      baseUrl: ${ai.baseUrl}
      options:
        temperature: 0.2
        concurrency: 2
embedding:
  active: local
  providers:
    local:
      model: nomic-embed-text-v1.5
      dimensions: 768
      precision: float32
apiKeys:
  openai-compatible: {env: LLM_KEY}
objectStore: garage
settings:
  web.title: From one file
`;
    await writeFile(kg.path('kg.yaml'), file);
    await mkdir(kg.path('secrets'), { mode: 0o700 });
    await writeFile(kg.path('secrets/ada'), `${ADA}\n`);
    await chmod(kg.path('secrets/ada'), 0o600);
  });
  afterAll(async () => {
    await ai.close();
    await kg.destroy();
  });

  const changes = async () =>
    (await kg.json<{ changes: unknown[] }>(['config', 'history'])).document.data.changes;

  test('a file that is wrong is told before anything is started', async () => {
    await writeFile(
      kg.path('wrong.yaml'),
      `version: 1\nusers: {admin: {role: admin, password: ${ADMIN_PASSWORD}}}\n`,
    );
    const { code, stderr } = await kg.run(['up', '--dev', '--yes', '--config', 'wrong.yaml'], { env });
    expect(code).toBe(4);
    expect(stderr).toContain('wrong.yaml:2:40: users.admin.password must say where the secret is');
    expect(Object.keys(await kg.containers())).toEqual(['operator']);
  });

  test('up --config: ready, with no terminal to ask on', async () => {
    await kg.ok(['up', '--dev', '--no-input', '--config', 'kg.yaml', '--from-env', 'LLM_KEY'], { env });
    expect((await kg.run(['status', '--exit-code'])).code).toBe(0);
    for (const [username, password] of [
      ['ada', ADA],
      ['admin', ADMIN_PASSWORD],
    ])
      expect((await kg.logIn(password, username)).status).toBe(200);
    expect(
      (await kg.api('POST', '/extract', { text: 'Ada Lovelace wrote to Charles Babbage.' })).status,
    ).toBe(200);
    expect(ai.last).toMatchObject({ keySha256: sha256(AI_KEY) });
  });

  test('config export gives the same file back', async () => {
    const { stdout } = await kg.ok(['config', 'export']);
    expect(stdout).toBe(file);
    expect(stdout).toBe(await readFile(kg.path('kg.yaml'), 'utf8'));
  });

  test('the same file again changes nothing, from a file or from standard input, with the secrets or without', async () => {
    const before = await changes();
    const named = await kg.json(['config', 'import', 'kg.yaml', '--from-env', 'LLM_KEY'], { env });
    expect(named.document).toMatchObject({ data: { changed: false, kept: [], missing: [] }, warnings: [] });
    const piped = await kg.json(['config', 'import', '-'], { input: file });
    expect(piped.document.data).toMatchObject({
      changed: false,
      kept: [
        { path: 'users.admin.password', reason: 'KG_ADMIN_PASSWORD is not set' },
        { path: 'apiKeys.openai-compatible', reason: 'LLM_KEY is not set' },
      ],
    });
    expect(await changes()).toEqual(before);
  });

  test('a variable that is not passed on is told with the rule', async () => {
    const other = 'version: 1\napiKeys: {openai: {env: OPENAI_API_KEY}}\n';
    const { code, document } = await kg.json(['config', 'import', '-'], {
      input: other,
      env: { OPENAI_API_KEY: AI_KEY },
    });
    expect(code).toBe(4);
    expect(document.error).toMatchObject({
      code: 'SECRET_UNRESOLVED',
      details: ['standard input:2:19: apiKeys.openai: OPENAI_API_KEY is not set'],
      hint: expect.stringContaining('--from-env NAME'),
    });
  });

  test('a file elsewhere on the host is not seen, and standard input is named', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'kge2e-elsewhere-'));
    await writeFile(join(elsewhere, 'kg.yaml'), file);
    const { code, document } = await kg.json(['config', 'import', join(elsewhere, 'kg.yaml')]);
    expect([code, document.error.code]).toEqual([2, 'FILE_UNREADABLE']);
    expect(document.error.hint).toContain('config import - < FILE');
    await rm(elsewhere, { recursive: true });
  });

  test('a model that the provider does not have is found by --test, and nothing is changed', async () => {
    const before = await changes();
    const other = file.replace('gpt-5-mini', 'gpt-0-none');
    const { code, document } = await kg.json(['config', 'import', '-', '--test'], { input: other });
    expect([code, document.error.code]).toEqual([4, 'TEST_FAILED']);
    expect(await changes()).toEqual(before);
  });

  test('no output, log, state file, image or process list holds a secret', async () => {
    expect(await findLeaks(kg, { ...(await allSecrets(kg)), ADA })).toEqual([]);
  });
});
