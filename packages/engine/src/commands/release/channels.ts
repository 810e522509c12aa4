import { join, resolve } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import { pairOf, timeOf, writeOutput } from '../../cli/release-flags.ts';
import { buildChannels } from '../../release/build.ts';
import { type Channels, parseChannels } from '../../release/channels.ts';
import { CHANNELS } from '../../release/document.ts';
import { readPublished } from '../../release/published.ts';

const DAY_MS = 86_400_000;

export default class ReleaseChannels extends OperatorCommand {
  static override summary =
    'Write the next channels.json of a folder of releases, for a pipeline that publishes';
  static override description =
    'It lists every VERSION/release.json of the folder. What the channels.json that is there says of channels and withdrawn versions stays, unless it is named here; its counter is raised by one.';
  static override examples = [
    '<%= config.bin %> release channels out --set stable=1.2.0 --issued-at 2026-11-23T12:00:00Z',
    '<%= config.bin %> release channels out --yank "1.1.0=loses documents" --replace 1.1.0=1.1.1 --issued-at 2026-11-23T12:00:00Z',
  ];
  static override args = {
    folder: Args.string({ description: 'the folder that is published', required: true }),
  };
  static override flags = {
    set: Flags.string({
      description: 'the newest version of a channel; repeatable',
      helpValue: 'CHANNEL=VERSION',
      multiple: true,
      multipleNonGreedy: true,
    }),
    yank: Flags.string({
      description: 'withdraw a version; repeatable',
      helpValue: 'VERSION=REASON',
      multiple: true,
      multipleNonGreedy: true,
    }),
    replace: Flags.string({
      description: 'what is walked in the place of a withdrawn required stop; repeatable',
      helpValue: 'VERSION=VERSION',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'issued-at': Flags.string({ description: 'or SOURCE_DATE_EPOCH in the environment', helpValue: 'TIME' }),
    days: Flags.integer({ description: 'how long upgrades may rely on it', default: 90, min: 1, max: 3650 }),
  };

  async run(): Promise<{ file: string; channels: Channels }> {
    const { args, flags } = await this.parse(ReleaseChannels);
    const folder = resolve(args.folder);
    const issuedAt = timeOf('--issued-at', flags['issued-at']);
    const { channels: previous, releases } = await readPublished(folder);
    const replacedBy = new Map((flags.replace ?? []).map((text) => pairOf('--replace', text)));
    const yanked = (flags.yank ?? []).map((text) => {
      const [version, reason] = pairOf('--yank', text);
      return { version, reason, replacedBy: replacedBy.get(version) ?? null };
    });
    // A version that was withdrawn before can get its replacement later.
    const later = (previous?.yanked ?? [])
      .filter(({ version }) => replacedBy.has(version) && !yanked.some((one) => one.version === version))
      .map((gone) => ({ ...gone, replacedBy: replacedBy.get(gone.version) ?? null }));
    const bytes = buildChannels({
      previous,
      releases,
      channels: Object.fromEntries((flags.set ?? []).map((text) => pairOf('--set', text))),
      yanked: [...yanked, ...later],
      issuedAt,
      expiresAt: `${new Date(Date.parse(issuedAt) + flags.days * DAY_MS).toISOString().slice(0, 19)}Z`,
    });
    const file = join(folder, CHANNELS);
    await writeOutput(file, bytes);
    const channels = parseChannels(bytes);
    this.answer(`${file}: number ${channels.counter}, good until ${channels.expiresAt}`);
    return { file, channels };
  }
}
