import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parsePolicy } from '../../packages/engine/src/release/build.ts';
import { REPOSITORY, unavailable } from './shim.ts';

const read = (path: string) => readFileSync(join(REPOSITORY, path), 'utf8');
const workflows = globSync('.github/workflows/*.yml', { cwd: REPOSITORY }).sort();
const steps = globSync('release/*.sh', { cwd: REPOSITORY })
  .map((path) => path.replace(/^release\/|\.sh$/g, ''))
  .filter((name) => name !== 'lib');

/** As test/bed/tools.sh makes it, or the machine's own. */
function actionlint(): string {
  const [, version] = /^ACTIONLINT_VERSION=(.*)$/m.exec(read('test/bed/versions')) ?? [];
  const cache = process.env.KG_TESTBED_CACHE ?? join(homedir(), '.cache/kg-testbed');
  const built = join(cache, 'actionlint', version ?? '', 'actionlint');
  return existsSync(built) ? built : 'actionlint';
}

test('actionlint finds nothing', () => {
  const { status, stdout, error } = spawnSync(actionlint(), ['-no-color', ...workflows], {
    cwd: REPOSITORY,
    encoding: 'utf8',
  });
  if (error) return unavailable('actionlint is not installed');
  expect([status, stdout]).toEqual([0, '']);
});

describe.each(workflows)('%s', (path) => {
  const lines = read(path).split('\n');

  test('every action is pinned by a commit, with its version beside it, and is the same everywhere', () => {
    const everywhere = workflows.map(read).join('\n');
    const used = lines.filter((line) => /\buses:/.test(line) && !line.includes('uses: ./'));
    for (const line of used) {
      const [, name, commit] = /uses: ([\w-]+\/[\w-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$/.exec(line) ?? [];
      expect([line, name]).toEqual([line, expect.any(String)]);
      const commits = [...everywhere.matchAll(new RegExp(`uses: ${name}@(\\S+)`, 'g'))].map(([, one]) => one);
      expect(new Set(commits)).toEqual(new Set([commit]));
    }
    expect(used.length).toBeGreaterThan(0);
  });

  test('a step that runs something runs a script of this repository, and no text of an event gets into it', () => {
    const run = lines.flatMap((line) => /^\s+(?:- )?run: (.*)$/.exec(line)?.[1] ?? []);
    expect(run.length).toBeGreaterThan(0);
    for (const command of run) {
      expect(command).toMatch(/^(release\/[a-z]+\.sh( "?[$\w]+"?)*|sh test\/install\.sh|sudo .*\.ci\/run)$/);
      expect(command).not.toContain('{{');
      const [, script] = /(\S+\.sh|\.ci\/run)/.exec(command) ?? [];
      expect([script, existsSync(join(REPOSITORY, script ?? ''))]).toEqual([script, true]);
    }
  });

  test('may do nothing unless a job says so', () => {
    expect(lines.join('\n')).toMatch(/^permissions:\n {2}contents: read\n\n/m);
  });
});

test('the release job runs every step that run.sh knows', () => {
  const [, known = ''] = /^ {4}(test \|.*)\) ;;$/m.exec(read('release/run.sh')) ?? [];
  const names = known.split(' | ');
  expect(names.length).toBeGreaterThan(8);
  const workflow = read('.github/workflows/release.yml');
  for (const name of names) {
    expect(steps).toContain(name);
    if (name !== 'test')
      expect(workflow).toMatch(new RegExp(`release/run\\.sh "\\$GITHUB_REF_NAME".* ?\\b${name}\\b`));
  }
});

test('release/policy.json is one', () => {
  const policy = { ...JSON.parse(read('release/policy.json')), notes: 'What is new.' };
  const { requires } = parsePolicy(Buffer.from(JSON.stringify(policy)), 'release/policy.json');
  const [, compose] = /COMPOSE_MINIMUM=(\S+)/.exec(read('operator.sh')) ?? [];
  expect(requires.compose).toBe(compose);
});

describe('docs/releasing.md', () => {
  const docs = read('docs/releasing.md');

  test('says what every script is for', () => {
    for (const step of steps) expect(docs).toContain(`\`${step}.sh\``);
  });

  test('lists every setting with its default', () => {
    const settings = [...read('release/lib.sh').matchAll(/^([A-Z_]+)=\$\{\1:-(.*)\}$/gm)];
    expect(settings.length).toBeGreaterThan(8);
    for (const [, name] of settings) expect(docs).toMatch(new RegExp(`^\\| \`${name}\` \\|`, 'm'));
  });

  test('names the variables and secrets that the workflows want', () => {
    const text = workflows.map(read).join('\n');
    const wanted = new Set([...text.matchAll(/\b(?:secrets|vars)\.([A-Z_]+)/g)].map(([, name]) => name));
    wanted.delete('GITHUB_TOKEN');
    expect(wanted.size).toBeGreaterThan(2);
    for (const name of wanted) expect(docs).toContain(`\`${name}\``);
    for (const [, name] of text.matchAll(/^ {4}environment: (\w+)$/gm)) expect(docs).toContain(`\`${name}\``);
  });
});
