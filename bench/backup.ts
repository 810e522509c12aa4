/*
 * Backup and restore by real commands against PostgreSQL's own tools and age, on one installation: `npm run bench:backup`. The peer runs in
 * the same container and keeps its files on the same disk; it neither copies documents nor proves anything. README.md holds the last run.
 */
import { readFile } from 'node:fs/promises';
import { expectCode, run } from '../test/e2e/command.ts';
import { fillGraph, fillTable } from '../test/e2e/filling.ts';
import { ADMIN_PASSWORD, Installation } from '../test/e2e/installation.ts';
import { type Comparison, compare, median, report, row } from './measure.ts';
import { peakMemory } from './memory.ts';

const SMALL_MB = 200;
const LARGE_MB = 2000;
const RUNS = 3;

const installation = await Installation.create({ dev: false });
await installation.processes.stop(); // it samples the process list, which would be measured along
const operator = `${installation.prefix}-operator`;
try {
  await installation.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
    env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
  await installation.ok(['backup', 'kit', 'new', '--export', 'kit.txt', '--yes']);
  await fillTable(installation, SMALL_MB);
  await fillGraph(installation, 'bench', 50_000);
  const small = await memoryOfBackup();
  await installation.psql('DROP TABLE public.bulk');
  await fillTable(installation, LARGE_MB);
  await installation.psql('VACUUM; CHECKPOINT');
  const large = await memoryOfBackup();
  const results: Comparison[] = [
    {
      name: 'memory of a backup, of ten times the data',
      ours: 'of 2 GB',
      peer: 'of 200 MB',
      oursValue: large,
      peerValue: small,
      unit: 'MB',
    },
    await compare(
      'backup of 2 GB, not restored yet',
      {
        show: 'operator.sh backup --no-verify',
        run: async () => void (await installation.ok(['backup', '--no-verify'])),
        after: removeBackups,
      },
      {
        show: 'pg_dump -Fd -j2 --compress=zstd, tar, age',
        before: () => inOperator('rm -rf peer peer.age'),
        run: () =>
          inOperator(
            'pg_dump -Fd -j2 --compress=zstd -f peer && tar c peer | age -e -i kit.txt -o peer.age && rm -r peer',
          ),
      },
      RUNS,
    ),
  ];
  console.error(results.map(row).join('\n'));
  results.push(...(await restores()));
  report('backup', results);
} finally {
  await installation.destroy();
}

/** In megabytes. */
async function memoryOfBackup(): Promise<number> {
  const bytes = await peakMemory(operator, () => installation.ok(['backup', '--no-verify']));
  await removeBackups();
  return bytes / 1e6;
}

async function removeBackups(): Promise<void> {
  await inOperator('rm -f backups/*');
}

/** A restore is timed as a whole, and by its journal until what it loaded is proven; each time the peer follows. */
async function restores(): Promise<Comparison[]> {
  await installation.ok(['backup', '--no-verify']);
  const times = { loaded: [] as number[], whole: [] as number[], peer: [] as number[] };
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now();
    await installation.ok(['restore', 'latest', '--confirm', installation.prefix]);
    times.whole.push(performance.now() - started);
    times.loaded.push(await stepTime('load-backup'));
    await installation.ok(['backup', 'prune', '--previous', '--yes']);
    await inOperator('rm -rf peer; psql -qd postgres -c "CREATE DATABASE peer TEMPLATE template0"');
    const begun = performance.now();
    // It ends with errors: the rows of AGE's catalog hold numbers of the old database. The graphs it makes can't be read.
    await inOperator(
      'age -d -i kit.txt peer.age | tar x; pg_restore -d peer -j2 peer || :; psql -qd peer -c ANALYZE; rm -r peer',
    );
    times.peer.push(performance.now() - begun);
    await inOperator('psql -qd postgres -c "DROP DATABASE peer"');
  }
  const peer = {
    peer: 'age, tar, pg_restore -j2, ANALYZE',
    peerValue: median(times.peer),
    unit: 'ms' as const,
  };
  return [
    {
      name: 'restore of 2 GB beside the live data, until it is proven',
      ours: 'step load-backup',
      oursValue: median(times.loaded),
      ...peer,
    },
    {
      name: 'restore of 2 GB, all of it',
      ours: 'operator.sh restore',
      oursValue: median(times.whole),
      ...peer,
    },
  ];
}

/** Milliseconds of the last step of a kind, from the journal. */
async function stepTime(kind: string): Promise<number> {
  const lines = (await readFile(installation.path('.operator/journal.jsonl'), 'utf8')).trim().split('\n');
  const entries = lines.map((line) => JSON.parse(line) as { at: string; event: string; step?: string });
  const at = (event: string) =>
    Date.parse(entries.findLast((entry) => entry.event === event && entry.step === kind)?.at ?? '');
  return at('step-finished') - at('step-started');
}

/** A script in the operator container, in the installation's folder, with libpq's variables set. */
async function inOperator(script: string): Promise<void> {
  const { POSTGRES_PASSWORD = '' } = await installation.env();
  const libpq = { PGHOST: 'postgres', PGUSER: 'kg', PGDATABASE: 'kg', PGPASSWORD: POSTGRES_PASSWORD };
  const names = Object.keys(libpq).flatMap((name) => ['-e', name]);
  const args = ['exec', '-w', installation.root, ...names, operator, 'sh', '-euc', script];
  expectCode(await run('docker', args, { env: libpq }));
}
