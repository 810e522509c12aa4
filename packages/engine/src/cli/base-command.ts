import { Command, Flags, type Interfaces } from '@oclif/core';
import { needsContainers } from '../adapters/host-process.ts';
import type { OperatorError } from '../model/errors.ts';
import type { Plan } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import { type Render, runPlan } from '../run/run-plan.ts';
import { interrupted } from '../run/wait.ts';
import { createContext } from './context.ts';
import { errorDocument, toOperatorError } from './errors.ts';
import { nameProgram, nameProgramIn } from './program.ts';
import { withRotationHint } from './rotation-hint.ts';
import { paint } from './style.ts';

interface GlobalFlags {
  yes: boolean;
  'no-input': boolean;
  quiet: boolean;
  verbose: boolean;
  debug: boolean;
}

/**
 * What every command shares. A command implements `run()`, whose value is the `data` of the `--json` document, and prints its answer
 * for a person with `answer()` (stdout) and `say()` (stderr).
 */
export abstract class OperatorCommand extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = {
    yes: Flags.boolean({
      char: 'y',
      description: 'answer yes to questions of moderate danger',
      helpGroup: 'GLOBAL',
    }),
    'no-input': Flags.boolean({ description: 'never prompt', helpGroup: 'GLOBAL' }),
    quiet: Flags.boolean({ char: 'q', description: 'no progress', helpGroup: 'GLOBAL' }),
    verbose: Flags.boolean({ char: 'v', description: 'more progress', helpGroup: 'GLOBAL' }),
    debug: Flags.boolean({ description: 'stack traces', helpGroup: 'GLOBAL', hidden: true }),
  };

  protected globals: GlobalFlags = {
    yes: false,
    'no-input': false,
    quiet: false,
    verbose: false,
    debug: false,
  };
  readonly #abort = new AbortController();
  readonly #warnings: string[] = [];
  #context: RunContext | undefined;

  protected override async init(): Promise<void> {
    await super.init();
    // `on`, not `once`: signal-exit (under listr2) ends the process when it finds no listener but its own.
    process.on('SIGINT', () => this.#interrupt(130));
    process.on('SIGTERM', () => this.#interrupt(143));
  }

  protected override async parse<
    F extends Record<string, unknown>,
    B extends Record<string, unknown>,
    A extends Record<string, unknown>,
  >(options?: Interfaces.Input<F, B, A>, argv?: string[]): Promise<Interfaces.ParserOutput<F, B, A>> {
    const parsed = await super.parse(options, argv);
    this.globals = { ...this.globals, ...(parsed.flags as Partial<GlobalFlags>) };
    return parsed;
  }

  /** The environment that settings are read from; a command's flags may say otherwise before the context is first used. */
  protected environment: NodeJS.ProcessEnv = process.env;

  /** @throws OperatorError NEEDS_CONTAINERS where the platform is one process, and this is about several. */
  protected requireContainers(): void {
    if (this.context.settings.mode !== 'containers') throw needsContainers(this.commandName());
  }

  /** Real adapters, made when a command first needs them. */
  protected get context(): RunContext {
    this.#context ??= createContext(this.config.version, this.#abort.signal, {
      command: `kg-operator ${this.commandName()}`,
      env: this.environment,
    });
    return this.#context;
  }

  /** Prompts are allowed: a person is at a terminal and has not said otherwise. */
  protected get interactive(): boolean {
    return (
      Boolean(process.stdin.isTTY && process.stderr.isTTY) &&
      !this.globals['no-input'] &&
      !this.globals.yes &&
      !this.jsonEnabled()
    );
  }

  /** For what must not be changed while an upgrade or rollback is half done. @throws OperatorError LOCKED, OPERATION_UNFINISHED */
  protected async requireNoUnfinishedChange(): Promise<void> {
    const { requireNoUnfinishedChange } = await import('../run/unfinished-change.ts');
    await requireNoUnfinishedChange(this.context);
  }

  /** Runs a plan with its steps shown on stderr. `beside`: also where an upgrade or rollback is half done. */
  protected async runPlan(plan: Plan, { beside = false } = {}): Promise<void> {
    if (!beside) await this.requireNoUnfinishedChange();
    await runPlan(plan, this.context, `${this.config.bin} ${this.commandName()}`, await this.renderer());
  }

  /** How steps are shown here. */
  protected async renderer(): Promise<Render> {
    const { chooseRenderer, renderWith } = await import('./render.ts');
    const renderer = chooseRenderer({
      json: this.jsonEnabled(),
      quiet: this.globals.quiet,
      isTTY: Boolean(process.stderr.isTTY),
      CI: process.env.CI,
      TERM: process.env.TERM,
    });
    return renderWith(renderer);
  }

  /** The answer for a person, on stdout; nothing under `--json`. */
  protected answer(text: string): void {
    this.log(nameProgram(text));
  }

  /** A remark on stderr; nothing under `--json` or `--quiet`. */
  protected say(text: string): void {
    if (!this.jsonEnabled() && !this.globals.quiet) process.stderr.write(`${nameProgram(text)}\n`);
  }

  /** A warning: on stderr, and in the `--json` document. */
  protected warning(text: string): void {
    this.#warnings.push(text);
    if (!this.jsonEnabled()) process.stderr.write(`${paint('yellow', 'Warning:')} ${nameProgram(text)}\n`);
  }

  protected override toSuccessJson(data: unknown): unknown {
    return nameProgramIn({
      schemaVersion: 1,
      ok: true,
      command: this.commandName(),
      data,
      warnings: this.#warnings,
    });
  }

  protected override toErrorJson(error: unknown): unknown {
    return nameProgramIn({
      schemaVersion: 1,
      ok: false,
      command: this.commandName(),
      error: errorDocument(toOperatorError(error)),
      warnings: this.#warnings,
    });
  }

  protected override async catch(thrown: Error): Promise<void> {
    const error = withRotationHint(toOperatorError(thrown), this.#context?.settings);
    if (this.jsonEnabled()) this.logJson(this.toErrorJson(error));
    else this.#explain(error, thrown);
    process.exitCode ??= error.exitCode;
  }

  protected override async finally(error: Error | undefined): Promise<void> {
    await this.#context?.close();
    await super.finally(error);
  }

  protected commandName(): string {
    return (this.id ?? '').replaceAll(':', ' ');
  }

  #explain(error: OperatorError, thrown: Error): void {
    const lines = [
      `${paint('red', 'Error:')} ${error.message}`,
      ...error.details.map((detail) => `  ${detail}`),
    ];
    if (error.hint) lines.push(`${paint('cyan', 'Next:')} ${error.hint}`);
    if (this.globals.debug)
      lines.push(
        String(thrown.stack),
        ...(thrown.cause instanceof Error ? [`caused by ${thrown.cause.stack}`] : []),
      );
    process.stderr.write(`${nameProgram(lines.join('\n'))}\n`);
  }

  /** What Ctrl-C and SIGTERM are told. */
  protected interruptRemark = '\nStopping after the current step; once more to stop at once.';

  #interrupt(code: number): void {
    if (this.#abort.signal.aborted) process.exit(code);
    process.exitCode = code;
    this.say(this.interruptRemark);
    // The reason is what waits and streams throw, so that it is not taken for a failure of theirs.
    this.#abort.abort(interrupted());
  }
}
