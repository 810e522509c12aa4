import { existsSync } from 'node:fs';
import { STEP_KINDS, type StepKind } from '../model/plan.ts';

/** Where a test stops a step, and how: `KG_FAILPOINT=roll-service:before:kill`, several with commas between them. */
export interface Failpoint {
  step: StepKind;
  when: 'before' | 'during' | 'after';
  how: 'kill' | 'error' | 'hang';
}

/** Only an image that was made for tests has this file: without it the variable means nothing. */
const MARKER = '/opt/kg-operator/.failpoints';
// Far enough into any step that takes time; a quicker one is over, and is stopped after its work, before it is written down.
const DURING_MS = 150;

export function failpointsOf(env: NodeJS.ProcessEnv = process.env, marker = MARKER): Failpoint[] {
  if (!env.KG_FAILPOINT || !existsSync(marker)) return [];
  return env.KG_FAILPOINT.split(',').map(parseFailpoint);
}

export function parseFailpoint(text: string): Failpoint {
  const [step, when, how] = text.split(':');
  const isKnown =
    STEP_KINDS.includes(step as StepKind) &&
    /^(before|during|after)$/.test(when ?? '') &&
    /^(kill|error|hang)$/.test(how ?? '');
  if (!isKnown) throw new Error(`KG_FAILPOINT: ${text} is no step:before|during|after:kill|error|hang`);
  return { step, when, how } as Failpoint;
}

/**
 * Runs a step, or stops it where a test wants it stopped. `after` is after its work and before it is written down. An error does not come
 * while its work goes on: nothing would stop that.
 */
export async function withFailpoints(
  points: readonly Failpoint[],
  step: StepKind,
  work: () => Promise<void>,
  fail: (how: Failpoint['how']) => Promise<never> = failNow,
): Promise<void> {
  const at = (when: Failpoint['when']) => points.find((point) => point.step === step && point.when === when);
  const [before, during, after] = [at('before'), at('during'), at('after')];
  if (before) await fail(before.how);
  if (during?.how === 'error') await work().then(() => fail('error'));
  else if (during) {
    let isOver = false;
    const done = work()
      .finally(() => {
        isOver = true;
      })
      .then(() => fail(during.how));
    // A step that hands over ends with an error, and then this process is to end, too.
    await Promise.race([inTheMiddle(() => isOver, during.how, fail), done]);
  } else await work();
  if (after) await fail(after.how);
}

async function inTheMiddle(
  isOver: () => boolean,
  how: Failpoint['how'],
  fail: typeof failNow,
): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, DURING_MS));
  return isOver() ? new Promise<never>(() => undefined) : fail(how);
}

async function failNow(how: Failpoint['how']): Promise<never> {
  if (how === 'error') throw new Error('failpoint');
  if (how === 'kill') process.kill(process.pid, 'SIGKILL');
  return new Promise<never>(() => setInterval(() => undefined, 1000));
}
