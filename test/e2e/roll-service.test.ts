import { writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { systemClock } from '../../packages/engine/src/adapters/clock.ts';
import { dockerCompose } from '../../packages/engine/src/adapters/compose.ts';
import { dockerRuntime } from '../../packages/engine/src/adapters/docker.ts';
import type { RunContext } from '../../packages/engine/src/run/context.ts';
import { healthGate } from '../../packages/engine/src/upgrade/health-gate.ts';
import { rollService } from '../../packages/engine/src/upgrade/roll-service.ts';
import { docker, dockerLines, expectCode, run } from './command.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { trafficLine, underTraffic } from './platform-traffic.ts';

jest.setTimeout(900_000);

const GATE = {
  kind: 'health-gate',
  version: 'next',
  checks: [
    { target: 'api', path: '/ready', status: 200 },
    { target: 'web', path: '/', status: 200 },
  ],
  timeoutSeconds: 30,
} as const;

describe('application services are replaced while they serve', () => {
  let kg: Installation;
  let context: RunContext;
  let abort: AbortController;
  const made: string[] = [];

  beforeAll(async () => {
    kg = await Installation.create({ dev: false });
    const env = { KG_ADMIN_PASSWORD: ADMIN_PASSWORD, KG_AI_PROVIDER: 'local', KG_EMBEDDING: 'local' };
    await kg.ok(['up', '--yes'], { env });
    await pin({}); // there before Compose is told of its files
    // The engine's own adapters, from here instead of from the operator container.
    const printed = await run('sh', ['-c', 'eval "$(./operator.sh env)" && env -0'], { cwd: kg.root });
    for (const line of expectCode(printed).stdout.split('\0'))
      if (/^(COMPOSE_|KG_ROOT)/.test(line))
        process.env[line.split('=')[0] as string] = line.split(/=(.*)/s)[1];
    context = {
      settings: {
        project: kg.prefix,
        stateDirectory: kg.path('.operator'),
        gateway: { api: `http://127.0.0.1:${kg.apiPort}`, web: `http://127.0.0.1:${kg.webPort}` },
      },
      runtime: dockerRuntime(),
      compose: dockerCompose(kg.path('.operator')),
      images: {
        find: async (name: string) => {
          const { code, stdout } = await run('docker', ['image', 'inspect', '-f', '{{.Id}}', name]);
          return code === 0 ? { id: stdout.trim() } : null;
        },
      },
      clock: systemClock,
      fetch,
      signal: new AbortController().signal,
    } as unknown as RunContext;
  });
  afterEach(() => pin({}));
  afterAll(async () => {
    await kg.destroy();
    for (const image of made) await docker('image', 'rm', image);
  });

  const roll = (service: string, image: string, report: (line: string) => void = () => undefined) => {
    abort = new AbortController();
    context.signal = abort.signal;
    return rollService({ kind: 'roll-service', service, image, timeoutSeconds: 60 }, context, report);
  };
  /** Says to Compose which images run, as the pins of a release do. */
  const pin = (images: Record<string, string>) =>
    writeFile(
      kg.path('docker/docker-compose.override.yml'),
      `services:\n  migrate: {}\n${Object.entries(images)
        .map(([service, image]) => `  ${service}: {image: "${image}"}\n`)
        .join('')}`,
    );
  async function next(service: string, more = ''): Promise<string> {
    const [tag] = await dockerLines('ps', '--format', '{{.Image}}', '--filter', `name=${kg.prefix}-operator`);
    const image = `kg-operator-${service}:${kg.prefix}-${made.length}`;
    const from = `kg-operator-${service}:${tag?.split(':')[1]}`;
    expectCode(
      await run('docker', ['build', '-q', '-t', image, '-'], {
        input: `FROM ${from}\nLABEL kg-operator.test=${made.length}\n${more}`,
      }),
    );
    made.push(image);
    return image;
  }
  const idsOf = (service: string) =>
    dockerLines(
      'ps',
      '-aq',
      '--no-trunc',
      '--filter',
      `label=com.docker.compose.project=${kg.prefix}`,
      '--filter',
      `label=com.docker.compose.service=${service}`,
    );
  const imageOf = async (service: string) => (await kg.containers())[service]?.Config.Image;

  test('a new copy that never gets healthy is removed; the old one served all the time', async () => {
    const before = await idsOf('api');
    const image = await next(
      'api',
      'CMD ["node", "-e", "console.log(\'no use\'); setInterval(() => {}, 1000)"]\n',
    );
    await pin({ api: image });
    const { report } = await underTraffic(kg, () =>
      expect(
        rollService(
          { kind: 'roll-service', service: 'api', image, timeoutSeconds: 5 },
          context,
          () => undefined,
        ),
      ).rejects.toMatchObject({
        code: 'APPLICATION_UNHEALTHY',
        exitCode: 7,
        details: [expect.stringContaining('no use')],
      }),
    );
    process.stderr.write(trafficLine('a copy that never gets healthy', report));
    expect(report).toMatchObject({ failed: 0, failures: [] });
    expect(await idsOf('api')).toEqual(before);
  });

  test('an attempt that was cut off is gone on with', async () => {
    const image = await next('api');
    await pin({ api: image });
    const { report } = await underTraffic(kg, async () => {
      await context.compose.createCopies('api', 2); // killed behind this: created, not started
      const cut = roll('api', image, (line) => line.startsWith('waiting') && abort.abort());
      await expect(cut).rejects.toMatchObject({ code: 'INTERRUPTED' });
      expect(await idsOf('api')).toHaveLength(2);
      await roll('api', image);
      await roll('api', image); // all is done
    });
    process.stderr.write(trafficLine('cut off and gone on with', report));
    expect(report).toMatchObject({ failed: 0, failures: [] });
    expect(await idsOf('api')).toHaveLength(1);
    expect(await imageOf('api')).toBe(image);
  });

  test('the health gate catches an application that ends after a while', async () => {
    const before = (await imageOf('api')) as string;
    const image = await next(
      'api',
      'CMD ["sh", "-c", "node dist/main.js & sleep 12; echo gives up >&2; kill $!; exit 1"]\n',
    );
    await pin({ api: image });
    await roll('api', image);
    const gate = healthGate(
      { ...GATE, checks: [...GATE.checks], stabilitySeconds: 30 },
      context,
      () => undefined,
    );
    await expect(gate).rejects.toMatchObject({
      code: 'HEALTH_GATE_FAILED',
      exitCode: 7,
      details: expect.arrayContaining([expect.stringContaining('gives up')]),
    });
    await pin({ api: before });
    await roll('api', before);
    await healthGate({ ...GATE, checks: [...GATE.checks], stabilitySeconds: 2 }, context, () => undefined);
  });
});
