import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { docker, expectCode, run } from './command.ts';
import { Installation } from './installation.ts';
import { findLeaks, secretsOfContainers } from './secrets.ts';
import { until } from './wait.ts';

jest.setTimeout(600_000);

// The other files expect findLeaks to find nothing; here something is put in each place where it looks.
describe('a secret is found wherever it is', () => {
  const needle = `needle-${randomBytes(12).toString('hex')}`;
  const secrets = { NEEDLE: needle };
  let kg: Installation;
  const image = () => `kg-operator-gateway:${kg.prefix}`;

  beforeAll(async () => {
    kg = await Installation.create();
    const recipe = `FROM debian:13.2-slim\nENV NEEDLE=${needle}\n`;
    expectCode(await run('docker', ['build', '-q', '-t', image(), '-'], { input: recipe }));
  });
  afterAll(async () => {
    await run('docker', ['rm', '-f', kg.prefix]);
    await run('docker', ['image', 'rm', image()]);
    await kg.destroy();
  });

  test('in the output of a command, a log, a state file, an image and a process list', async () => {
    await docker(
      ...['run', '-d', '--name', kg.prefix, '--label', `com.docker.compose.project=${kg.prefix}`],
      ...[
        '--label',
        'com.docker.compose.service=gateway',
        image(),
        'sh',
        '-c',
        'echo "$NEEDLE"; exec sleep 600',
      ],
    );
    await until('it has logged', async () => (await docker('logs', kg.prefix)).includes(needle));
    expect(await secretsOfContainers(kg, secrets)).toEqual({ gateway: ['NEEDLE'] });

    await mkdir(kg.path('.operator', 'logs'), { recursive: true });
    await writeFile(kg.path('.operator', 'logs', 'run.log'), `password: ${needle}\n`);
    await kg.terminal('echo "$NEEDLE"', [], { env: { NEEDLE: needle } });
    // A container's process, and one that lives for half a second only.
    expectCode(await run('docker', ['exec', kg.prefix, 'sh', '-c', 'sleep 0.5; : "$0"', needle]));

    const leaks = await findLeaks(kg, secrets);
    for (const place of [
      expect.stringMatching(/^output of script .*: NEEDLE$/),
      'log of gateway: NEEDLE',
      `history of ${image()}: NEEDLE`,
      `inspect of ${image()}: NEEDLE`,
      '.operator/logs/run.log: NEEDLE',
      'process list: docker: NEEDLE',
      'process list: sh: NEEDLE',
    ])
      expect(leaks).toEqual(expect.arrayContaining([place]));
  });
});
