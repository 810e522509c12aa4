import { readConfigState } from '@kg-operator/config';
import { applySetup } from '../cli/apply-setup.ts';
import { OperatorCommand } from '../cli/base-command.ts';
import { configFileFlag, importAtStart, readConfigurationFile } from '../cli/import-file.ts';
import { assertStarted } from '../cli/lifecycle.ts';
import { collectSetup, setupFlags } from '../cli/setup.ts';
import { showPlan } from '../cli/show-plan.ts';
import { commandActor } from '../config/actor.ts';
import { infrastructureSecret } from '../model/settings.ts';
import { planStart } from '../plan/start.ts';
import { observe } from '../run/observe.ts';

export default class Up extends OperatorCommand {
  static override summary =
    'Everything from nothing: infrastructure, schema, configuration (guided, or by flags and variables), application';
  static override examples = [
    '<%= config.bin %> up',
    'KG_ADMIN_PASSWORD=… KG_AI_API_KEY=… <%= config.bin %> up --yes --ai-provider openai --embedding local',
    'KG_ADMIN_PASSWORD=… KG_OPENAI_API_KEY=… <%= config.bin %> up --yes --config kg.yaml',
  ];
  static override flags = { ...setupFlags, ...configFileFlag };

  async run(): Promise<{ url: string; apiUrl: string; username: string; configured: string[] }> {
    const { flags } = await this.parse(Up);
    this.requireContainers();
    const setup = await collectSetup(flags);
    const file = flags.config === undefined ? null : await readConfigurationFile(flags.config);

    const infrastructure = { infrastructure: true, application: false };
    const first = planStart(await observe(this.context), infrastructure);
    this.say(showPlan(first));
    await this.runPlan(first);

    const db = this.context.configDatabase();
    const encryptionKey = infrastructureSecret(this.context.settings, 'ENCRYPTION_KEY');
    if (file)
      await importAtStart(this.context, db, file, encryptionKey, {
        say: (line) => this.say(line),
        warning: (line) => this.warning(line),
      });
    const configured = await applySetup(db, await readConfigState(db), setup, {
      interactive: this.interactive,
      encryptionKey,
      host: 'host.docker.internal',
      actor: commandActor(),
      say: (line) => this.say(line),
      fetch: this.context.fetch,
    });

    const application = { infrastructure: false, application: true };
    await this.runPlan(planStart(await observe(this.context), application));
    assertStarted(await observe(this.context), { infrastructure: true, application: true });

    const { web, api } = this.context.settings.publicUrl;
    const [admin] = await db
      .selectFrom('kg_api.users')
      .select('username')
      .where('role', '=', 'admin')
      .orderBy('id')
      .limit(1)
      .execute();
    const username = admin?.username ?? '';
    this.answer(
      `\nThe platform is running.\n\n  Web app  ${web}\n  API      ${api}\n  Log in   ${username}, with the password you chose\n`,
    );
    this.say(
      'Next: ./operator.sh backup (makes your recovery kit and a first verified backup) · status · logs -f api · stop',
    );
    return { url: web, apiUrl: api, username, configured };
  }
}
