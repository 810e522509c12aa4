/*
 * `npm run bench:migrations`: `kg-operator migrate` against psql and against other runners of SQL migrations, on one throwaway
 * PostgreSQL of this machine, each with the same files, in turns. The second table in README.md holds the last run.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { cpus, homedir, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { median } from './measure.ts';
import { type File, largeFile, smallFile, writeFolders } from './migration-files.ts';
import { startServer } from './postgres.ts';

/** The peers, installed outside the repository: they are measured, not depended on. */
const PEERS = { dbmate: '2.36.0', 'node-pg-migrate': '9.0.0', pg: '8.23.1' };
const RUNS = Number(process.env.BENCH_RUNS ?? 5);
const repository = join(import.meta.dirname, '..');

interface Contender {
  name: string;
  /** In a new process: migrates the database at `url`. */
  run(url: string): void;
  /** Takes so long that once is enough. */
  once?: boolean;
}

const peers = installPeers();
const work = mkdtempSync(join(tmpdir(), 'kg-bench-'));
const server = await startServer();
try {
  const engine = buildEngine(join(work, 'engine'));
  const schema: File = { name: 'schema', sql: 'CREATE SCHEMA app;\n' };
  const small = [schema, ...Array.from({ length: 500 }, (_, n) => smallFile(n))];
  const large = [schema, ...Array.from({ length: 50 }, (_, n) => largeFile(n))];

  const node = timesOf([{ name: 'node', run: () => execute('node', ['-e', '0']) }], RUNS * 3)[0] as number;
  const version = timesOf(
    [{ name: 'version', run: () => execute('node', [engine, '--version']) }],
    RUNS * 3,
  )[0] as number;
  const rows: string[][] = [];
  for (const [title, files] of [
    ['500 small files', small],
    ['50 large files', large],
  ] as const) {
    const all = contenders(engine, writeFolders(join(work, title.replaceAll(' ', '-')), files));
    const times = timesOf(all, RUNS);
    const floor = times[0] as number;
    const goal = floor * 1.15 + version;
    for (const [index, { name }] of all.entries())
      rows.push([
        index === 0 ? title : '',
        name,
        ms(times[index]),
        ((times[index] as number) / floor).toFixed(2),
      ]);
    rows.push([
      '',
      'aim: 1.15 × the floor, and the start of our process',
      ms(goal),
      (goal / floor).toFixed(2),
    ]);
  }
  rows.push(...nothingToDo(engine, small));
  rows.push(...growth(engine));
  report(rows, node, version);
} finally {
  server.stop();
  rmSync(work, { recursive: true, force: true });
}

function contenders(engine: string, folders: ReturnType<typeof writeFolders>): Contender[] {
  const plain = readdirSync(folders.plain).sort();
  return [
    { name: '`psql -1 -f` of all in one: the floor', run: (url) => psql(url, '-1', '-f', folders.all) },
    ours(engine, folders.ours),
    dbmate(folders.dbmate),
    nodePgMigrate(folders.nodePgMigrate),
    {
      name: 'one `psql -1 -f` per file',
      once: true,
      run: (url) => {
        for (const file of plain) psql(url, '-1', '-f', join(folders.plain, file));
      },
    },
  ];
}

function ours(engine: string, folder: string): Contender {
  return {
    name: '**`kg-operator migrate`**',
    run: (url) => execute('node', [engine, 'migrate', '--dir', folder], { DATABASE_URL: url }),
  };
}

function dbmate(folder: string): Contender {
  return {
    name: `dbmate ${PEERS.dbmate}`,
    run: (url) =>
      execute(peers.dbmate, ['--no-dump-schema', '--migrations-dir', folder, 'migrate'], {
        DATABASE_URL: url,
      }),
  };
}

function nodePgMigrate(folder: string): Contender {
  return {
    name: `node-pg-migrate ${PEERS['node-pg-migrate']}`,
    run: (url) =>
      execute('node', [peers.nodePgMigrate, 'up', '-m', folder, '--no-verbose'], { DATABASE_URL: url }),
  };
}

/** Each with the files applied already. */
function nothingToDo(engine: string, files: File[]): string[][] {
  const folders = writeFolders(join(work, 'applied'), files);
  const all: Contender[] = [
    { name: "`psql -c 'select 1'`", run: (url) => psql(url, '-c', 'select 1') },
    ours(engine, folders.ours),
    dbmate(folders.dbmate),
    nodePgMigrate(folders.nodePgMigrate),
  ];
  const times = timesOf(all, RUNS * 3, true);
  return all.map(({ name }, index) => [
    index === 0 ? '500 applied, nothing to do' : '',
    name,
    ms(times[index]),
    ((times[index] as number) / (times[0] as number)).toFixed(2),
  ]);
}

