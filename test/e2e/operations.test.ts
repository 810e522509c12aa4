import { copyFile, readdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { expectCode, type Result, run } from './command.ts';
import { ADMIN_PASSWORD, freePorts, Installation } from './installation.ts';
import { markedBlocks, notSaid } from './page.ts';
import { Publisher } from './releases.ts';

jest.setTimeout(600_000);

let publisher: Publisher;
let kg: Installation;
let blocks: Map<string, string>;
let answers: Map<string, string>;
let webPort: number;
beforeAll(async () => {
  [blocks, answers] = [
    await markedBlocks('operations.md', 'run'),
    await markedBlocks('operations.md', 'says'),
  ];
  publisher = await Publisher.create();
  await publisher.add('1.0.0');
  await publisher.add('1.0.1', { policy: { rollbackTo: '1.0.0' } });
  await publisher.issue(['--set', 'stable=1.0.1']);
  kg = await Installation.standalone(publisher);
  [, webPort] = await freePorts();
  const flags = ['--yes', '--ai-provider', 'local', '--embedding', 'local'];
  await kg.ok(['up', ...flags], { env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD } });
}, 900_000);
afterAll(async () => {
  await kg?.destroy();
  await publisher?.remove();
});

/** Runs a block of the page in an installation, and compares what it shows. */
async function follow(name: string, where = kg): Promise<Result> {
  const script = (blocks.get(name) ?? 'exit 99').replace('WEB_PORT=3001', `WEB_PORT=${webPort}`);
  const env = where.environment;
  const result = expectCode(await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: where.root, env }));
  const output = (text: string) =>
    text.replaceAll(where.root, '/opt/kg-operator').replaceAll(where.prefix, 'kg');
  const missing = notSaid(answers.get(name) ?? '', [output(result.stdout), output(result.stderr)]);
  if (missing.length > 0)
    throw new Error(`${name}: not said:\n${missing.join('\n')}\n--- but\n${result.stdout}\n${result.stderr}`);
  return result;
}

const BEFORE = [
  'status',
  'inside',
  'stop',
  'configuration',
  'rotate',
  'backup',
  'drill',
  'upgrade',
  'rollback',
  'room',
  'port',
  'watch',
  'red',
];

test('every block of the page is run here', () => {
  expect([...blocks.keys()].sort()).toEqual([...BEFORE, 'leave', 'arrive'].sort());
  for (const name of answers.keys()) expect(blocks.has(name)).toBe(true);
});

// One after the other, as somebody would who reads it.
test.each(BEFORE)('docs/operations.md: %s', async (name) => {
  await follow(name);
});

test('docs/operations.md: a line for cron says so when something is not as it should be', async () => {
  await kg.ok(['stop', 'api']);
  const script = (blocks.get('watch') ?? '').replaceAll('logger -t kg-operator', 'echo');
  const { stdout } = await run('bash', ['-c', script], { cwd: kg.root, env: kg.environment });
  expect(stdout).toBe('not as it should be: ./operator.sh status\n');
  await kg.ok(['start']);
});

test('docs/operations.md: to another host', async () => {
  await follow('leave');
  const other = await Installation.standalone(publisher);
  try {
    const newest =
      (await readdir(kg.path('backups')))
        .filter((name) => name.endsWith('.tar.age'))
        .sort()
        .at(-1) ?? '';
    await copyFile(kg.path('backups', newest), other.path(newest));
    await copyFile(kg.path('kit.txt'), other.path('kit.txt'));
    await follow('arrive', other);
    expect((await other.logIn()).status).toBe(200);
  } finally {
    await other.destroy();
  }
});
