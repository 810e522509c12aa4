import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import {
  AI_PROVIDER_FACTS,
  type AiProviderFacts,
  describeSetting,
  SETTINGS,
  type SettingDeclaration,
} from '@kg-operator/config';
import { parse } from 'yaml';
import ConfigImport from '../../src/commands/config/import.ts';
import { toYaml } from '../../src/config/document.ts';
import { parseConfiguration } from '../../src/config/document-parse.ts';
import { parseEnvFile } from '../../src/model/env-file.ts';
import { EXIT } from '../../src/model/errors.ts';
import { parsePolicy } from '../../src/release/build.ts';
import { RELEASE_RULES } from '../../src/release/lint.ts';

const repository = new URL('../../../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, repository), 'utf8');

describe('README.md', () => {
  test('lists every exit code of the engine, and no other', () => {
    const listed = [...read('README.md').matchAll(/^\| ([\d, ]+) \| /gm)].flatMap(([, codes]) =>
      (codes ?? '').split(',').map(Number),
    );
    expect(listed.sort((a, b) => a - b)).toEqual([...Object.values(EXIT), 143].sort((a, b) => a - b));
  });

  test('names every command that is not hidden', () => {
    const folder = 'packages/engine/src/commands/';
    const topics = readdirSync(new URL(folder, repository))
      .filter(
        (name) => !name.endsWith('.ts') || !read(folder + name).includes('static override hidden = true'),
      )
      .map((name) => name.replace(/\.ts$/, ''));
    const readme = read('README.md');
    expect(topics.length).toBeGreaterThan(5);
    for (const topic of topics) expect(readme).toMatch(new RegExp(`\`(?:npx kg-operator )?${topic}\\b`));
  });
});

describe('docs/configuration.md', () => {
  const docs = read('docs/configuration.md');
  const cell = (text: string | null) => (text === null ? 'to be given' : `\`${text}\``);

  test('lists every setting as it is declared, and no other', () => {
    const rows = Object.entries<SettingDeclaration>(SETTINGS).map(
      ([name, declared]) =>
        `| \`${name}\` | ${declared.default} | ${describeSetting(declared)} | ${declared.description} |`,
    );
    const [, table = ''] = docs.split('| setting | default | can be | is |\n|---|---|---|---|\n');
    expect(table.slice(0, table.indexOf('\n\n')).split('\n')).toEqual(rows);
  });

  test('lists every AI provider as it is declared, and no other', () => {
    const rows = Object.entries<AiProviderFacts>(AI_PROVIDER_FACTS).map(([name, facts]) =>
      facts.protocol === 'rules'
        ? `| \`${name}\` | inside the API |  | ${facts.key} |`
        : `| \`${name}\` | ${cell(facts.baseUrl)} | ${cell(facts.model)} | ${facts.key} |`,
    );
    const [, table = ''] = docs.split('| provider | address | model | key |\n|---|---|---|---|\n');
    expect(table.slice(0, table.indexOf('\n\n')).split('\n')).toEqual(rows);
  });

  test('its example is a configuration file as export writes it', () => {
    const [, example = ''] = /^```yaml\n(.*?)^```$/ms.exec(docs) ?? [];
    const { document } = parseConfiguration(new TextEncoder().encode(example), 'example');
    expect(toYaml(document)).toBe(example);
  });

  test('names every command and every flag of import', () => {
    const topics = readdirSync(new URL('packages/engine/src/commands/config/', repository)).map((name) =>
      name.replace(/\.ts$/, ''),
    );
    for (const topic of topics) expect(docs).toMatch(new RegExp(`\\b${topic}\\b`));
    const flags = Object.keys(ConfigImport.flags);
    expect(flags.length).toBeGreaterThan(5);
    for (const flag of flags) expect(docs).toContain(`--${flag}`);
  });

  test('every command it shows is one, with flags that it has', async () => {
    expect(await assertCommandsOf(docs)).toBeGreaterThan(15);
  });

  test('what it links to is there', () => {
    for (const [, target = ''] of docs.matchAll(/\]\(([^)#]+)\)/g))
      expect([target, existsSync(new URL(`docs/${target}`, repository))]).toEqual([target, true]);
  });
});

/** Looks at every line that calls ./operator.sh, in a block or in a sentence; returns how many there are. */
async function assertCommandsOf(docs: string): Promise<number> {
  const shown = [...docs.matchAll(/(?:^|`|cmd: )\.\/operator\.sh ([^`\n]*)/gm)].map(
    ([, words = '']) => words,
  );
  for (const words of shown) {
    const has = await flagsOf(words.replace(/ +#.*$/, '').split(' '));
    for (const [, flag = ''] of words.matchAll(/ --([a-z-]+)/g))
      expect([words, has(flag)]).toEqual([words, true]);
  }
  return shown.length;
}

/** Whether the command that these words begin with has a flag: the engine's, or the shim's. @throws where there is no such command */
async function flagsOf([topic = '', ...rest]: string[]): Promise<(flag: string) => boolean> {
  const folder = `packages/engine/src/commands/${topic}`;
  const words = rest.filter((word) => /^[a-z-]+$/.test(word));
  const candidates = [
    `${folder}/${words[0]}/${words[1]}.ts`,
    `${folder}/${words[0]}/index.ts`,
    `${folder}/${words[0]}.ts`,
    `${folder}/index.ts`,
    `${folder}.ts`,
  ];
  const found = candidates.find((path) => existsSync(new URL(path, repository)));
  if (found) {
    const { default: command } = (await import(new URL(found, repository).href)) as {
      default: typeof ConfigImport;
    };
    const flags = { ...command.baseFlags, ...command.flags } as Record<string, unknown>;
    return (flag) =>
      flag in flags || flag.replace(/^no-/, '') in flags || flag === 'json' || isOfShim(topic, flag);
  }
  // A topic without a command of its own name, as in "config …".
  if (words.length === 0 && existsSync(new URL(folder, repository))) return () => false;
  const shim = read('operator.sh');
  if (!new RegExp(`\\b${topic}\\)|\\b${topic} \\|`).test(shim))
    throw new Error(`there is no command ${topic}`);
  return (flag) => isOfShim(topic, flag);
}

/** Whether the help of operator.sh has the flag in the line of this command, or for all of them. `logs` passes its flags on to Compose. */
function isOfShim(topic: string, flag: string): boolean {
  const lines = [...read('operator.sh').matchAll(/^#\| {3}((?:[a-z-]+, )*[a-z-]+) .*$/gm)];
  const line = lines.find(([, names = '']) => names.split(', ').includes(topic))?.[0] ?? '';
  const everywhere = ['json', 'yes', 'no-input', 'quiet', 'help', 'confirm'];
  return (
    everywhere.includes(flag) || line.includes(`--${flag}`) || line.includes('flags of docker compose logs')
  );
}

describe.each([
  ['headless.md', 5],
  ['operations.md', 40],
  ['migrating.md', 40],
])('docs/%s', (page, least) => {
  const docs = read(`docs/${page}`);

  test('every command it shows is one, with flags that it has', async () => {
    expect(await assertCommandsOf(docs)).toBeGreaterThanOrEqual(least);
  });

  test('what it links to is there, chapters of pages as well', () => {
    for (const [, target = '', chapter] of docs.matchAll(/\]\((?!https:)([^)#]*)(?:#([^)]+))?\)/g)) {
      const file = target ? `docs/${target}` : `docs/${page}`;
      expect([target, existsSync(new URL(file, repository))]).toEqual([target, true]);
      if (chapter)
        expect([target, chaptersOf(read(file))]).toEqual([target, expect.arrayContaining([chapter])]);
    }
  });
});

/** As GitHub names them in links. */
const chaptersOf = (text: string) =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\d _-]/gu, '')
      .replaceAll(' ', '-'),
  );

describe('docs/headless.md', () => {
  const docs = read('docs/headless.md');
  const blocks = new Map(
    [...docs.matchAll(/^<!-- file: ([\w.-]+) -->\n```yaml\n(.*?)^```/gms)].map(([, name = '', text = '']) => [
      name,
      text,
    ]),
  );
  const check = (text: string) => parseConfiguration(new TextEncoder().encode(text), 'headless.md').document;

  test('its documents are valid, alone and in the user-data', () => {
    expect(Object.keys(check(blocks.get('kg.yaml') ?? '').host ?? {})).toContain('WEB_PORT');
    const { write_files } = parse(blocks.get('user-data') ?? '') as { write_files: { content: string }[] };
    expect(check(write_files[0]?.content ?? '').users).toEqual(check(blocks.get('kg.yaml') ?? '').users);
  });
});

describe('docs/migrating.md', () => {
  // What ADR-061 of 2025 names as deprecated, moved or kept, and the commands it shows.
  const OLD = [
    ...[
      'operator/setup/bootstrap.sh',
      'operator/setup/initialize-platform.sh',
      'operator/admin/set-admin-password.sh',
    ],
    ...[
      'operator/garage/init-garage.sh',
      'operator/services/start-*.sh',
      'scripts/development/local/run-*-local.sh',
    ],
    ...['operator/development/test/', 'monitor-db.sh', 'garage-status.sh', 'lint_queries.py'],
    ...[
      'operator/database/backup-database.sh',
      'operator/lib/backup-db.sh',
      'operator/database/restore-database.sh',
    ],
    ...['operator/lib/restore-db.sh', 'operator/database/migrate-db.sh', 'operator/lib/init-secrets.sh'],
    ...['operator/lib/start-infra.sh', 'operator/lib/start-app.sh', 'operator/lib/stop.sh', 'start-api.sh'],
    ...[
      'start-database.sh',
      'bootstrap.sh',
      'initialize-platform.sh',
      'configure.py admin',
      'docker-compose.ollama.yml',
    ],
    ...['operator/kg-operator', 'docker-compose up -d postgres'],
  ];
  const [, table = ''] = read('docs/migrating.md').split('## Commands\n');
  const rows = table
    .slice(0, table.indexOf('\n## '))
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1);

  test('has a row for every old command, and a new one in each', () => {
    for (const name of OLD)
      expect([name, rows.some((row) => row.split(' | ')[0]?.includes(name))]).toEqual([name, true]);
    for (const row of rows)
      expect(row.split(' | ')[1]).toMatch(/`\.\/operator\.sh [a-z]|`npm (start|test)`|install\.sh/);
  });
});

describe('docs/recovery.md', () => {
  const docs = read('docs/recovery.md');

  test('every command it shows is one, with flags that it has', async () => {
    expect(await assertCommandsOf(docs)).toBeGreaterThan(12);
  });

  test('what it links to is there', () => {
    for (const [, target = ''] of docs.matchAll(/\]\(([^)#:]+)\)/g))
      expect([target, existsSync(new URL(`docs/${target}`, repository))]).toEqual([target, true]);
  });
});

describe('docs/migrations.md', () => {
  const docs = read('docs/migrations.md');
  const sources = (folder: string) =>
    readdirSync(new URL(`packages/engine/src/${folder}/`, repository))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => read(`packages/engine/src/${folder}/${name}`))
      .join('\n');

  test('explains every code that a migration can fail with', () => {
    const thrown = sources('migrations').matchAll(
      /(?:OperatorError|super)\(\s*'([A-Z_]+)'|\bcode: '([A-Z_]+)'/g,
    );
    const codes = new Set([...thrown].map(([, first, second]) => first ?? second));
    expect(codes.size).toBeGreaterThan(20);
    for (const code of codes) expect(docs).toMatch(new RegExp(`^\\| \`${code}\` \\| \\d`, 'm'));
  });

  test('names every command, every flag of migrate and every key of the header', () => {
    const commands = readdirSync(new URL('packages/engine/src/commands/migrate/', repository))
      .map((name) => name.replace(/\.ts$/, ''))
      .filter((name) => name !== 'index');
    for (const command of commands) expect(docs).toContain(`\`migrate ${command}`);
    const flags = read('packages/engine/src/commands/migrate/index.ts').matchAll(
      /^ {4}'?([a-z-]+)'?: (?:Flags|duration)/gm,
    );
    for (const [, flag] of flags) expect(docs).toContain(`--${flag}`);
    for (const key of ['kind', 'transaction', 'timeout', 'lock-timeout', 'description'])
      expect(docs).toContain(`| \`${key}\` |`);
  });
});

describe('docs/tls.md', () => {
  const docs = read('docs/tls.md');

  test('explains every mode and every state, and no other', () => {
    const { properties } = JSON.parse(read('schema/json/cert-status.schema.json'));
    const first = [...docs.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name);
    expect(first).toEqual([...properties.mode.enum, ...properties.state.enum]);
  });

  test('its settings are settings', () => {
    const { values } = parseEnvFile(read('.operator.conf.example'));
    const blocks = [...docs.matchAll(/^```ini\n(.*?)^```$/gms)];
    expect(blocks).toHaveLength(4);
    for (const [, block = ''] of blocks) {
      const parsed = parseEnvFile(block);
      expect(parsed.problems).toEqual([]);
      for (const key of parsed.values.keys()) expect([...values.keys()]).toContain(key);
    }
  });

  test('every command it shows is one, with flags that it has', async () => {
    expect(await assertCommandsOf(docs)).toBeGreaterThan(4);
  });

  test('what it links to is there', () => {
    for (const [, target = ''] of docs.matchAll(/\]\(([^)#:]+)\)/g))
      expect([target, existsSync(new URL(`docs/${target}`, repository))]).toEqual([target, true]);
  });
});

describe('docs/adr/0006-releases.md', () => {
  const docs = read('docs/adr/0006-releases.md');

  test('lists every rule of release lint, and no other', () => {
    const rows = Object.entries(RELEASE_RULES).map(([rule, finds]) => `| \`${rule}\` | ${finds} |`);
    const [, table = ''] = docs.split('| rule | finds |\n|---|---|\n');
    expect(table.slice(0, table.indexOf('\n\n')).split('\n')).toEqual(rows);
  });

  test('explains every code that is thrown for releases', () => {
    const files = readdirSync(new URL('packages/engine/src/release/', repository)).map(
      (name) => `release/${name}`,
    );
    const sources = [...files, 'cli/release-flags.ts']
      .map((path) => read(`packages/engine/src/${path}`))
      .join('\n');
    // Codes of our own have an underscore; those of the system begin with E.
    const codes = new Set(
      [...sources.matchAll(/'((?!E[A-Z]+_)[A-Z]+(?:_[A-Z]+)+|DOWNGRADE)'/g)].map(([, code]) => code),
    );
    expect(codes.size).toBeGreaterThan(28);
    for (const code of codes) expect(docs).toContain(`\`${code}\``);
  });

  test('its policy is one', () => {
    const [, example = ''] = /^```json\n(.*?)^```$/ms.exec(docs) ?? [];
    expect(parsePolicy(new TextEncoder().encode(example), 'example').acceptsOldest).toBeNull();
  });

  test('what it links to is there', () => {
    for (const [, target = ''] of docs.matchAll(/\]\((?!https:)([^)#]+)\)/g))
      expect([target, existsSync(new URL(`docs/adr/${target}`, repository))]).toEqual([target, true]);
  });
});

describe('docs/history.md', () => {
  const docs = read('docs/history.md');
  const first = (table: string) => [...table.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name);
  const section = (title: string) => docs.split(`## ${title}\n`)[1]?.split('\n## ')[0] ?? '';

  test('explains every event of the journal, every result and every state, and no other', () => {
    const journal = read('packages/engine/src/adapters/journal.ts');
    const events = [...journal.matchAll(/event: '([a-z-]+)'/g)].map(([, event]) => event);
    expect(events.length).toBe(7);
    expect(first(section('The journal')).sort()).toEqual(events.sort());
    const properties = (name: string) => JSON.parse(read(`schema/json/${name}.schema.json`));
    expect(first(docs.split('## ')[0] ?? '')).toEqual(properties('history').$defs.run.properties.result.enum);
    expect(first(section('An upgrade that is not over'))).toEqual(
      properties('status').properties.operation.properties.state.enum,
    );
  });

  test('names every member of a change', () => {
    const [, members = ''] =
      /interface ReleaseChange \{(.*?)\n\}/s.exec(read('packages/engine/src/adapters/journal.ts')) ?? [];
    const names = [...members.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) expect(section('The journal')).toContain(`\`${name}\``);
  });

  test('every command it shows is one, with flags that it has', async () => {
    expect(await assertCommandsOf(docs)).toBeGreaterThan(6);
  });

  test('what it links to is there', () => {
    for (const [, target = ''] of docs.matchAll(/\]\(([^)#:]+)\)/g))
      expect([target, existsSync(new URL(`docs/${target}`, repository))]).toEqual([target, true]);
  });
});

test('one version everywhere', () => {
  const version = JSON.parse(read('packages/engine/package.json')).version;
  for (const path of [
    'package.json',
    'packages/config/package.json',
    'packages/api/package.json',
    'packages/web/package.json',
  ]) {
    expect([path, JSON.parse(read(path)).version]).toEqual([path, version]);
  }
  expect(read('operator.sh')).toContain(`KG_VERSION=${version}\n`);
  expect(
    read('docker/docker-compose.ghcr.yml')
      .match(/IMAGE_TAG:-([^}]+)\}/g)
      ?.every((tag) => tag === `IMAGE_TAG:-${version}}`),
  ).toBe(true);
});

describe('docs/upgrades.md', () => {
  const docs = read('docs/upgrades.md');

  test('explains every code that upgrades and rollbacks give', () => {
    const files = readdirSync(new URL('packages/engine/src/upgrade/', repository)).map(
      (name) => `upgrade/${name}`,
    );
    const others = ['adapters/runner.ts', 'adapters/pull-errors.ts', 'cli/change-command.ts'];
    const commands = ['cli/follow-change.ts', 'commands/upgrade.ts', 'commands/rollback.ts'];
    const sources = [...files, ...others, ...commands]
      .map((path) => read(`packages/engine/src/${path}`))
      .join('\n');
    // Codes have an underscore; those of the system begin with E, and variables of the environment with KG_ and the like.
    const codes = new Set(
      [...sources.matchAll(/(?:OperatorError\(\s*|code: )'([A-Z]+(?:_[A-Z]+)+)'/g)].map(([, code]) => code),
    );
    expect(codes.size).toBeGreaterThan(25);
    for (const code of codes) expect(docs).toContain(`\`${code}\``);
  });

  test('what it links to is there', () => {
    for (const [, target = ''] of docs.matchAll(/\]\((?!https:)([^)#]+)\)/g))
      expect([target, existsSync(new URL(`docs/${target}`, repository))]).toEqual([target, true]);
  });
});
