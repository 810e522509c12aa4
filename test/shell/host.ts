import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Published } from './published.ts';
import { Install, type Result, type RunOptions, run } from './shim.ts';

/** Every program that install.sh and operator.sh call, except those that download and those that check signatures. */
const TOOLS =
  'awk base64 basename cat chmod chown cmp cp cut date df dirname env find grep gzip head id ln ls mkdir mv od ps readlink rm rmdir sed sh sha256sum sleep sort stat sync tail tar touch tr uname wc xargs'.split(
    ' ',
  );

/** A host with the fake docker, and nothing installed: `root` is where install.sh is told to install. */
export class Host extends Install {
  readonly published: Published;
  /** install.sh, from a file. */
  readonly installer: string;

  constructor(shell: string[], published: Published, name = 'the target') {
    super(shell, { layout: 'standalone', name });
    rmSync(this.root, { recursive: true });
    this.published = published;
    this.installer = published.path('install.sh');
  }

  /** What every run gets unless it says otherwise: ports that are free, and a registry that is not asked for. */
  static readonly QUIET_PORTS = [
    ...['--set', 'API_PORT=39181', '--set', 'WEB_PORT=39182'],
    ...['--registry', '127.0.0.1:5000/kg'],
  ];

  /** Runs install.sh, told to ask nothing. @param from where releases come from; the folder, unless said otherwise */
  install(
    args: string[] = [],
    { from = this.published.folder, ...options }: RunOptions & { from?: string } = {},
  ) {
    const all = ['--dir', this.root, '--from', from, ...Host.QUIET_PORTS, '--yes', ...args];
    return this.run(all, { script: this.installer, cwd: this.home, ...options });
  }

  /** The same through a pipe, as `curl | sh` does it. */
  pipe(text: Buffer | string, args: string[] = [], options: RunOptions = {}): Promise<Result> {
    const [program = 'sh', ...rest] = this.shell;
    return run(
      program,
      [
        ...rest,
        '-s',
        '--',
        '--dir',
        this.root,
        '--from',
        this.published.folder,
        ...Host.QUIET_PORTS,
        ...args,
      ],
      {
        cwd: this.home,
        ...options,
        stdin: String(text),
        env: this.environment(options.env),
      },
    );
  }

  operator(args: string[], options: RunOptions = {}): Promise<Result> {
    return this.run(args, { cwd: this.root, ...options });
  }

  /** PATH holds only what install.sh wants, and these. */
  environmentWith(programs: string[]): Record<string, string> {
    const bin = join(this.home, 'only');
    rmSync(bin, { recursive: true, force: true });
    mkdirSync(bin);
    for (const tool of [...TOOLS, ...programs, this.shell[0] ?? 'sh']) {
      const path = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', tool], { encoding: 'utf8' }).stdout.trim();
      if (path.startsWith('/') && !existsSync(join(bin, tool))) symlinkSync(path, join(bin, tool));
    }
    return { PATH: `${this.bin}:${bin}` };
  }

  /** Every file of the target with its content, modes told apart by x. */
  tree(): Record<string, string> {
    const files: Record<string, string> = {};
    const walk = (folder: string) => {
      for (const entry of readdirSync(join(this.root, folder), { withFileTypes: true })) {
        const name = join(folder, entry.name);
        if (entry.isDirectory()) walk(name);
        else {
          const path = join(this.root, name);
          files[name + (statSync(path).mode & 0o100 ? '*' : '')] = readFileSync(path, 'latin1');
        }
      }
    };
    if (existsSync(this.root)) walk('');
    return files;
  }

  /** What there is beside the target and the test's own folders. */
  litter(): string[] {
    const own = ['bin', 'fake', 'only', 'tmp', this.root.split('/').at(-1)];
    return readdirSync(this.home).filter((name) => !own.includes(name));
  }
}
