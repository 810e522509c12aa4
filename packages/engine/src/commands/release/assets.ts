import { join, resolve } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import { writeOutput } from '../../cli/release-flags.ts';
import { archiveName, buildAssets, STANDALONE_FILES, SUMS } from '../../release/assets.ts';
import { releaseName } from '../../release/document.ts';
import { readTrustedKeys } from '../../release/keys.ts';
import { parseRelease } from '../../release/manifest.ts';
import { readInput } from '../../release/published.ts';

export default class ReleaseAssets extends OperatorCommand {
  static override summary =
    'Write what install.sh downloads, and install.sh itself, for a pipeline that publishes';
  static override description =
    'Beside the release.json of the version: kg-VERSION.tar.gz, install.sh, and SHA256SUMS of the three, to be signed by release sign; install.sh at the top of the folder as well. It gets the public keys that this engine trusts (or KG_RELEASE_KEYS). The same input gives the same bytes. docs/adr/0006-releases.md';
  static override examples = [
    '<%= config.bin %> release assets out 1.2.0 --url https://releases.example.org',
  ];
  static override args = {
    folder: Args.string({ description: 'the folder that is published', required: true }),
    version: Args.string({
      description: 'such as 1.2.0; release build made its release.json',
      required: true,
    }),
  };
  static override flags = {
    root: Flags.string({ description: 'the repository', helpValue: 'DIR', default: '.' }),
    url: Flags.string({ description: 'where the folder is published', helpValue: 'URL' }),
  };

  async run(): Promise<{ version: string; files: string[] }> {
    const { args, flags } = await this.parse(ReleaseAssets);
    const folder = resolve(args.folder);
    const root = resolve(flags.root);
    const release = await readInput(join(folder, releaseName(args.version)));
    const files: Record<string, Buffer> = {};
    for (const [from, to] of STANDALONE_FILES) files[to] = await readInput(join(root, from));
    const { archive, installer, sums } = await buildAssets({
      manifest: parseRelease(release, releaseName(args.version)),
      release,
      files,
      installer: await readInput(join(root, 'install.sh')),
      url: flags.url ?? null,
      keys: readTrustedKeys(),
    });
    const written: [string, Buffer][] = [
      [join(args.version, archiveName(args.version)), archive],
      [join(args.version, 'install.sh'), installer],
      ['install.sh', installer],
      [join(args.version, SUMS), sums],
    ];
    for (const [name, bytes] of written) await writeOutput(join(folder, name), bytes);
    this.answer(sums.toString().trimEnd());
    return { version: args.version, files: written.map(([name]) => join(folder, name)) };
  }
}
