import { mkdir, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { ConsoleVersions } from '../../packages/engine/src/console/versions.ts';
import {
  formatPublicKey,
  newKey,
  publish,
  releaseInput,
  writeFiles,
} from '../../packages/engine/test/releases.ts';
import { docker, run } from './command.ts';
import { Installation } from './installation.ts';
import { secretsIn } from './secrets.ts';
import { until } from './wait.ts';

jest.setTimeout(600_000);

describe('the console, on real containers', () => {
  let kg: Installation;
  beforeAll(async () => {
    kg = await Installation.create({ dev: false });
    await kg.ok(['init']);
    await kg.ok(['start', '--infra-only']);
  });
  afterAll(() => kg.destroy());

  const console = async () => {
    const { console: found } = await kg.containers();
    if (!found) throw new Error('there is no container of the console');
    return found;
  };
  /** Runs a script of node in a container of the inner network, and gives what it printed. */
  const inOperator = async (script: string) =>
    docker('exec', (await kg.containers()).operator?.Id ?? '', 'node', '--input-type=module', '-e', script);
  const versions = async () =>
    JSON.parse(
      await inOperator(`console.log(await (await fetch('http://console:8090/versions')).text())`),
    ) as ConsoleVersions;

  /** As root, who sees more than the process does. `-type` would take a mounted socket for the empty file that it is mounted on. */
  const socketsIn = (id: string) => {
    const passed = ['/proc', '/sys', '/etc/ssl/private', '/var/cache/apt'].flatMap((path) => [
      '-o',
      '-path',
      path,
    ]);
    const where = ['exec', '--user', '0', id, 'find', '/', '(', ...passed.slice(1), ')', '-prune'];
    return docker(...where, '-o', '-xtype', 's', '-print');
  };

  test('is healthy, and a service on the inner network gets what is known of releases', async () => {
    await until('it is healthy', async () => (await console()).State.Health?.Status === 'healthy');
    expect(await versions()).toMatchObject({ installed: null, available: { list: null }, problem: null });

    const key = newKey();
    const inputs = [releaseInput('1.0.0'), releaseInput('1.1.0')];
    await writeFiles(kg.path('published'), publish(inputs, { keys: [key], channels: { stable: '1.1.0' } }));
    await writeFile(kg.path('release.pub'), `${formatPublicKey(key)}\n`);
    const env = { KG_RELEASE_KEYS: kg.path('release.pub') };
    const told = await kg.json<{ available: ConsoleVersions['available'] }>(
      ['versions', '--from', kg.path('published')],
      { env },
    );
    expect(told.code).toBe(0);
    const installed = {
      version: '1.0.0',
      previous: null,
      head: '0001_x',
      at: '2026-11-23T12:00:00Z',
      images: {},
    };
    await writeFile(kg.path('.operator/releases/installed.json'), JSON.stringify(installed));

    await until('it has read the list', async () => (await versions()).installed !== null);
    const { available, problem } = await versions();
    expect(problem).toBeNull();
    expect(available?.list).toEqual(told.document.data.available?.list);
    expect(available?.versions.map(({ version, state, path }) => [version, state, path])).toEqual([
      ['1.1.0', 'available', ['1.1.0']],
      ['1.0.0', 'installed', null],
    ]);
  });

  test('it has no socket, no secret, nothing of the installation but the releases, and no way out', async () => {
    const { Id } = await console();
    const inspected = await docker('inspect', Id);
    const [{ Mounts, NetworkSettings, Config, HostConfig }] = JSON.parse(inspected) as [
      {
        Mounts: { Source: string; RW: boolean }[];
        NetworkSettings: { Networks: Record<string, unknown>; Ports: Record<string, unknown> };
        Config: { User: string };
        HostConfig: object;
      },
    ];
    expect(Mounts.map(({ Source, RW }) => [Source, RW])).toEqual([[kg.path('.operator/releases'), false]]);
    expect(Object.keys(NetworkSettings.Networks)).toEqual([`${kg.prefix}_backend`]);
    expect(NetworkSettings.Ports).toEqual({});
    expect(Config.User).toBe('65534:65534');
    expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'], Privileged: false });
    const secrets = await kg.env();
    expect(Object.keys(secrets).length).toBe(5);
    expect(secretsIn(inspected, secrets)).toEqual([]);

    // Everything that the process can read beneath the installation, and sockets anywhere.
    const inside = (...argv: string[]) => docker('exec', Id, ...argv);
    const files = (await inside('find', kg.root, '-type', 'f')).split('\n').filter(Boolean);
    expect(files).toContain(kg.path('.operator/releases/installed.json'));
    for (const file of files) {
      expect(file.startsWith(kg.path('.operator/releases/'))).toBe(true);
      expect([file, secretsIn(await inside('cat', file), secrets)]).toEqual([file, []]);
    }
    expect(await socketsIn((await kg.containers()).operator?.Id ?? '')).toContain('/docker.sock'); // or it would not have looked
    expect(await socketsIn(Id)).toBe('');
    expect(secretsIn(await inside('cat', '/proc/1/environ'), secrets)).toEqual([]);
    const write = await run('docker', ['exec', Id, 'touch', kg.path('.operator/releases/x')]);
    expect(write.code).not.toBe(0);
    const out = await run('docker', ['exec', Id, 'bash', '-c', 'exec 3<>/dev/tcp/1.1.1.1/53']);
    expect(out.code).not.toBe(0);
  });

  test('a console that does not start keeps nothing else from starting', async () => {
    await mkdir(kg.path('docker'), { recursive: true });
    await writeFile(
      kg.path('docker/docker-compose.override.yml'),
      'services:\n  console:\n    command: ["false"]\n',
    );
    await kg.ok(['start', '--infra-only']);
    await until('it restarts again and again', async () => (await console()).State.Status === 'restarting');
    await kg.ok(['start', '--infra-only']);
    const { document } = await kg.json<{ layers: { name: string; ok: boolean }[] }>(['status']);
    expect(document.data.layers.find(({ name }) => name === 'schema')?.ok).toBe(true);
  });
});
