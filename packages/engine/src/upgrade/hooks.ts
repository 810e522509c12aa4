import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { nearest } from '@kg-operator/config';
import { runsOf, unfinishedChange } from '../history/runs.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { HOOKS, type Hook, type StepOf } from '../model/plan.ts';
import type { Settings } from '../model/settings.ts';
import type { RunContext } from '../run/context.ts';
import type { Report } from '../run/execute.ts';
import { interrupted } from '../run/wait.ts';

const TIMEOUT_MS = 600_000;
/** Between SIGTERM and SIGKILL; and for what a hook that has ended left in the background to give back its output. */
const GRACE_MS = 3000;
const KEPT_LINES = 12;
const LINE_LIMIT = 500;

/** The hooks that there are: executable files in `hooks/` of the installation, under a hook's name. In the order of HOOKS. */
export async function presentHooks(root: string): Promise<Hook[]> {
  const { hooks } = await lookAtHooks(root);
  return hooks;
}

/** Of an installation in containers; elsewhere there are none: `hooks/` of whatever folder a command is run in is somebody else's. */
export async function hooksOf({ mode, root }: Pick<Settings, 'mode' | 'root'>): Promise<Hook[]> {
  return mode === 'containers' ? presentHooks(root) : [];
}

/** Why a file in `hooks/` would not run. */
export interface HookProblem {
  file: string;
  problem: string;
  fix: string;
}

/** Hooks, and files that somebody may have meant to be one. */
export async function lookAtHooks(root: string): Promise<{ hooks: Hook[]; problems: HookProblem[] }> {
  const found = new Set<string>();
  const problems: HookProblem[] = [];
  for (const name of await namesIn(join(root, 'hooks'))) {
    const file = `hooks/${name}`;
    const about = await stat(join(root, file)).catch(() => null); // a link to nowhere is no file either
    if (!(HOOKS as readonly string[]).includes(name)) {
      // `pre-backup.sh` was meant to be a hook; `pre-backup.off` and README.md were not.
      const near = nearest(name.replace(/\.sh$/, ''), HOOKS);
      if (name.includes('.') && !(name.endsWith('.sh') && near)) continue;
      if (!near && about?.isDirectory()) continue; // what hooks share
      const fix = near ? `mv ${file} hooks/${near}` : `move it away; hooks are: ${HOOKS.join(', ')}`;
      problems.push({ file, problem: `${file} is no hook, so nothing runs it`, fix });
      continue;
    }
    if (!about?.isFile()) {
      problems.push({
        file,
        problem: `${file} is no file`,
        fix: 'put an executable file there, or remove it',
      });
    } else if ((about.mode & 0o111) === 0) {
      problems.push({
        file,
        problem: `${file} is not executable, so it would not run`,
        fix: `chmod +x ${file}`,
      });
    } else found.add(name);
  }
  return { hooks: HOOKS.filter((hook) => found.has(hook)), problems };
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

/**
 * Runs a hook in the installation's folder, without any secret in its environment. One that is gone since the plan was made is passed over.
 * @throws OperatorError HOOK_FAILED for a `pre-` hook; what a `post-` hook was to follow is done, so its failure is only told. INTERRUPTED
 */
export async function runHook(
  { hook }: StepOf<'run-hook'>,
  context: RunContext,
  report: Report,
  { timeoutMs = TIMEOUT_MS } = {},
): Promise<void> {
  const { root } = context.settings;
  if (!(await presentHooks(root)).includes(hook)) return report(`hooks/${hook} is not there any more`);
  const lines: string[] = [];
  const failure = await runFile(join(root, 'hooks', hook), {
    cwd: root,
    env: await environmentOf(hook, context),
    timeoutMs,
    signal: context.signal,
    onLine(line) {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      report(line);
    },
  });
  if (failure === null) return;
  if (context.signal.aborted) throw interrupted();
  if (hook.startsWith('post-')) return report(`warning: hooks/${hook} ${failure}; what it follows is done`);
  throw new OperatorError('HOOK_FAILED', `hooks/${hook} ${[failure, ...lines.slice(-1)].join(': ')}`, {
    exitCode: EXIT.precondition,
    details: lines.slice(0, -1),
    hint: `a hook that fails stops what it comes before: mend it, or take it away (mv hooks/${hook} hooks/${hook}.off), then run the same command again`,
  });
}

async function environmentOf(hook: Hook, { settings, journal }: RunContext): Promise<Record<string, string>> {
  const change = unfinishedChange(runsOf(await journal.read()))?.change;
  const [from, to] = [change?.from.version, change?.path.at(-1)?.version];
  return {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    KG_ROOT: settings.root,
    KG_HOOK: hook,
    ...(from ? { KG_FROM_VERSION: from } : {}),
    ...(to ? { KG_TO_VERSION: to } : {}),
  };
}

interface FileRun {
  cwd: string;
  env: Record<string, string>;
  timeoutMs: number;
  signal: AbortSignal;
  onLine: (line: string) => void;
}

/** Null when it exits 0, otherwise what happened. Nothing of its process group is left after a timeout or an interrupt. */
async function runFile(
  file: string,
  { cwd, env, timeoutMs, signal, onLine }: FileRun,
): Promise<string | null> {
  const child = spawn(file, [], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) =>
      onLine(stripVTControlCharacters(line).slice(0, LINE_LIMIT)),
    );
  const timeout = AbortSignal.timeout(timeoutMs);
  let ending: Promise<void> | undefined;
  const end = () => {
    ending ??= endGroup(child);
  };
  const stop = AbortSignal.any([timeout, signal]);
  stop.addEventListener('abort', end);
  if (stop.aborted) end();
  try {
    const ended = await outcomeOf(child);
    if (ended === null) return null;
    return timeout.aborted ? `did not end within ${Math.round(timeoutMs / 60_000)} min` : ended;
  } finally {
    stop.removeEventListener('abort', end);
    await ending;
  }
}

function outcomeOf(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`can't be run: ${cannotRun(error)}`));
    child.once('exit', (code, signal) => {
      const outcome = code === 0 ? null : signal ? `was ended by ${signal}` : `failed with exit code ${code}`;
      child.once('close', () => resolve(outcome));
      // What it left in the background may hold its output open.
      setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, GRACE_MS).unref();
    });
  });
}

async function endGroup(child: ChildProcess): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      return; // the whole group has ended
    }
    await sleep(GRACE_MS);
  }
}

function cannotRun(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT')
    return "the program that its first line (#!) names is not in the operator's image";
  if (error.code === 'ENOEXEC') return 'it has no first line such as #!/bin/sh';
  return messageOf(error);
}
