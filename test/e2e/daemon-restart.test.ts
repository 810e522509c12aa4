import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { atStep, expectNothingLeft, expectServing, lastChange } from './changes.ts';
import { expectCode, run } from './command.ts';
import { REPOSITORY } from './images.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { Publisher, publishExamples } from './releases.ts';
import { until } from './wait.ts';

jest.setTimeout(400_000);

/** Of the engine that test/bed started. A developer's own is not restarted. */
const pidFile = join(process.env.KG_TESTBED_CACHE ?? join(homedir(), '.cache/kg-testbed'), 'dockerd.pid');
const withOwnEngine = existsSync(pidFile) || process.env.CI ? test : test.skip;

let publisher: Publisher;
let kg: Installation;
beforeAll(async () => {
  publisher = await Publisher.create();
  await publishExamples(publisher, ['1.0.0', '1.1.0']);
  kg = await Installation.standalone(publisher);
  const env = { KG_ADMIN_PASSWORD: ADMIN_PASSWORD, KG_AI_PROVIDER: 'local', KG_EMBEDDING: 'local' };
  await kg.ok(['up', '--yes'], { env });
});
afterAll(async () => {
  await kg?.destroy();
  await publisher?.remove();
});

async function restartDocker(signal: NodeJS.Signals): Promise<void> {
  const pid = Number(readFileSync(pidFile, 'utf8'));
  process.kill(pid, signal);
  await until('dockerd has ended', async () => !existsSync(`/proc/${pid}`), { seconds: 60 });
  // Docker lives on; the folder of this test's temporary files does not.
  const env = { TMPDIR: '/tmp' };
  expectCode(await run('bash', [join(REPOSITORY, 'test/bed/engine.sh')], { env }));
}

// SIGTERM: the host's package manager upgrades Docker; the runner gets the word and stops between two steps. SIGKILL: it does not, and Docker
// may start nothing by itself afterwards; whoever watches brings the operator up.
const CASES = [
  ['SIGTERM', 'upgrade', 'roll-service', '1.1.0'],
  ['SIGKILL', 'rollback', 'health-gate', '1.0.0'],
] as const;
for (const [signal, command, step, version] of process.env.KG_TEST_FULL === '1' ? CASES : CASES.slice(0, 1))
  withOwnEngine(
    `Docker is restarted by ${signal} in the middle of an ${command}: the operator goes on by itself`,
    async () => {
      const watching = kg.begin([command, '--yes']);
      const { id } = await atStep(kg, step, 120);
      await restartDocker(signal);
      await watching.done;
      await until('the run has ended', async () => (await lastChange(kg)).outcome !== 'unfinished', {
        seconds: 180,
      });
      expect(await lastChange(kg)).toMatchObject({ id, outcome: 'finished', error: null });
      await expectServing(kg, version, '1.1.0');
      await expectNothingLeft(kg);
    },
  );
