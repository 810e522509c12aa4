import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { parseEnvFile } from '../../packages/engine/src/model/env-file.ts';
import { ENV_TEXT, errorOf, FULL, Install, linesNamed, REPOSITORY, SHELLS, unavailable } from './shim.ts';

jest.setTimeout(FULL ? 600_000 : 60_000);

interface Vector {
  name: string;
  level: 'grammar' | 'key';
  file: 'env' | 'conf';
  text: string;
  ok: boolean;
  errorLine?: number;
}

const vectors = JSON.parse(readFileSync(join(REPOSITORY, 'test/shell/env-vectors.json'), 'utf8')) as Vector[];

const SETTINGS = [
  'CONTAINER_PREFIX',
  'IMAGE_SOURCE',
  'IMAGE_REGISTRY',
  'IMAGE_TAG',
  'DEV_MODE',
  'API_PORT',
  'WEB_PORT',
  'BIND_ADDRESS',
  'TLS_MODE',
  'PUBLIC_HOST',
  'ACME_EMAIL',
  'ACME_URL',
  'ALLOW_PLAIN_HTTP',
];

describe.each(SHELLS)('settings under %s', (name, shell) => {
  let install: Install;
  beforeEach(() => {
    install = new Install(shell).initialised();
  });
  afterEach(() => install[Symbol.dispose]());

  // What differs is awk: dash and bash share the machine's, busybox brings its own.
  const some = vectors.filter((_vector, index) => FULL || name !== 'bash' || index % 5 === 0);
  test.each(some.map((vector) => [`${vector.file}: ${vector.name}`, vector] as const))(
    '%s',
    async (_title, { file, text, ok, errorLine }) => {
      const path = file === 'env' ? '.env' : '.operator.conf';
      install.write(path, text);
      const result = await install.run(['status', '--json']);
      expect(result.code).toBe(ok ? 0 : 3);
      expect(install.calls().length > 0).toBe(ok);
      if (ok) return;
      const { message } = errorOf(result);
      if (errorLine !== undefined) expect(linesNamed(message, path)[0]).toBe(errorLine);
      expect(result.stderr).not.toMatch(/([0-9a-f])\1{20}/);
    },
  );

  test('all errors of both files at once, and nothing is changed', async () => {
    install
      .write('.operator.conf', 'API_PORT=0\nIMAGE_TAG="x"\nNOPE=1\n')
      .write('.env', ENV_TEXT.replace('1', 'x'));
    const { message } = errorOf(await install.run(['up', '--json']));
    expect(linesNamed(message, '.operator.conf')).toEqual([1, 2, 3]);
    expect(linesNamed(message, '.env')).toEqual([1]);
    expect(install.callLines().filter((call) => /up|build|pull|volume/.test(call))).toEqual([]);
  });

  test('a value never reaches a shell', async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: shell, not TypeScript
    install.write('.operator.conf', 'IMAGE_TAG=$(touch${IFS}pwned)\nBIND_ADDRESS=`touch pwned`\n');
    expect((await install.run(['status'])).code).toBe(3);
    expect(install.has('pwned')).toBe(false);
  });

  test.each([0o640, 0o604, 0o644, 0o666])(
    '.env of mode %o is refused, with the command that mends it',
    async (mode) => {
      install.write('.env', ENV_TEXT, mode);
      const result = await install.run(['status']);
      expect(result.code).toBe(3);
      expect(result.stderr).toContain(`chmod 600 '${install.root}/.env'`);
    },
  );

  test('.env may be read-only; a directory in its place is refused', async () => {
    install.write('.env', ENV_TEXT, 0o400);
    expect((await install.run(['status'])).code).toBe(0);
    mkdirSync(join(install.root, '.operator.conf'));
    expect((await install.run(['status'])).code).toBe(3);
  });

  test('the environment of the caller changes nothing; compose gets the files', async () => {
    const env = Object.fromEntries(
      [
        ...SETTINGS,
        'ENCRYPTION_KEY',
        'POSTGRES_PASSWORD',
        'COMPOSE_PROFILES',
        'COMPOSE_PROJECT_NAME',
        'COMPOSE_FILE',
        'COMPOSE_ENV_FILES',
        'COMPOSE_PATH_SEPARATOR',
        'COMPOSE_DISABLE_ENV_FILE',
        'KG_ROOT',
      ].map((key) => [key, 'from-the-caller']),
    );
    install.write('.operator.conf', 'CONTAINER_PREFIX=mine\n');
    expect((await install.run(['status'], { env })).code).toBe(0);
    const [call] = install.calls();
    expect(Object.values(call?.env ?? {})).not.toContain('from-the-caller');
    expect(call?.env).toMatchObject({
      KG_ROOT: install.root,
      COMPOSE_PROJECT_NAME: 'mine',
      COMPOSE_FILE: `${install.root}/docker/docker-compose.yml`,
      COMPOSE_ENV_FILES: `${install.root}/.operator.conf,${install.root}/.env`,
    });
    expect(call?.argv).toContain('mine-operator');
  });

  test('without .operator.conf the defaults hold', async () => {
    await install.run(['status']);
    const [call] = install.calls();
    expect(call?.env.COMPOSE_PROJECT_NAME).toBe('kg');
    expect(call?.env.COMPOSE_ENV_FILES).toBe(`${install.root}/.env`);
  });

  test('overlays: ghcr, dev, and an override of the person', async () => {
    const files = async () => {
      install.forgetCalls();
      await install.run(['status']);
      const list = install.calls()[0]?.env.COMPOSE_FILE ?? '';
      return list.split(':').map((path) => path.replace(`${install.root}/docker/docker-compose`, ''));
    };
    install.write('.operator.conf', 'IMAGE_SOURCE=ghcr\n');
    expect(await files()).toEqual(['.yml', '.ghcr.yml']);
    install.write('.operator.conf', 'DEV_MODE=true\n');
    writeFileSync(join(install.root, 'docker/docker-compose.override.yml'), '');
    expect(await files()).toEqual(['.yml', '.dev.yml', '.override.yml']);
  });

  test('standalone: compose files in the root, images pulled, nothing built', async () => {
    using standalone = new Install(shell, { layout: 'standalone' }).initialised();
    expect((await standalone.run(['status'])).code).toBe(0);
    expect(standalone.calls()[0]?.env.COMPOSE_FILE).toBe(
      `${standalone.root}/docker-compose.yml:${standalone.root}/docker-compose.ghcr.yml`,
    );
    for (const setting of ['IMAGE_SOURCE=local', 'DEV_MODE=true']) {
      standalone.write('.operator.conf', `${setting}\n`);
      expect(
        linesNamed(errorOf(await standalone.run(['status', '--json'])).message, '.operator.conf'),
      ).toEqual([1]);
    }
  });

  test('the shim and the TypeScript parser name the same lines, whatever is in the file', async () => {
    const good = fc.constantFrom(
      'API_PORT=8001',
      'WEB_PORT=3001',
      'IMAGE_TAG=a_b-1.2',
      'DEV_MODE=false',
      '',
      '#',
      '# x="$y"',
    );
    const junk = fc.string({
      unit: fc.constantFrom(
        'A',
        'b',
        '_',
        '9',
        '=',
        ' ',
        '\t',
        '"',
        "'",
        '$',
        '#',
        '\\',
        '\r',
        'é',
        '\uFEFF',
        '%',
        ';',
        '`',
        '{',
        '|',
        '&',
        '<',
        '*',
      ),
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof({ weight: 3, arbitrary: good }, junk), { maxLength: 8 }),
        async (lines) => {
          const text = lines.map((line) => `${line}\n`).join('');
          install.write('.operator.conf', text);
          const expected = new Set(parseEnvFile(text).problems.map(({ line }) => line));
          for (const [index, line] of lines.entries()) {
            const key = /^([A-Z][A-Z0-9_]*)=/.exec(line)?.[1];
            if (key !== undefined && !SETTINGS.includes(key)) expected.add(index + 1);
          }
          const result = await install.run(['status', '--json']);
          const named = result.code === 0 ? [] : linesNamed(errorOf(result).message, '.operator.conf');
          expect(named).toEqual([...expected].sort((a, b) => a - b));
        },
      ),
      { numRuns: FULL ? 400 : 40, seed: FULL ? Date.now() : 20250107 },
    );
  });
});

