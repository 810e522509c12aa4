import { randomBytes } from 'node:crypto';
import { withScratchPostgres } from '../adapters/scratch-postgres.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { RunContext } from '../run/context.ts';
import { documentBucket } from './installation.ts';
import { dropPrevious } from './previous.ts';
import {
  databasesBefore,
  dropDatabase,
  INCOMING_PREFIX,
  loadBeside,
  OUTGOING_PREFIX,
  swapDatabase,
} from './restore.ts';
import { withScratchBucket } from './scratch-bucket.ts';
import type { Site } from './site.ts';

/** Databases of one PostgreSQL that take each other's names; buckets of Garage; a container of PostgreSQL for trials. */
export function containersSite(context: RunContext): Site {
  const { settings, signal } = context;
  return {
    name: settings.project,
    names: (at, random) => ({
      incoming: `${INCOMING_PREFIX}${random}`,
      outgoing: `${OUTGOING_PREFIX}${at}_${random}`,
      failed: `kg_failed_${at}_${random}`,
      bucket: `kg-documents-${random}`,
    }),
    assertReplaceable: async () => undefined,
    loadBeside: (into, report) => loadBeside(context, into, report),
    async withLoaded(database, report, use) {
      await loadBeside(context, { database, bucket: null }, report);
      const live = await context.databaseSettings();
      try {
        return await use({ ...live, database });
      } finally {
        await dropDatabase(live, database);
      }
    },
    swap: async (names) => swapDatabase(await context.databaseSettings(), names),
    previous: async () => databasesBefore(await context.databaseSettings()),
    dropPrevious: (name) => dropPrevious(context, name),
    async onTrial(use) {
      const containers = await context.runtime.listContainers(settings.project);
      const postgres = containers.find(({ service }) => service === 'postgres');
      if (!postgres) {
        throw new OperatorError(
          'NOT_VERIFIABLE',
          'there is no postgres container whose image a trial could use',
          {
            exitCode: EXIT.precondition,
            hint: 'run it on the installation: ./operator.sh backup verify',
          },
        );
      }
      const scratch = {
        project: settings.project,
        image: postgres.imageId,
        network: `${settings.project}_backend`,
        signal,
      };
      const { settings: store } = await documentBucket(context);
      return withScratchPostgres(scratch, (connection) =>
        withScratchBucket(context, store, randomBytes(4).toString('hex'), (bucket) =>
          use({ database: { connection }, bucket }),
        ),
      );
    },
  };
}
