import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { basename } from 'node:path';
import { readConfigState, Secret, type Tables } from '@kg-operator/config';
import { Flags } from '@oclif/core';
import type { Kysely } from 'kysely';
import { applySetup, lacksAdmin } from '../cli/apply-setup.ts';
import { OperatorCommand } from '../cli/base-command.ts';
import { configFileFlag, importAtStart, readConfigurationFile } from '../cli/import-file.ts';
import { askText } from '../cli/prompts.ts';
import { collectSetup, setupFlags } from '../cli/setup.ts';
import { commandActor } from '../config/actor.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { ensureObjectStore, type RunningPlatform, startPlatform } from '../run/dev.ts';
import { holdsData, resetData } from '../run/reset.ts';

export default class Dev extends OperatorCommand {
  static override summary = 'Run the whole platform in this process, without Docker, until Ctrl-C';
  static override description =
    'Database (embedded, or yours by DATABASE_URL), documents, API and web app on one port of this machine. A first start configures what is missing: an admin user, extraction by rules.';
  static override examples = [
    '<%= config.bin %> dev --demo',
    'KG_ADMIN_PASSWORD=… <%= config.bin %> dev --port 8080 --data /srv/kg',
  ];
  static override enableJsonFlag = false;
  static override flags = {
    port: Flags.integer({
      description: 'port of the web app and the API',
      default: 3000,
      min: 0,
      max: 65535,
      env: 'KG_PORT',
    }),
    data: Flags.string({
      description: 'where everything is kept (KG_DATA); .kg by default',
      helpValue: 'DIR',
    }),
    'expose-postgres': Flags.integer({
      description: 'port for psql, on 127.0.0.1; otherwise any free one',
      min: 1,
      max: 65535,
      helpValue: 'PORT',
    }),
    demo: Flags.boolean({ description: 'load a small text, so that there is a graph to see' }),
    reset: Flags.boolean({ description: 'destroy the data first' }),
    confirm: Flags.string({
      description: "the data directory's name, to confirm --reset",
      helpValue: 'NAME',
      dependsOn: ['reset'],
    }),
    ...setupFlags,
    ...configFileFlag,
  };
  protected override interruptRemark = '\nStopping; once more to stop at once.';

  async run(): Promise<void> {
    const started = performance.now();
    const { flags } = await this.parse(Dev);
    if (flags.data !== undefined) this.environment = { ...process.env, KG_DATA: flags.data };
    const { settings, signal } = this.context;
    if (settings.mode === 'containers') {
      throw new OperatorError('ON_THE_HOST', 'dev is the platform without containers; here they are', {
        exitCode: EXIT.precondition,
        hint: './operator.sh up, or on a host without Docker: npx kg-operator dev',
      });
    }
    const setup = await collectSetup(flags);
    const file = flags.config === undefined ? null : await readConfigurationFile(flags.config);
    if (file && settings.mode !== 'embedded') throw importFirst(file.name);
    if (flags.reset) await this.#reset(settings.dataDirectory, flags.confirm);

    let generated: Secret | null = null;
    const configure = async (db: Kysely<Tables>, encryptionKey: Secret) => {
      if (file)
        await importAtStart(this.context, db, file, encryptionKey, {
          say: (line) => this.say(line),
          warning: (line) => this.warning(line),
        });
      await ensureObjectStore(db);
      const state = await readConfigState(db);
      if (!setup.password && lacksAdmin(state)) generated = new Secret(randomBytes(15).toString('base64url'));
      const choices = {
        ...setup,
        password: setup.password ?? (generated && { secret: generated, source: null }),
        aiProvider: setup.aiProvider ?? 'local',
        embedding: setup.embedding ?? 'local',
      };
      await applySetup(db, state, choices, {
        interactive: false,
        claim: false,
        encryptionKey,
        host: 'localhost',
        actor: commandActor(),
        say: () => undefined,
        fetch,
      });
    };
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => undefined);
    const platform = await startPlatform({
      settings,
      engineVersion: this.config.version,
      port: flags.port,
      postgresPort: flags['expose-postgres'] ?? 0,
      demo: flags.demo,
      configure,
      report: (line) => this.say(line),
      log: (line) => {
        if (this.globals.verbose || !/"level":"info"/.test(line)) process.stderr.write(line);
      },
      onFailure: (error) =>
        broken.reject(
          new OperatorError('DATABASE_ENDED', `the embedded database ended: ${messageOf(error)}`, {
            exitCode: EXIT.unhealthy,
            hint: 'run it again: what was confirmed is on the disk',
            cause: error,
          }),
        ),
    });
    try {
      await this.#introduce(platform, generated, performance.now() - started);
      if (!signal.aborted) await Promise.race([once(signal, 'abort'), broken.promise]);
    } finally {
      await platform.close();
    }
    // Ctrl-C is how it is meant to end.
    process.exitCode = EXIT.ok;
    this.say('Stopped. The data stays.');
  }

  async #introduce(
    { url, postgres, db }: RunningPlatform,
    password: Secret | null,
    ms: number,
  ): Promise<void> {
    const { mode, dataDirectory } = this.context.settings;
    const { items } = await readConfigState(db);
    const summary = (name: string) => items.find(({ item }) => item === name)?.summary ?? '';
    const login = password
      ? `${summary('admin user')} / ${password.reveal()}   (shown this once; another: kg-operator config admin)`
      : `${summary('admin user')}, with its password (another: kg-operator config admin)`;
    const database =
      mode === 'embedded'
        ? `embedded PostgreSQL, on 127.0.0.1:${postgres.port} while this runs: kg-operator psql`
        : `PostgreSQL at ${postgres.host}:${postgres.port}`;
    this.answer(
      [
        '',
        `The platform is running (${(ms / 1000).toFixed(1)} s).`,
        '',
        `  Web app     ${url}`,
        `  API         ${url}/api`,
        `  Log in      ${login}`,
        `  Extraction  ${summary('AI provider')}`,
        `  Documents   ${summary('object storage')}`,
        `  Database    ${database}`,
        `  Data        ${dataDirectory}`,
        '',
        'Ctrl-C stops it; the data stays.',
      ].join('\n'),
    );
  }

  /** Data loss wants the name typed, or given; --yes does not do. */
  async #reset(dataDirectory: string, confirm: string | undefined): Promise<void> {
    if (!holdsData(dataDirectory)) return;
    const name = basename(dataDirectory);
    const typed =
      confirm ??
      (this.interactive
        ? await askText(`This destroys all data in ${dataDirectory}. Type ${name} to go on:`, '')
        : undefined);
    if (typed !== name) {
      throw new OperatorError(
        'NOT_CONFIRMED',
        `--reset destroys all data in ${dataDirectory}, and was not confirmed`,
        {
          exitCode: EXIT.usage,
          hint: `type the name on a terminal, or give --confirm ${name}`,
        },
      );
    }
    await resetData(dataDirectory);
    this.say(`Destroyed the data in ${dataDirectory}`);
  }
}

/** A database that others may use is configured by its own command, as it is migrated. */
function importFirst(name: string): OperatorError {
  return new OperatorError('NOT_EMBEDDED', '--config is for the embedded database', {
    exitCode: EXIT.usage,
    hint: `kg-operator config import ${name}, then kg-operator dev`,
  });
}