test('compose reads the accepted vectors as the TypeScript parser does', () => {
  if (spawnSync('docker', ['compose', 'version']).status !== 0) {
    unavailable('docker compose is not installed');
    return;
  }
  using install = new Install(['sh']);
  for (const { name, text } of vectors.filter(({ ok, file }) => ok && file === 'conf')) {
    const values = Object.fromEntries(parseEnvFile(text).values);
    const environment = SETTINGS.map((key) => `      ${key}: "\${${key}-}"\n`).join('');
    writeFileSync(
      join(install.root, 'docker-compose.yml'),
      `services:\n  x:\n    image: x\n    environment:\n${environment}`,
    );
    install.write('.operator.conf', text);
    const { stdout, stderr } = spawnSync('docker', ['compose', 'config', '--format', 'json'], {
      cwd: install.root,
      encoding: 'utf8',
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        COMPOSE_FILE: join(install.root, 'docker-compose.yml'),
        COMPOSE_ENV_FILES: join(install.root, '.operator.conf'),
        COMPOSE_PROJECT_NAME: 'x',
      },
    });
    if (!stdout) throw new Error(`${name}: ${stderr}`);
    const read = (JSON.parse(stdout) as { services: { x: { environment: Record<string, string> } } }).services
      .x.environment;
    expect([name, read]).toEqual([
      name,
      { ...Object.fromEntries(SETTINGS.map((key) => [key, ''])), ...values },
    ]);
  }
});

