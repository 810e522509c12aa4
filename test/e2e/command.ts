import { spawn } from 'node:child_process';
import { until } from './wait.ts';

export interface Result {
  /** What was run, for messages. */
  command: string;
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  /** Added to what `environment()` gives. */
  env?: Record<string, string>;
  input?: string;
  seconds?: number;
}

const DEFAULT_SECONDS = 600; // a first build on a cold cache takes four minutes

/** This process's environment without what would decide about an installation. */
export function environment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(KG_|COMPOSE_|JEST_|NODE_OPTIONS$|NODE_ENV$|FORCE_COLOR$|NO_COLOR$)/.test(name),
  );
  return { ...Object.fromEntries(inherited), TERM: 'dumb', ...extra };
}

/** A running program whose output is collected. */
export interface Running {
  output: { stdout: string; stderr: string };
  /** To the whole process group, as Ctrl-C on a terminal does. */
  signal(name: NodeJS.Signals): void;
  type(text: string): void;
  done: Promise<Result>;
}

export function begin(
  file: string,
  args: string[],
  options: RunOptions & { keepStdin?: boolean } = {},
): Running {
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: environment(options.env),
    stdio: [options.input !== undefined || options.keepStdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
    });
  }
  child.stdin?.on('error', () => undefined); // a command that ends without reading its input
  if (options.input !== undefined) child.stdin?.end(options.input);
  const signal = (name: NodeJS.Signals) => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, name);
  };
  const command = [file, ...args].join(' ');
  const done = new Promise<Result>((resolve, reject) => {
    const seconds = options.seconds ?? DEFAULT_SECONDS;
    const timer = setTimeout(() => {
      signal('SIGKILL');
      reject(new Error(`${command}: not done after ${seconds} s\n${output.stdout}\n${output.stderr}`));
    }, seconds * 1000);
    child.once('error', reject);
    child.once('close', (code, by) => {
      clearTimeout(timer);
      resolve({ command, code: code ?? (by === 'SIGINT' ? 130 : by === 'SIGTERM' ? 143 : -1), ...output });
    });
  });
  return { output, signal, type: (text) => void child.stdin?.write(text), done };
}

export function run(file: string, args: string[], options: RunOptions = {}): Promise<Result> {
  return begin(file, args, options).done;
}

/** @throws Error with all output when the exit code is not `code` */
export function expectCode(result: Result, code = 0): Result {
  if (result.code === code) return result;
  throw new Error(
    `${result.command}: exit ${result.code} instead of ${code}\n--- stdout\n${result.stdout}\n--- stderr\n${result.stderr}`,
  );
}

/** The standard output of a docker command that must succeed. */
export async function docker(...args: string[]): Promise<string> {
  return expectCode(await run('docker', args, { seconds: 120 })).stdout.trimEnd();
}

/** Lines of the same. */
export async function dockerLines(...args: string[]): Promise<string[]> {
  return (await docker(...args)).split('\n').filter(Boolean);
}

export interface Answer {
  /** What the prompt says; matched in what was printed since the answer before. */
  prompt: RegExp;
  /** What is typed, Enter included where it is wanted; or made of everything that was shown. */
  type: string | ((shown: string) => string);
}

const FIRST_PROMPT_SECONDS = 400; // images may have to be built before it
const NEXT_PROMPT_SECONDS = 90;

/** Runs a command line of sh on a pseudo-terminal and types each answer when its prompt appears. */
export async function onTerminal(
  shellCommand: string,
  answers: Answer[],
  options: Omit<RunOptions, 'input'> = {},
): Promise<Result> {
  // util-linux script gives the command a terminal of its own, without a size; -e passes its exit code on.
  const running = begin('script', ['-qec', `stty columns 120 rows 40; ${shellCommand}`, '/dev/null'], {
    ...options,
    env: { TERM: 'xterm', ...options.env },
    keepStdin: true,
  });
  let ended: Result | undefined;
  running.done.then(
    (result) => {
      ended = result;
    },
    () => undefined,
  );
  let from = 0;
  for (const [index, { prompt, type }] of answers.entries()) {
    const there = await until(
      `the prompt ${prompt}`,
      () => ended ?? (prompt.test(running.output.stdout.slice(from)) && 'prompt'),
      { seconds: index === 0 ? FIRST_PROMPT_SECONDS : NEXT_PROMPT_SECONDS, everyMs: 50 },
    ).catch((error: Error) => {
      running.signal('SIGKILL');
      throw new Error(`${error.message}\n${running.output.stdout}`);
    });
    if (there !== 'prompt') throw new Error(`ended before the prompt ${prompt}\n${running.output.stdout}`);
    from = running.output.stdout.length;
    running.type(typeof type === 'string' ? type : type(running.output.stdout));
  }
  return running.done;
}
