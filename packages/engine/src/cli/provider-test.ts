import { Flags } from '@oclif/core';
import { type ProbeResult, type ProbeTarget, probeProvider } from '../config/probe.ts';
import { EXIT, type ExitCode, OperatorError } from '../model/errors.ts';

export const testFlags = {
  test: Flags.boolean({
    description: 'ask the provider first; the default on a terminal',
    allowNo: true,
  }),
  force: Flags.boolean({ description: 'store it even if the test fails' }),
};

const FAILURES: Record<Exclude<ProbeResult['outcome'], 'ok'>, { code: string; exitCode: ExitCode }> = {
  refused: { code: 'KEY_REFUSED', exitCode: EXIT.configuration },
  'unknown-model': { code: 'MODEL_UNKNOWN', exitCode: EXIT.configuration },
  unusable: { code: 'PROVIDER_UNUSABLE', exitCode: EXIT.configuration },
  unreachable: { code: 'PROVIDER_UNREACHABLE', exitCode: EXIT.unhealthy },
};

interface Conversation {
  say: (text: string) => void;
  warning: (text: string) => void;
  fetch: typeof fetch;
}

/**
 * Asks a provider whether it takes what is about to be stored.
 * @throws OperatorError KEY_REFUSED, MODEL_UNKNOWN, PROVIDER_UNUSABLE, PROVIDER_UNREACHABLE; with `force` it is a warning
 */
export async function testProvider(
  target: ProbeTarget,
  force: boolean,
  { say, warning, fetch }: Conversation,
): Promise<ProbeResult> {
  say(`Asking ${target.baseUrl} …`);
  const result = await probeProvider(target, fetch);
  if (result.outcome === 'ok') {
    say(describeProbe(result));
  } else if (force) {
    warning(`${describeProbe(result)}; stored all the same`);
  } else {
    throw new OperatorError(FAILURES[result.outcome].code, describeProbe(result), {
      exitCode: FAILURES[result.outcome].exitCode,
      hint: 'nothing was stored. Correct it; or store it untested with --no-test, or in spite of this with --force',
    });
  }
  return result;
}

/** One sentence on what came of a test. */
export function describeProbe({ provider, message, outcome }: ProbeResult): string {
  if (outcome === 'refused') return `${provider} refuses the key: it ${message}`;
  return `${provider} ${message}`;
}

/** Whether to test: as was said, otherwise where a person is there to read what the provider answers. */
export function wantsTest(flag: boolean | undefined, isJson: boolean): boolean {
  return flag ?? (Boolean(process.stdin.isTTY && process.stderr.isTTY) && !isJson);
}

/** The exit code for several tests: that of the gravest failure. */
export function exitCodeOf(results: ProbeResult[]): ExitCode {
  const failed = results.flatMap(({ outcome }) => (outcome === 'ok' ? [] : [FAILURES[outcome].exitCode]));
  return failed.includes(EXIT.configuration) ? EXIT.configuration : (failed[0] ?? EXIT.ok);
}