describe('.operator.conf.example', () => {
  const text = readFileSync(join(REPOSITORY, '.operator.conf.example'), 'utf8');
  const { values, problems } = parseEnvFile(text);

  test('is valid, says every key with its default, and a comment above each group', async () => {
    expect(problems).toEqual([]);
    expect([...values.keys()].sort()).toEqual([...SETTINGS].sort());
    for (const group of text.split('\n\n')) expect(group).toMatch(/^#/);
    using install = new Install(['sh']);
    await install.run(['init']);
    expect(Object.fromEntries(parseEnvFile(install.read('.operator.conf')).values)).toEqual(
      Object.fromEntries(values),
    );
    install.write('.operator.conf', text).given('operator', 'running');
    expect((await install.run(['status'])).code).toBe(0);
  });

  test('compose files use these keys and the secrets, no others, with the same defaults', () => {
    const directory = join(REPOSITORY, 'docker');
    const base = readFileSync(join(directory, 'docker-compose.yml'), 'utf8');
    const used = new Set<string>();
    for (const file of readdirSync(directory).filter((name) => name.endsWith('.yml'))) {
      const compose = readFileSync(join(directory, file), 'utf8').replaceAll('$$', '');
      for (const [, key = ''] of compose.matchAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)/g)) used.add(key);
    }
    const secrets = [...ENV_TEXT.matchAll(/^([A-Z_]+)=/gm)].map(([, key]) => key ?? '');
    const known = [...SETTINGS, ...secrets];
    const build = ['VERSION', 'REVISION', 'CREATED', 'SOURCE'];
    // The shim's words to compose, ARCHITECTURE.md.
    const given = ['KG_ROOT', 'COMPOSE_PROJECT_NAME', 'GATEWAY_USER'];
    // What an upgrade pins: the shim takes them from nowhere but its file.
    const shim = readFileSync(join(REPOSITORY, 'operator.sh'), 'utf8');
    const pins = /^PINS='([A-Z_ ]+)'/m.exec(shim)?.[1]?.split(' ') ?? [];
    expect([...used].filter((key) => /^IMAGE_(?!SOURCE|TAG|REGISTRY)/.test(key)).sort()).toEqual(pins.sort());
    expect([...used].filter((key) => ![...given, ...build, ...known, ...pins].includes(key))).toEqual([]);
    // These choose the files, or are a word to the shim; the rest must matter to at least one of them.
    const ofTheShim = ['IMAGE_SOURCE', 'DEV_MODE', 'ALLOW_PLAIN_HTTP'];
    expect(known.filter((key) => !used.has(key) && !ofTheShim.includes(key))).toEqual([]);
    for (const [, key = '', value] of base.matchAll(/\$\{([A-Z_]+):-([^}]*)\}/g)) {
      if (values.has(key)) expect([key, value]).toEqual([key, values.get(key)]);
    }
  });
});
