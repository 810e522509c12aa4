import { createHash } from 'node:crypto';
import { cp, glob, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expectCode, type Result, run } from './command.ts';
import { REPOSITORY, workingTree } from './images.ts';

/** Whoever commits and when is the same each time, so that the commit is. */
const IDENTITY = {
  GIT_AUTHOR_NAME: 'Test',
  GIT_AUTHOR_EMAIL: 'test@example.org',
  GIT_COMMITTER_NAME: 'Test',
  GIT_COMMITTER_EMAIL: 'test@example.org',
  GIT_AUTHOR_DATE: new Date(Date.now() - 86_400_000).toISOString(),
  GIT_COMMITTER_DATE: new Date(Date.now() - 86_400_000).toISOString(),
};

/** A clone that somebody releases from: git, the packages that npm installs, and the settings of release/. */
export class ReleaseClone {
  readonly root: string;
  readonly env: Record<string, string>;

  private constructor(root: string, env: Record<string, string>) {
    this.root = root;
    this.env = env;
  }

  /** The working tree as it is now, as the first commit of a repository. */
  static async ofWorkingTree(root: string, env: Record<string, string>): Promise<ReleaseClone> {
    for (const path of await workingTree()) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await cp(join(REPOSITORY, path), join(root, path));
    }
    const clone = await new ReleaseClone(root, { ...env, ...IDENTITY }).#withPackages();
    await clone.ok('git', 'init', '-q', '-b', 'main');
    await clone.commit('The tree');
    return clone;
  }

  /** Another clone of the same commit. */
  async again(root: string): Promise<ReleaseClone> {
    await this.ok('git', 'clone', '-q', this.root, root);
    return new ReleaseClone(root, this.env).#withPackages();
  }

  /** As `npm ci` leaves them; links of our own packages are relative, so that they lead into the clone. */
  async #withPackages(): Promise<this> {
    const from = join(REPOSITORY, 'node_modules');
    const { code } = await run('cp', ['-al', from, this.root]); // hard links, where they can be
    if (code !== 0) expectCode(await run('cp', ['-a', from, this.root]));
    return this;
  }

  run(file: string, args: string[], env: Record<string, string> = {}): Promise<Result> {
    return run(file, args, { cwd: this.root, env: { ...this.env, ...env } });
  }

  async ok(file: string, ...args: string[]): Promise<string> {
    return expectCode(await this.run(file, args)).stdout;
  }

  async commit(message: string): Promise<void> {
    await this.ok('git', 'add', '-A');
    await this.ok('git', 'commit', '-q', '-m', message);
  }

  /** SHA-256 of every file below a folder, by its name there. */
  async sums(folder: string): Promise<Record<string, string>> {
    const sums: Record<string, string> = {};
    for await (const entry of glob('**', { cwd: join(this.root, folder), withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const sum = createHash('sha256').update(await readFile(path));
      sums[path.slice(join(this.root, folder).length + 1)] = sum.digest('hex');
    }
    return sums;
  }
}
