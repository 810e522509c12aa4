import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const repository = fileURLToPath(new URL('../../../', import.meta.url));
/** With the repository's own Node in front, whatever the machine's is. */
const environment = {
  ...process.env,
  PATH: [join(repository, 'node_modules/.bin'), process.env.PATH].join(delimiter),
};

export interface InstalledPackage {
  /** The empty folder that it was installed into. */
  folder: string;
  /** Its entry point. */
  bin: string;
  /** Size of the tarball, in bytes. */
  bytes: number;
  remove(): Promise<void>;
}

/** Builds and packs the engine as `npm pack` does, away from the checkout, and installs the tarball into an empty folder. */
export async function installPackage(): Promise<InstalledPackage> {
  const scratch = await mkdtemp(join(tmpdir(), 'kg package '));
  const [staged, folder] = [join(scratch, 'staged'), join(scratch, 'installed here')];
  await mkdir(staged);
  await mkdir(folder);
  const node = (...args: string[]) => run('node', args, { cwd: repository, env: environment });
  await node('packages/web/build.js', '--outdir', join(scratch, 'web'));
  await node('packages/engine/build.js', staged);
  await node('packages/engine/package-files.js', staged, `--web=${join(scratch, 'web')}`);
  const options = { env: environment };
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', scratch], {
    ...options,
    cwd: staged,
  });
  const packed = JSON.parse(stdout) as Packed[] | Record<string, Packed>;
  const [tarball] = Object.values(packed);
  if (!tarball) throw new Error('npm pack packed nothing');
  await writeFile(join(folder, 'package.json'), '{"private":true}');
  await run(
    'npm',
    ['install', '--prefer-offline', '--no-audit', '--no-fund', join(scratch, tarball.filename)],
    {
      ...options,
      cwd: folder,
    },
  );
  return {
    folder,
    bin: join(folder, 'node_modules/kg-operator/bin/run.js'),
    bytes: tarball.size,
    remove: () => rm(scratch, { recursive: true, force: true }),
  };
}

interface Packed {
  filename: string;
  size: number;
}

/** What a command inherits: nothing that would choose a mode or answer a question. */
function cleanEnvironment(extra: Record<string, string>): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(
    ([name]) => !/^(KG_|POSTGRES_|DATABASE_URL|COMPOSE_|npm_|ENCRYPTION_KEY|OAUTH_)/.test(name),
  );
  return { ...Object.fromEntries(kept), ...extra };
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunningCommand {
  pid: number;
  /** Resolves when it has ended. */
  ended: Promise<Ended>;
  output(): string;
  kill(signal: NodeJS.Signals): void;
}

/** Starts the installed program in a folder of its own. */
export function start(
  bin: string,
  cwd: string,
  args: string[],
  env: Record<string, string> = {},
): RunningCommand {
  const child = spawn(join(repository, 'node_modules/.bin/node'), [bin, ...args], {
    cwd,
    env: cleanEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    stdout += data;
  });
  child.stderr.on('data', (data: Buffer) => {
    stderr += data;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return {
    pid: child.pid as number,
    ended,
    output: () => stdout + stderr,
    kill: (signal) => void child.kill(signal),
  };
}

/** Asks until the answer is there. @throws after `seconds`, with what the command said */
export async function until<T>(
  ask: () => Promise<T | null>,
  seconds: number,
  said: () => string,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask().catch(() => null);
    if (answer !== null) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s; it said:\n${said()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
