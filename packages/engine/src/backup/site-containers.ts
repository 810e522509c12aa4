import { randomBytes } from 'node:crypto';
import type { RunContext } from '../run/context.ts';
import { documentBucket } from './installation.ts';
import { dropPrevious, examinePrevious } from './previous.ts';
import { loadBeside, swapDatabase } from './restore.ts';
import { databasesBefore, dropDatabase, PREFIXES, serverAnswers } from './restore-names.ts';
import { withScratchBucket } from './scratch-bucket.ts';
import type { Site } from './site.ts';
import { withTrialPostgres } from './trial-postgres.ts';
import { noteExchange } from './unfinished.ts';

/** Databases of one PostgreSQL that take each other's names; buckets of Garage; a container of PostgreSQL for trials. */
export function containersSite(context: RunContext): Site {
  const { settings } = context;
  return {
    name: settings.project,
    prefixes: PREFIXES,
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
    async swap(names) {
      await noteExchange(settings.stateDirectory, names);
      await swapDatabase(await context.databaseSettings(), names);
    },
    answers: async () => serverAnswers(await context.databaseSettings(), context.signal),
    previous: async () => databasesBefore(await context.databaseSettings()),
    examinePrevious: (name) => examinePrevious(context, name),
    dropPrevious: (name) => dropPrevious(context, name),
    async onTrial(use) {
      const { settings: store } = await documentBucket(context);
      return withTrialPostgres(context, (connection) =>
        withScratchBucket(context, store, randomBytes(4).toString('hex'), (bucket) =>
          use({ database: { connection }, bucket }),
        ),
      );
    },
  };
}
