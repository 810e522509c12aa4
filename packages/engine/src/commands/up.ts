import { readConfigState } from '@kg-operator/config';
import { OperatorCommand } from '../cli/base-command.ts';
import { assertStarted } from '../cli/lifecycle.ts';
import { applySetup, collectSetup, setupFlags } from '../cli/setup.ts';
import { showPlan } from '../cli/show-plan.ts';
import { infrastructureSecret } from '../model/settings.ts';
import { planStart } from '../plan/start.ts';
import { observe } from '../run/observe.ts';

export default class Up extends OperatorCommand {
  static override summary =
    'Everything from nothing: infrastructure, schema, configuration (guided, or by flags and variables), application';
  static override examples = [
    '<%= config.bin %> up',
    'KG_ADMIN_PASSWORD=… KG_AI_API_KEY=… <%= config.bin %> up --yes --ai-provider openai --embedding local',
  ];
  static override flags = setupFlags;

  async run(): Promise<{ url: string; apiUrl: string; username: string; configured: string[] }> {
    const { flags } = await this.parse(Up);
    this.requireContainers();
    const setup = await collectSetup(flags);

    const infrastructure = { infrastructure: true, application: false };
    const first = planStart(await observe(this.context), infrastructure);
    this.say(showPlan(first));
    await this.runPlan(first);

    const db = this.context.configDatabase();
    const configured = await applySetup(db, await readConfigState(db), setup, {
      interactive: this.interactive,
      encryptionKey: infrastructureSecret(this.context.settings, 'ENCRYPTION_KEY'),
      say: (line) => this.say(line),
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
    this.say('Next: ./operator.sh status · ./operator.sh logs -f api · ./operator.sh stop');
    return { url: web, apiUrl: api, username, configured };
  }
}
