import { describe, expect, test } from '@jest/globals';
import { PREFIXES } from '../../src/backup/restore-names.ts';
import { type FailedSwap, recoverFrom } from '../../src/cli/restore-recovery.ts';
import { EXIT, OperatorError } from '../../src/model/errors.ts';
import type { Plan } from '../../src/model/plan.ts';
import { runningPlatform, unconfigured } from '../observed.ts';

const cause = new OperatorError('PROBE_FAILED', 'the API did not answer', { exitCode: EXIT.unhealthy });
const BEFORE = 'kg_before_20261123t120000_0a1b2c3d';

/** A platform whose application was stopped; `runs` says what becomes of each plan that is run. */
function failure(options: {
  databases: string[];
  incoming?: string;
  stopped?: boolean;
  interrupted?: boolean;
  runs?: ((plan: Plan) => void)[];
}) {
  const plans: Plan[] = [];
  let isUp = !(options.stopped ?? true);
  const outcome = { settled: false };
  const abort = new AbortController();
  if (options.interrupted) abort.abort();
  const failed: FailedSwap = {
    name: 'kg',
    prefixes: PREFIXES,
    signal: abort.signal,
    before: runningPlatform(),
    incoming: options.incoming ?? 'kg_restore_0a1b2c3d',
    outgoing: BEFORE,
    // `unconfigured` has everything up but the application.
    observe: async () => (isUp ? runningPlatform() : unconfigured()),
    isThere: async (name) => options.databases.includes(name),
    async run(plan) {
      plans.push(plan);
      options.runs?.shift()?.(plan);
      isUp = true;
    },
    say: () => undefined,
    async settled() {
      outcome.settled = true;
    },
  };
  return { failed, plans, outcome };
}

const fails = () => {
  throw new Error('postgres is gone');
};

describe('a restore that failed', () => {
  test('before the swap, nothing stopped: only the reason is told', async () => {
    const { failed, plans, outcome } = failure({ databases: [], stopped: false });
    await expect(recoverFrom(failed, cause)).rejects.toBe(cause);
    expect(plans).toEqual([]);
    expect(outcome.settled).toBe(true);
  });

  test('before the swap, the application stopped already: it is started again', async () => {
    const { failed, plans } = failure({ databases: [] });
    await expect(recoverFrom(failed, cause)).rejects.toBe(cause);
    expect(plans.map(({ steps }) => steps.map(({ kind }) => kind))).toEqual([
      expect.not.arrayContaining(['swap-database']),
    ]);
    expect(plans[0]?.steps).toContainEqual({ kind: 'compose-up', services: ['api', 'web'] });
  });

  test('before the swap, and the application does not start: the next command', async () => {
    const { failed } = failure({ databases: [], runs: [fails] });
    await expect(recoverFrom(failed, cause)).rejects.toMatchObject({
      code: 'RECOVERY_NEEDED',
      exitCode: 9,
      hint: './operator.sh start',
      details: expect.arrayContaining(['and then: postgres is gone']),
    });
  });

  test('after the swap: what was there comes back, what was restored is put aside', async () => {
    const { failed, plans } = failure({ databases: [BEFORE] });
    await expect(recoverFrom(failed, cause)).rejects.toMatchObject({
      code: 'RESTORE_UNDONE',
      exitCode: 9,
      hint: expect.stringContaining('kg_failed_20261123t120000_0a1b2c3d'),
    });
    expect(plans[0]?.steps).toContainEqual({
      kind: 'swap-database',
      incoming: BEFORE,
      outgoing: 'kg_failed_20261123t120000_0a1b2c3d',
    });
  });

  test('the way back that failed: the database gets its name back', async () => {
    const incoming = 'kg_before_20261101t000000_ffffffff';
    const { failed, plans } = failure({ databases: [BEFORE], incoming });
    await expect(recoverFrom(failed, cause)).rejects.toMatchObject({ code: 'RESTORE_UNDONE' });
    expect(plans[0]?.steps).toContainEqual({ kind: 'swap-database', incoming: BEFORE, outgoing: incoming });
  });

  test('after the swap, and it does not come back: the exact next command, and where the data is', async () => {
    const { failed, outcome } = failure({ databases: [BEFORE], runs: [fails] });
    await expect(recoverFrom(failed, cause)).rejects.toMatchObject({
      code: 'RECOVERY_NEEDED',
      exitCode: 9,
      hint: `./operator.sh restore --previous ${BEFORE} --confirm kg goes back; ./operator.sh start goes on with what was restored`,
      details: expect.arrayContaining([expect.stringContaining(BEFORE)]),
    });
    expect(outcome.settled).toBe(false);
  });

  test('Ctrl-C after the swap: nothing is decided for the person', async () => {
    const { failed, plans } = failure({ databases: [BEFORE], interrupted: true });
    await expect(recoverFrom(failed, cause)).rejects.toMatchObject({ code: 'RECOVERY_NEEDED' });
    expect(plans).toEqual([]);
  });

  test('the server is gone: nobody knows, and that is said', async () => {
    const { failed } = failure({ databases: [] });
    await expect(recoverFrom({ ...failed, isThere: async () => fails() }, cause)).rejects.toMatchObject({
      code: 'RECOVERY_NEEDED',
      hint: expect.stringContaining('./operator.sh start'),
    });
  });
});
