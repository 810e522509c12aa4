/*
 * Benchmarks of whole commands against their floors, on real containers: `npm run bench`. Not tests: nothing fails when a number
 * grows. Each pair is measured in one run, in turns, so that both meet the same machine; the table in README.md holds the last run.
 */
import { execFileSync } from 'node:child_process';
import { ADMIN_PASSWORD, AI_KEY, Installation } from '../test/e2e/installation.ts';
import { embedded } from './embedded.ts';
import { type Comparison, compare, median, report, type Timed } from './measure.ts';

const installation = await Installation.create({ dev: false });
await installation.processes.stop(); // it samples the process list, which would be measured along
const first = embedded(true);
const later = embedded(false);
try {
  await installation.ok(['up', '--yes'], {
    env: {
      KG_ADMIN_PASSWORD: ADMIN_PASSWORD,
      KG_AI_API_KEY: AI_KEY,
      KG_AI_PROVIDER: 'openai',
      KG_EMBEDDING: 'local',
    },
  });
  const env = composeEnvironment((await installation.ok(['env'])).stdout);
  const execute = (file: string, ...args: string[]) =>
    execFileSync(file, args, { cwd: installation.root, env, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
  const timed = (file: string, ...args: string[]): Timed => ({
    show: [file.replace('./', ''), ...args].join(' '),
    run: () => void execute(file, ...args),
  });
  const down = () => void execute('docker', 'compose', 'down');
  const floor: Timed = {
    ...timed('docker', 'exec', `${installation.prefix}-operator`, 'node', '-e', '0'),
    show: 'docker exec … node -e 0',
  };
  let title = 0;
  const configSet: Timed = {
    show: 'operator.sh config set',
    run: () => void execute('./operator.sh', 'config', 'set', 'web.title', `bench ${title++}`),
  };
  const composeUp = timed('docker', 'compose', 'up', '-d', '--wait');

  const results: Comparison[] = [
    await compare('status', timed('./operator.sh', 'status'), timed('docker', 'compose', 'ps'), 25),
    await compare(
      'status, and what any command in the operator costs',
      timed('./operator.sh', 'status'),
      floor,
      25,
    ),
    await compare('help of an engine command', timed('./operator.sh', 'migrate', '--help'), floor, 25),
    await compare('config set, a new value each time', configSet, floor, 25),
    await compare(
      'help of the shim',
      timed('./operator.sh', 'help'),
      { show: 'sh -c :', run: () => void execute('sh', '-c', ':') },
      25,
    ),
    await compare('start of a running platform', timed('./operator.sh', 'start'), composeUp, 5),
    await compare(
      'up, containers gone, images and data there',
      { ...timed('./operator.sh', 'up', '--yes'), before: down },
      { ...composeUp, before: down },
      3,
    ),
    await compare('without Docker, first start', first.timed, { ...composeUp, before: down }, 3),
    await compare('without Docker, later start', later.timed, { ...composeUp, before: down }, 3),
  ];
  results.push({
    name: 'memory of the whole platform',
    ours: 'kg-operator dev',
    peer: 'docker stats, all containers',
    oursValue: median(later.memory),
    peerValue: containerMegabytes(
      execute('docker', 'compose', 'stats', '--no-stream', '--format', '{{.MemUsage}}'),
    ),
    unit: 'MB',
  });
  report('commands', results);
} finally {
  first.cleanUp();
  later.cleanUp();
  await installation.destroy();
}

/** The `export NAME='value'` lines of `operator.sh env`, over this process's environment. */
function composeEnvironment(exports: string): NodeJS.ProcessEnv {
  const pairs = [...exports.matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name, value]) => [name, value]);
  return { ...process.env, ...Object.fromEntries(pairs) };
}

/** The sum of lines such as `45.21MiB / 1GiB`. */
function containerMegabytes(stats: string): number {
  const units: Record<string, number> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
  const used = [...stats.matchAll(/^([\d.]+)(KiB|MiB|GiB) \//gm)];
  return (
    used.reduce((sum, [, value, unit]) => sum + Number(value) * (units[unit ?? ''] ?? Number.NaN), 0) / 1e6
  );
}
