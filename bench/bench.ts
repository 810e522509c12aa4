/*
 * Benchmarks of whole commands against their floors, on real containers: `npm run bench`. Not tests: nothing fails when a number
 * grows. Each pair is measured in one run, in turns, so that both meet the same machine; the table in README.md holds the last run.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { ADMIN_PASSWORD, AI_KEY, Installation } from '../test/e2e/installation.ts';

interface Comparison {
  name: string;
  ours: string;
  peer: string;
  /** Medians, in milliseconds. */
  oursMs: number;
  peerMs: number;
  runs: number;
}

type Command = { show: string; run: () => void; before?: () => void };

/** Medians of `runs` runs of each, taken in turns after one that does not count. */
function compare(name: string, ours: Command, peer: Command, runs: number): Comparison {
  const times = { ours: [] as number[], peer: [] as number[] };
  for (let index = -1; index < runs; index++) {
    for (const [side, command] of [
      ['ours', ours],
      ['peer', peer],
    ] as const) {
      command.before?.();
      const started = performance.now();
      command.run();
      if (index >= 0) times[side].push(performance.now() - started);
    }
  }
  const result = {
    name,
    ours: ours.show,
    peer: peer.show,
    oursMs: median(times.ours),
    peerMs: median(times.peer),
    runs,
  };
  console.error(`${name}: ${line(result)}`);
  return result;
}

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const milliseconds = (value: number): string =>
  value < 1000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
const line = ({ ours, peer, oursMs, peerMs }: Comparison): string =>
  `\`${ours}\` ${milliseconds(oursMs)} | \`${peer}\` ${milliseconds(peerMs)} | **${(oursMs / peerMs).toFixed(2)}**`;

const installation = await Installation.create();
await installation.processes.stop(); // it samples the process list, which would be measured along
try {
  await installation.ok(['up', '--yes'], {
    env: {
      KG_ADMIN_PASSWORD: ADMIN_PASSWORD,
      KG_AI_API_KEY: AI_KEY,
      KG_AI_PROVIDER: 'openai',
      KG_EMBEDDING: 'local',
    },
  });
  const env = composeEnvironment(await installation.ok(['env']).then(({ stdout }) => stdout));
  const command = (show: string, file: string, args: string[], before?: () => void): Command => ({
    show,
    run: () =>
      void execFileSync(file, args, { cwd: installation.root, env, stdio: ['ignore', 'ignore', 'pipe'] }),
    ...(before ? { before } : {}),
  });
  const shim = (...args: string[]) => command(`operator.sh ${args.join(' ')}`, './operator.sh', args);
  const operator = `${installation.prefix}-operator`;
  const results = [
    compare('status', shim('status'), command('docker compose ps', 'docker', ['compose', 'ps']), 20),
    compare(
      'status (versus what it must do)',
      shim('status'),
      command('docker exec node -e 0', 'docker', ['exec', operator, 'node', '-e', '0']),
      20,
    ),
    compare(
      '--help of the engine',
      shim('migrate', '--help'),
      command('docker exec node -e 0', 'docker', ['exec', operator, 'node', '-e', '0']),
      20,
    ),
    compare('help of the shim', shim('help'), command('sh -c :', 'sh', ['-c', ':']), 20),
    compare(
      'up, containers gone, images and data there',
      { ...shim('up', '--yes'), before: down },
      {
        ...command('docker compose up -d --wait', 'docker', ['compose', 'up', '-d', '--wait']),
        before: down,
      },
      3,
    ),
    compare(
      'start of a running platform',
      shim('start'),
      command('docker compose up -d --wait', 'docker', ['compose', 'up', '-d', '--wait']),
      5,
    ),
  ];
  const table = [
    `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${version('docker', ['version', '--format', 'Docker {{.Server.Version}}'])}, compose ${version('docker', ['compose', 'version', '--short'])}:`,
    '',
    '| what | ours | peer | ratio |',
    '|---|---|---|---|',
    ...results.map((result) => `| ${result.name} | ${line(result)} |`),
  ].join('\n');
  const readme = join(import.meta.dirname, 'README.md');
  const text = readFileSync(readme, 'utf8').replace(
    /(<!-- table -->\n)[\s\S]*(<!-- end -->)/,
    `$1${table}\n$2`,
  );
  writeFileSync(readme, text);
  console.log(table);

  function down(): void {
    execFileSync('docker', ['compose', 'down'], { cwd: installation.root, env, stdio: 'ignore' });
  }
} finally {
  await installation.destroy();
}

/** The `export NAME='value'` lines of `operator.sh env`, over this process's environment. */
function composeEnvironment(exports: string): NodeJS.ProcessEnv {
  const pairs = [...exports.matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name, value]) => [name, value]);
  return { ...process.env, ...Object.fromEntries(pairs) };
}

function version(file: string, args: string[]): string {
  return execFileSync(file, args, { encoding: 'utf8' }).trim();
}