/** How nothing to do grows with what was done. */
function growth(engine: string): string[][] {
  const sizes = [100, 1000, 10_000];
  const all = sizes.map((size) => {
    const files = Array.from({ length: size }, (_, n) => ({ name: `step_${n}`, sql: `SELECT ${n};\n` }));
    return ours(engine, writeFolders(join(work, `growth-${size}`), files).ours);
  });
  const times = timesOf(all, RUNS * 3, true);
  return sizes.map((size, index) => [
    index === 0 ? 'many applied, nothing to do' : '',
    `${all[index]?.name}, ${size.toLocaleString('en')} applied`,
    ms(times[index]),
    ((times[index] as number) / (times[0] as number)).toFixed(2),
  ]);
}

/** Medians in milliseconds, after one turn that does not count; each run on a new database, or with `again` on one that is migrated. */
function timesOf(all: Contender[], runs: number, again = false): number[] {
  const times = all.map(() => [] as number[]);
  for (let turn = -1; turn < runs; turn += 1)
    for (const [index, { name, run, once }] of all.entries()) {
      if (once && turn !== 0) continue;
      const database = `bench_${index}`;
      if (!again || turn < 0) server.recreate(database);
      const started = performance.now();
      run(server.url(database));
      if (turn >= 0) times[index]?.push(performance.now() - started);
      console.error(`${name}: ${(performance.now() - started).toFixed(0)} ms`);
    }
  return times.map(median);
}

function psql(url: string, ...args: string[]): void {
  execute('psql', ['-Xq', '-v', 'ON_ERROR_STOP=1', '-d', url, ...args]);
}

function execute(file: string, args: string[], env: Record<string, string> = {}): void {
  execFileSync(file, args, {
    cwd: work,
    env: { ...process.env, ...env, NO_COLOR: '1' },
    stdio: ['ignore', 'ignore', 'pipe'],
    maxBuffer: 2 ** 28,
  });
}

/** The command as the package holds it, in a folder that nobody else builds into meanwhile. Returns its entry point. */
function buildEngine(folder: string): string {
  mkdirSync(folder);
  execFileSync('node', [join(repository, 'packages/engine/build.js'), folder], {
    cwd: repository,
    stdio: 'ignore',
  });
  cpSync(join(repository, 'schema'), join(folder, 'schema'), { recursive: true });
  symlinkSync(join(repository, 'node_modules'), join(folder, 'node_modules'));
  return join(folder, 'bin/run.js');
}

function installPeers(): { dbmate: string; nodePgMigrate: string } {
  const folder = join(homedir(), '.cache/kg-bench');
  const manifest = `${JSON.stringify({ private: true, dependencies: PEERS }, null, 2)}\n`;
  const path = join(folder, 'package.json');
  if (!existsSync(path) || readFileSync(path, 'utf8') !== manifest) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, manifest);
    execFileSync('npm', ['install', '--no-audit', '--no-fund'], { cwd: folder, stdio: 'inherit' });
  }
  return {
    // The binary itself, without the start of the Node script around it.
    dbmate: join(folder, `node_modules/@dbmate/${process.platform}-${process.arch}/bin/dbmate`),
    nodePgMigrate: join(folder, 'node_modules/node-pg-migrate/bin/node-pg-migrate.js'),
  };
}

function ms(value: number | undefined): string {
  if (value === undefined) return '';
  return value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(0)} ms`;
}

function report(rows: string[][], node: number, version: number): void {
  const machine = `${cpus().length} cores (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB`;
  const table = [
    `${new Date().toISOString().slice(0, 10)}, ${machine}, PostgreSQL ${server.version} with fsync, Node ${process.versions.node}; medians of ${RUNS} runs. Start-up: \`node -e 0\` ${ms(node)}, \`kg-operator --version\` ${ms(version)}.`,
    '',
    '| what | by | time | of the first |',
    '|---|---|---|---|',
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
  ].join('\n');
  const readme = join(import.meta.dirname, 'README.md');
  const text = readFileSync(readme, 'utf8');
  writeFileSync(
    readme,
    text.replace(
      /(<!-- migrations -->\n)[\s\S]*(<!-- end of migrations -->)/,
      (_, begin, end) => `${begin}${table}\n${end}`,
    ),
  );
  console.log(table);
}
