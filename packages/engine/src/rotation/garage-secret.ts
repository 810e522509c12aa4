import { credentialFingerprint, type Secret } from '@kg-operator/config';
import { sql } from 'kysely';
import { GarageTokenRefused } from '../adapters/garage.ts';
import { keyInForce } from '../config/fingerprint.ts';
import { changeConfig, recordChange } from '../config/history.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { RunContext } from '../run/context.ts';
import { type Rotation, secretIn } from './rotation.ts';

const TOKEN = 'GARAGE_ADMIN_TOKEN';

/** Garage reads both of its secrets when it starts, so there is nothing to change in it; the container is made anew with the new ones. */
export const garageSecretRotation: Rotation = {
  async check({ context }) {
    const { nodes } = await context.garage().clusterStatus();
    if (nodes.length === 1) return;
    throw new OperatorError(
      'GARAGE_NOT_SINGLE',
      `Garage has ${nodes.length} nodes, and all of them share the RPC secret`,
      {
        exitCode: EXIT.precondition,
        hint: 'change it on every node at once, by hand',
      },
    );
  },

  async renew({ context }, { from, to }) {
    if (await accepts(context, secretIn(from, TOKEN))) return;
    // It was made anew already, as after a restart by hand.
    if (await accepts(context, secretIn(to, TOKEN))) return;
    throw new OperatorError('GARAGE_REFUSED', 'Garage accepts neither the old token nor the new one', {
      exitCode: EXIT.unhealthy,
      hint: 'restore the .env that this Garage was started with',
    });
  },

  async retire({ context, db, encryptionKey, actor }, { from, to }) {
    const [old, renewed] = [secretIn(from, TOKEN), secretIn(to, TOKEN)];
    if (!(await accepts(context, renewed))) throw unproven('Garage refuses the new token');
    if (await accepts(context, old)) throw unproven('Garage still accepts the old token');
    await changeConfig(db, async (trx) => {
      const key = await keyInForce(trx, encryptionKey);
      const after = { fingerprint: credentialFingerprint(key, renewed) };
      const done = await trx
        .selectFrom('kg_api.config_history')
        .select('id')
        .where('topic', '=', 'rotate')
        .where(sql<boolean>`after = ${JSON.stringify(after)}::jsonb`)
        .executeTakeFirst();
      if (done) return;
      const before = { fingerprint: credentialFingerprint(key, old) };
      await recordChange(
        trx,
        { actor },
        {
          topic: 'rotate',
          action: 'rotate',
          subject: 'garage-secret',
          before,
          after,
        },
      );
    });
  },
};

async function accepts(context: RunContext, token: Secret): Promise<boolean> {
  try {
    await context.garage(token).clusterStatus();
    return true;
  } catch (error) {
    if (error instanceof GarageTokenRefused) return false;
    throw error;
  }
}

function unproven(what: string): OperatorError {
  return new OperatorError('TOKEN_NOT_ROTATED', what, {
    exitCode: EXIT.unhealthy,
    hint: 'look at ./operator.sh logs garage',
  });
}
