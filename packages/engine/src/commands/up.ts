import { readConfigState } from '@kg-operator/config';
import { Flags } from '@oclif/core';
import { syncDue } from '../backup/scheduler.ts';
import { readBackupSettings } from '../backup/settings.ts';
import { applySetup } from '../cli/apply-setup.ts';
import { OperatorCommand } from '../cli/base-command.ts';
import { configFileFlag, importAtStart, readConfigurationFile } from '../cli/import-file.ts';
import { assertStarted } from '../cli/lifecycle.ts';
import { restoreOnNewHost } from '../cli/restore-new-host.ts';
import { collectSetup, type SetupFlagValues, setupFlags } from '../cli/setup.ts';
import { printsOnTerminal, showClaim } from '../cli/show-claim.ts';
import { showPlan } from '../cli/show-plan.ts';
import { commandActor } from '../config/actor.ts';
import { issueClaim } from '../config/claim.ts';
import type { Observation } from '../model/observation.ts';
import type { Plan } from '../model/plan.ts';
import { infrastructureSecret } from '../model/settings.ts';
import { planStart } from '../plan/start.ts';
import { observe } from '../run/observe.ts';
import { presentHooks } from '../upgrade/hooks.ts';

interface UpResult {
  url: string;
  apiUrl: string;
  /** The first admin; null: nobody has claimed the platform yet. */
  username: string | null;
  /** Whether anything was started, replaced, migrated or configured. */
  changed: boolean;
  /** Names of what it wrote. */
  configured: string[];
  /** The id of the backup that it was restored from. */
  restored: string | null;
}

export default class Up extends OperatorCommand {
  static override summary =
    'Everything from nothing: infrastructure, schema, configuration (guided, or by flags and variables), application';
  static override description =
    'Without an admin password, up on a terminal ends with a one-time token: with it the first admin is made in the web app.';
  static override examples = [
    '<%= config.bin %> up',
    '<%= config.bin %> up --yes --claim --ai-provider local --embedding local',
    'KG_ADMIN_PASSWORD=… KG_AI_API_KEY=… <%= config.bin %> up --yes --ai-provider openai --embedding local',
    'KG_ADMIN_PASSWORD=… KG_OPENAI_API_KEY=… <%= config.bin %> up --yes --config kg.yaml',
    '<%= config.bin %> up --yes --restore ./kg-20261123T031500Z-a1b2c3.tar.age --kit-file kit.txt',
  ];
  static override flags = {
    ...setupFlags,
    ...configFileFlag,
    claim: Flags.boolean({
      description: 'without an admin password: start all the same, and make the first admin in the web app',
    }),
    restore: Flags.string({
      description: 'on a new host: everything from this backup instead of configuration',
      helpValue: 'FILE',
      exclusive: ['config'],
    }),
    'kit-file': Flags.string({
      description: 'file with the recovery key that opens it (or KG_RECOVERY_KEY)',
      helpValue: 'FILE',
      dependsOn: ['restore'],
    }),
    'passphrase-file': Flags.string({
      description: 'file with the passphrase that opens it (or KG_BACKUP_PASSPHRASE)',
      helpValue: 'FILE',
      dependsOn: ['restore'],
    }),
  };

  async run(): Promise<UpResult> {
    const { flags } = await this.parse(Up);
    this.requireContainers();
    await this.requireNoUnfinishedChange();
    if (flags.restore === undefined) {
      const { configured, changed } = await this.#configure(flags);
      return { ...(await this.#ended(null)), configured, changed };
    }
    const host = {
      context: this.context,
      runPlan: (plan: Plan) => this.runPlan(plan),
      say: (text: string) => this.say(text),
    };
    const ended = await this.#ended(await restoreOnNewHost(host, flags.restore, flags));
    return { ...ended, configured: [], changed: true };
  }

  async #configure(
    flags: SetupFlagValues & { config: string | undefined; claim: boolean },
  ): Promise<Pick<UpResult, 'configured' | 'changed'>> {
    const setup = await collectSetup(flags);
    const file = flags.config === undefined ? null : await readConfigurationFile(flags.config);

    const hooks = await presentHooks(this.context.settings.root);
    const infrastructure = {
      infrastructure: true,
      application: false,
      hooks: hooks.filter((hook) => hook !== 'post-start'),
    };
    const before = await observe(this.context);
    const first = planStart(before, infrastructure);
    this.say(showPlan(first));
    await this.runPlan(first);

    const db = this.context.configDatabase();
    const encryptionKey = infrastructureSecret(this.context.settings, 'ENCRYPTION_KEY');
    let imported = 0;
    if (file)
      imported = await importAtStart(this.context, db, file, encryptionKey, {
        say: (line) => this.say(line),
        warning: (line) => this.warning(line),
      });
    const configured = await applySetup(db, await readConfigState(db), setup, {
      interactive: this.interactive,
      claim: flags.claim,
      encryptionKey,
      host: 'host.docker.internal',
      actor: commandActor(),
      say: (line) => this.say(line),
      fetch: this.context.fetch,
    });

    const application = {
      infrastructure: false,
      application: true,
      hooks: hooks.filter((hook) => hook === 'post-start'),
    };
    await this.runPlan(planStart(await observe(this.context), application));
    const after = await observe(this.context);
    assertStarted(after, { infrastructure: true, application: true });
    const changed = configured.length + imported > 0 || whatRuns(before) !== whatRuns(after);
    return { configured, changed };
  }

  async #ended(restored: string | null): Promise<Omit<UpResult, 'configured' | 'changed'>> {
    const db = this.context.configDatabase();
    await syncDue(this.context);
    const { web, api } = this.context.settings.publicUrl;
    const [admin] = await db
      .selectFrom('kg_api.users')
      .select('username')
      .where('role', '=', 'admin')
      .where('disabled_at', 'is', null)
      .orderBy('id')
      .limit(1)
      .execute();
    const username = admin?.username ?? null;
    const password = restored === null ? 'the password you chose' : 'the password of that time';
    const lines = [
      `Web app  ${web}`,
      `API      ${api}`,
      ...(username ? [`Log in   ${username}, with ${password}`] : []),
    ];
    this.answer(
      `\nThe platform is running${restored === null ? '' : `, restored from ${restored}`}.\n\n  ${lines.join('\n  ')}\n`,
    );
    if (username === null) await this.#tellClaim();
    const { kit } = await readBackupSettings(db);
    this.say(
      kit
        ? 'Next: ./operator.sh backup · ./operator.sh status · ./operator.sh logs -f api · ./operator.sh stop'
        : 'Next: ./operator.sh backup (makes your recovery kit, too) · ./operator.sh status · ./operator.sh logs -f api · ./operator.sh stop',
    );
    return { url: web, apiUrl: api, username, restored };
  }
  /** The last thing: half an hour runs from here. The token itself goes to a person's terminal only. */
  async #tellClaim(): Promise<void> {
    if (!this.interactive || !printsOnTerminal(this.jsonEnabled())) {
      this.say('Nobody is admin yet. On a terminal of this host: ./operator.sh config claim\n');
      return;
    }
    const claim = await issueClaim(this.context.configDatabase(), { actor: commandActor() });
    this.answer(`${showClaim(claim, this.context.settings.publicUrl.web)}\n`);
  }
}

/** To compare two observations: which containers there are, which of them run, and the schema. */
function whatRuns({ services, database }: Observation): string {
  const containers = services
    .filter(({ oneShot }) => !oneShot)
    .flatMap((service) => service.containers.map(({ id, state }) => `${id} ${state}`));
  return JSON.stringify([containers.sort(), database.reachable ? database.schema.head : null]);
}
