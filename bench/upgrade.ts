/*
 * Upgrades by real commands, on an installation of published images: `npm run bench:upgrade`. The peer changes the same images by Compose,
 * which stops each container and starts another, and is done when that one is healthy. README.md holds the last run.
 */
import { expectCode, run } from '../test/e2e/command.ts';
import { ADMIN_PASSWORD, Installation } from '../test/e2e/installation.ts';
import { underTraffic } from '../test/e2e/platform-traffic.ts';
import { Publisher, publishExamples } from '../test/e2e/releases.ts';
import { type Comparison, compare, median, report, row } from './measure.ts';

const RUNS = 3;
/** Of the examples' health gate. */
const STABILITY_MS = 5000;

const publisher = await Publisher.create();
let kg: Installation | undefined;
try {
  await publishExamples(publisher);
  kg = await Installation.standalone(publisher);
  await kg.processes.stop(); // it samples the process list, which would be measured along
  const env = { KG_ADMIN_PASSWORD: ADMIN_PASSWORD, KG_AI_PROVIDER: 'local', KG_EMBEDDING: 'local' };
  await kg.ok(['up', '--yes'], { env });
  report('upgrade', [...(await times(kg)), ...(await downtimes(kg))]);
} finally {
  await kg?.destroy();
  await publisher.remove();
}

async function times(kg: Installation): Promise<Comparison[]> {
  const to = (version: string, ...flags: string[]) => kg.ok(['upgrade', '--yes', '--to', version, ...flags]);
  await to('1.0.1'); // everything is pulled, and pinned
  const nothing = await compare(
    'nothing to do',
    { show: 'operator.sh upgrade', run: async () => void (await to('1.0.1')) },
    { show: 'docker compose up -d --wait', run: () => compose(kg, 'up', '-d', '--wait', 'api', 'web') },
    RUNS,
  );
  await kg.ok(['rollback', '--yes']);
  const pins = { IMAGE_API: imageOf('api', '1.0.1'), IMAGE_WEB: imageOf('web', '1.0.1') };
  const older = { IMAGE_API: imageOf('api', '1.0.0'), IMAGE_WEB: imageOf('web', '1.0.0') };
  const peer = {
    show: 'docker compose up -d --wait',
    before: () => compose(kg, 'up', '-d', '--wait', 'api', 'web', older),
    run: () => compose(kg, 'up', '-d', '--wait', 'api', 'web', pins),
    after: async () => void (await kg.ok(['start'])),
  };
  const unsaved = await compare(
    'other images, here already, without a backup',
    {
      show: 'operator.sh upgrade --no-backup',
      run: async () => void (await to('1.0.1', '--no-backup')),
      after: async () => void (await kg.ok(['rollback', '--yes'])),
    },
    peer,
    RUNS,
  );
  return [
    nothing,
    unsaved,
    {
      ...unsaved,
      name: 'the same, without the window in which it must stay healthy',
      oursValue: unsaved.oursValue - STABILITY_MS,
    },
  ];
}

/** The longest time in which no request of 50 a second was answered well, in milliseconds. */
async function downtimes(kg: Installation): Promise<Comparison[]> {
  const peers: number[] = [];
  for (let turn = 0; turn < RUNS; turn++) {
    for (const version of ['1.0.0', '1.0.1'] as const) {
      const pins = { IMAGE_API: imageOf('api', version), IMAGE_WEB: imageOf('web', version) };
      peers.push(await silence(kg, () => compose(kg, 'up', '-d', '--wait', 'api', 'web', pins)));
    }
    await kg.ok(['start']);
  }
  const results: Comparison[] = [];
  for (const [version, name] of [
    ['1.0.1', 'downtime: other images only'],
    ['1.1.0', 'downtime: an expand migration'],
    ['1.2.0', 'downtime: a contract migration'],
  ] as const) {
    const ours = await silence(kg, async () => void (await kg.ok(['upgrade', '--yes', '--to', version])));
    results.push({
      name,
      ours: 'operator.sh upgrade',
      peer: 'docker compose up -d --wait, images only',
      oursValue: ours,
      peerValue: median(peers),
      unit: 'ms',
    });
    console.error(row(results.at(-1) as Comparison));
  }
  return results;
}

async function silence(kg: Installation, during: () => Promise<void>): Promise<number> {
  const { report } = await underTraffic(kg, during);
  return report.silenceMs;
}

function imageOf(service: string, version: string): string {
  return `${publisher.images.prefix}/kg-operator-${service}:${version}`;
}

/** Docker Compose as operator.sh calls it; the last argument may be variables. */
async function compose(kg: Installation, ...args: (string | Record<string, string>)[]): Promise<void> {
  const last = args.at(-1);
  const [words, extra] = typeof last === 'object' ? [args.slice(0, -1), last] : [args, {}];
  const script =
    'eval "$(./operator.sh env)"; while [ "$1" != -- ]; do export "$1"; shift; done; shift; exec docker compose "$@"';
  const variables = Object.entries(extra).map(([name, value]) => `${name}=${value}`);
  expectCode(
    await run('sh', ['-c', script, 'sh', ...variables, '--', ...(words as string[])], { cwd: kg.root }),
  );
}
