import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { terminalPicture, textOfPicture } from '../../../../test/terminal-picture.ts';
import { freePort, type RunningCommand, start, until } from '../installed-package.ts';

const REPOSITORY = join(import.meta.dirname, '../../../..');
const BIN = join(REPOSITORY, 'packages/engine/bin/run.js');
const SECRETS = {
  KG_ADMIN_PASSWORD: 'what only admins know',
  KG_ADA_PASSWORD: 'what only Ada knows',
  KG_OPENAI_API_KEY: 'sk-of-this-year-0123456789',
};
/** Its example file, and what it shows of commands. */
const PAGE = readFileSync(join(REPOSITORY, 'docs/configuration.md'), 'utf8');
const [EXAMPLE = ''] = blocks('yaml');

/**
 * The pictures of docs/configuration.md are what these commands print, on a terminal. KG_UPDATE_SCREENSHOTS=1 makes them anew; otherwise
 * they are compared, times, fingerprints and ports aside.
 */
describe('the pictures in the documentation', () => {
  let folder: string;
  let provider: Server;
  let dev: RunningCommand;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kg-captures-'));
    // As OpenAI answers a key that it does not know.
    provider = createServer((_request, response) => {
      const message =
        'Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.';
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({ error: { message, type: 'invalid_request_error', code: 'invalid_api_key' } }),
      );
    });
    await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
    const { port } = provider.address() as AddressInfo;
    await mkdir(join(folder, 'secrets'));
    await writeFile(join(folder, 'secrets/ben'), 'what only Ben knows\n');
    const file = EXAMPLE.replace('objectStore: garage', 'objectStore: files').replace(
      'model: gpt-5-mini',
      `model: gpt-5-mini\n      baseUrl: http://localhost:${port}/v1`,
    );
    await writeFile(join(folder, 'kg.yaml'), file);
    await writeFile(
      join(folder, 'new.yaml'),
      file
        .replace('  ben:', '  ada:')
        .replace('gpt-5-mini', 'gpt-5')
        .replace('file: secrets/ben', 'env: KG_ADA_PASSWORD'),
    );
    const webPort = await freePort();
    dev = start(BIN, folder, ['dev', '--port', String(webPort), '--config', 'kg.yaml'], {
      KG_ACTOR: 'ada',
      ...SECRETS,
      KG_OPENAI_API_KEY: 'sk-of-last-year-0123456789',
    });
    const ready = async () => ((await fetch(`http://localhost:${webPort}/api/ready`)).ok ? true : null);
    await until(ready, 120, dev.output);
    for (const [actor, args] of [
      ['ada', ['config', 'set', 'web.title', 'Ada’s graph']],
      ['ben', ['config', 'set', 'auth.token-lifetime', '86400']],
      ['ada', ['config', 'undo', '--yes']],
      ['ada', ['config', 'api-key', 'openai', '--from-env', 'KG_OPENAI_API_KEY', '--no-test']],
    ] as const) {
      const env = { ...SECRETS, KG_ACTOR: actor };
      const { code, stderr } = await start(BIN, folder, [...args], env).ended;
      if (code !== 0) throw new Error(stderr);
    }
  });
  afterAll(async () => {
    dev?.kill('SIGTERM');
    await dev?.ended;
    provider?.close();
    await rm(folder, { recursive: true });
  });

  test.each([
    ['config-show', 0, ['config', 'show']],
    ['config-history', 0, ['config', 'history']],
    ['api-key-test', 4, ['config', 'api-key', 'test', 'openai']],
  ] as const)('%s', async (name, code, args) => {
    const picture = join(REPOSITORY, `docs/images/${name}.svg`);
    const shown = `$ kg-operator ${args.join(' ')}\n${await onTerminal([...args], code)}`;
    expect(textOfPicture(terminalPicture(shown))).not.toContain('\u001b');
    if (process.env.KG_UPDATE_SCREENSHOTS === '1') await writeFile(picture, terminalPicture(shown));
    expect(constant(textOfPicture(await readFile(picture, 'utf8')))).toBe(
      constant(textOfPicture(terminalPicture(shown))),
    );
  });

  test.each([
    [0, ['config', 'import', 'new.yaml', '--dry-run', '--prune'], SECRETS],
    [4, ['config', 'validate'], { ENCRYPTION_KEY: '5e'.repeat(32) }],
  ] as const)('text, exit %s: %j', async (code, args, env) => {
    const { stdout, stderr, code: ended } = await start(BIN, folder, [...args], env).ended;
    expect(ended).toBe(code);
    const shown = `$ kg-operator ${args.join(' ')}\n${stdout}${stderr}`;
    expect(blocks('').map(constant)).toContain(constant(shown));
  });

  /** What a person sees: both streams on a terminal of 130 columns. */
  async function onTerminal(args: string[], expected: number): Promise<string> {
    const script = join(folder, 'script.sh');
    const words = args.map((word) => `'${word}'`).join(' ');
    await writeFile(script, `stty columns 130 rows 50\nexec node '${BIN}' ${words}\n`);
    const { stdout, code } = await promisify(execFile)('script', ['-qec', `sh '${script}'`, '/dev/null'], {
      cwd: folder,
      env: {
        PATH: [join(REPOSITORY, 'node_modules/.bin'), process.env.PATH].join(delimiter),
        HOME: folder,
        TERM: 'xterm-256color',
      },
    }).then(
      (done) => ({ ...done, code: 0 }),
      (error: { stdout: string; code: number }) => error,
    );
    if (code !== expected) throw new Error(`exit ${code}: ${stdout}`);
    return stdout;
  }
});

/** The contents of the page's code blocks in a language. */
function blocks(language: string): string[] {
  return [...PAGE.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter(([, of]) => of === language)
    .map(([, , content = '']) => content);
}

/** What differs from run to run, and the width that it takes, made the same. */
function constant(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d/g, 'TIME')
    .replace(/\b[0-9a-f]{16}\b/g, 'FINGERPRINT')
    .replace(/localhost:\d+/g, 'localhost:PORT')
    .replace(/just now|\d+ (?:second|minute)s? ago/g, 'AGO')
    .replace(/configuration \d+/g, 'configuration N')
    .replace(/ +/g, ' ')
    .replace(/ $/gm, '');
}
