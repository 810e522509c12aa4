import { type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const SCRIPT = join(REPOSITORY, 'operator.sh');
export const FULL = process.env.KG_TEST_FULL === '1';

export const SECRET_KEYS = [
  'ENCRYPTION_KEY',
  'OAUTH_SIGNING_KEY',
  'GARAGE_RPC_SECRET',
  'GARAGE_ADMIN_TOKEN',
  'POSTGRES_PASSWORD',
];

/** A complete .env; the values are told apart by their first digit. */
export const ENV_TEXT = SECRET_KEYS.map(
  (key, index) => `${key}=${String(index + 1).repeat(key === 'POSTGRES_PASSWORD' ? 48 : 64)}\n`,
).join('');

const BUSYBOX_TOOLS =
  'awk cat date dirname grep head id ln ls mkdir mv od readlink rm sed sort sync tr xargs'.split(' ');

const all: [string, string[]][] = [
  ['dash', ['dash']],
  ['bash', ['bash']],
  ['busybox ash', ['busybox', 'sh']],
];

/** Says once which part of the tests cannot run here; fails instead where the caller demanded all of them. */
export function unavailable(what: string): void {
  if (process.env.KG_REQUIRE_DOCKER === '1') throw new Error(`KG_REQUIRE_DOCKER=1, and ${what}`);
  console.warn(`** ${what}: those tests were NOT run **`);
}

/** The shells of this machine that the shim is tested under, as rows for describe.each. */
export const SHELLS = all.filter(([name, [program, ...args]]) => {
  const found = spawnSync(program ?? '', [...args, '-c', 'exit 0']).status === 0;
  if (!found) unavailable(`${name} is not installed`);
  return found;
});

export interface Result {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Call {
  argv: string[];
  env: Record<string, string>;
}

export interface RunOptions {
  env?: Record<string, string>;
  stdin?: string;
  cwd?: string;
  script?: string;
  onStart?: (pid: number) => void;
}

/** Runs a program to its end, in a session of its own: it has no terminal, and can be killed with its children. */
export function run(program: string, args: string[], options: SpawnOptions & RunOptions): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: 'pipe', detached: true });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.stdin ?? '');
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    if (child.pid !== undefined) options.onStart?.(child.pid);
  });
}

/** An installation in a temporary directory, with the fake docker first on PATH. */
export class Install {
  readonly shell: string[];
  readonly home: string;
  readonly root: string;
  readonly docker: string;
  readonly bin: string;

  constructor(
    shell: string[],
    { layout = 'repository', name = 'kg root' }: { layout?: 'repository' | 'standalone'; name?: string } = {},
  ) {
    this.shell = shell;
    this.home = realpathSync(mkdtempSync(join(tmpdir(), 'kg-shell-')));
    this.root = join(this.home, name);
    this.docker = join(this.home, 'fake');
    this.bin = join(this.home, 'bin');
    const composeDirectory = layout === 'repository' ? join(this.root, 'docker') : this.root;
    for (const directory of [this.root, this.docker, this.bin, composeDirectory]) {
      mkdirSync(directory, { recursive: true });
    }
    for (const file of ['', '.ghcr', '.dev', '.tls']) {
      writeFileSync(join(composeDirectory, `docker-compose${file}.yml`), 'services: {}\n');
    }
    copyFileSync(SCRIPT, join(this.root, 'operator.sh'));
    chmodSync(join(this.root, 'operator.sh'), 0o755);
    symlinkSync(join(REPOSITORY, 'test/shell/fake-docker.sh'), join(this.bin, 'docker'));
    // Under busybox its own tools too: they differ more than the shells do.
    const busybox =
      shell[0] === 'busybox'
        ? spawnSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).stdout.trim()
        : '';
    for (const tool of busybox ? BUSYBOX_TOOLS : []) symlinkSync(busybox, join(this.bin, tool));
  }

  [Symbol.dispose](): void {
    rmSync(this.home, { recursive: true, force: true });
  }

  run(args: string[], options: RunOptions = {}): Promise<Result> {
    const [program, ...prefix] = this.shell;
    const { env, ...rest } = options;
    return run(program ?? 'sh', [...prefix, options.script ?? join(this.root, 'operator.sh'), ...args], {
      cwd: this.root,
      ...rest,
      env: this.environment(env),
    });
  }

  /** Runs under a pseudo-terminal (util-linux `script`), typing `input`; stdout holds what the terminal showed. */
  runOnTerminal(args: string[], input = ''): Promise<Result> {
    const command = [...this.shell, join(this.root, 'operator.sh'), ...args]
      .map((word) => `'${word}'`)
      .join(' ');
    return run('script', ['-qec', command, '/dev/null'], {
      cwd: this.root,
      stdin: input,
      env: this.environment(),
    });
  }

  environment(extra: Record<string, string> = {}): Record<string, string> {
    const { PATH = '', HOME = '' } = process.env;
    return { PATH: `${this.bin}:${PATH}`, HOME, FAKE_DOCKER: this.docker, ...extra };
  }

  /** Sets one of the fake docker's files. */
  given(file: string, text = ''): this {
    writeFileSync(join(this.docker, file), text);
    return this;
  }

  /** Makes it an installation after init, with the operator running unless told otherwise. */
  initialised(operator = 'running'): this {
    this.write('.env', ENV_TEXT);
    if (operator) this.given('operator', operator);
    return this;
  }

  write(file: string, text: string, mode = 0o600): this {
    writeFileSync(join(this.root, file), text, { mode });
    chmodSync(join(this.root, file), mode);
    return this;
  }

  read(file: string): string {
    return readFileSync(join(this.root, file), 'utf8');
  }

  has(file: string): boolean {
    return existsSync(join(this.root, file));
  }

  files(): string[] {
    return readdirSync(this.root).sort();
  }

  /** What docker was called with so far, in order. */
  calls(): Call[] {
    const path = join(this.docker, 'calls');
    if (!existsSync(path)) return [];
    const words = readFileSync(path, 'utf8').split('\0').slice(0, -1);
    const calls: Call[] = [];
    while (words.length > 0) {
      const argv = words.splice(0, 1 + Number(words[0])).slice(1);
      const env = readFileSync(join(this.docker, `env.${calls.length + 1}`), 'utf8').split('\0');
      calls.push({
        argv,
        env: Object.fromEntries(
          env.filter(Boolean).map((pair) => [pair.split('=')[0], pair.slice(pair.indexOf('=') + 1)]),
        ),
      });
    }
    return calls;
  }

  /** The calls as lines, for comparing an order. */
  callLines(): string[] {
    return this.calls().map(({ argv }) => argv.join(' '));
  }

  forgetCalls(): void {
    for (const file of readdirSync(this.docker)) {
      if (file === 'calls' || file === 'count' || file.startsWith('env.')) rmSync(join(this.docker, file));
    }
  }
}

/** The shim's error document, or the engine's, from stdout: exactly one JSON document. */
export function errorOf(result: Result): { code: string; message: string; hint: string } {
  const document = JSON.parse(result.stdout) as { schemaVersion: number; ok: boolean; error: never };
  if (document.schemaVersion !== 1 || document.ok !== false)
    throw new Error(`not an error: ${result.stdout}`);
  return document.error;
}

/** The lines of FILE that an error message names. */
export function linesNamed(message: string, file: string): number[] {
  return message
    .split('\n')
    .filter((line) => line.startsWith(`${file}:`))
    .map((line) => Number(line.split(':')[1]));
}
