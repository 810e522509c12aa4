import { Args, Flags } from '@oclif/core';
import { ChangeCommand } from '../cli/change-command.ts';
import { count } from '../model/plan.ts';
import { observe } from '../run/observe.ts';
import { type PinnedGuide, pinnedGuide } from '../upgrade/pinned.ts';
import { type PreparedUpdate, prepareUpdate, serviceNamed } from '../upgrade/update.ts';

/** Either what was fetched, or how a pinned service is changed by hand. */
type UpdateResult = Omit<PreparedUpdate, 'plan'> | { pinned: PinnedGuide };

export default class Update extends ChangeCommand {
  static override summary = 'Fetch the next release and its images, and change nothing that runs';
  static override description =
    'Afterwards an upgrade has nothing to pull. For a pinned service (postgres, garage) it says how its version is changed by hand.';
  static override examples = [
    '<%= config.bin %> update',
    '<%= config.bin %> update api',
    '<%= config.bin %> update --from ./kg-1.2.0.tar',
    '<%= config.bin %> update postgres',
  ];
  static override args = {
    service: Args.string({ description: 'only the images of this service', name: 'SERVICE' }),
  };
  static override flags = {
    to: Flags.string({ description: 'this version', helpValue: 'VERSION', exclusive: ['channel'] }),
    channel: Flags.string({ description: 'the newest version of this channel (stable)', helpValue: 'NAME' }),
    from: Flags.string({
      description: 'where releases come from: https://…, a folder, or a bundle',
      helpValue: 'SOURCE',
    }),
  };
  protected override interruptRemark = '\nStopping; what was pulled is kept.';

  async run(): Promise<UpdateResult> {
    const { args, flags } = await this.parse(Update);
    this.requireContainers();
    const observed = await observe(this.context);
    const service = args.service === undefined ? null : serviceNamed(observed, args.service);
    if (service?.update === 'pinned') return this.#guide(await pinnedGuide(this.context, service));
    this.requireReleases();
    const { plan, ...fetched } = await prepareUpdate(this.context, observed, flags, service?.name ?? null);
    const { installed, target, path, images } = fetched;
    if (path.length === 0) {
      this.answer(`${installed} is installed already: there is nothing to fetch.`);
      return fetched;
    }
    if (images.length === 0) {
      this.answer(`${target} brings no image for ${service?.name}.`);
      return fetched;
    }
    await this.runPlan(plan);
    const pulled = new Set(images.filter(({ here }) => !here).map(({ image }) => image)).size;
    this.answer(
      `${target} is here${pulled === 0 ? ' already' : `: ${count(pulled, 'image')} fetched`}; nothing that runs was changed.`,
    );
    this.say(`The way from ${installed}: ${path.join(', ')}`);
    const to = flags.to === undefined ? '' : ` --to ${flags.to}`;
    const channel = flags.channel === undefined ? '' : ` --channel ${flags.channel}`;
    this.say(`Next: ./operator.sh upgrade${to}${channel}`);
    return fetched;
  }

  #guide(pinned: PinnedGuide): UpdateResult {
    const { service, image, files, volumes, steps, warnings } = pinned;
    this.answer(`${service} is pinned: no upgrade changes its version.`);
    if (image) this.answer(`It runs ${image}.`);
    this.answer(`Its data: ${volumes.join(', ') || 'no volume yet'}. Compose files: ${files.join(', ')}.\n`);
    this.answer('To change its version:');
    for (const [index, { text, command }] of steps.entries()) {
      this.answer(`  ${index + 1}. ${text}`);
      if (command) this.answer(`       ${command}`);
    }
    for (const warning of warnings) this.warning(warning);
    return { pinned };
  }
}
