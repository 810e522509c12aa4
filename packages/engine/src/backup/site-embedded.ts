import { basename } from 'node:path';
import type { RunContext } from '../run/context.ts';
import { dropPreviousFolder, examineFolder, previousFolders } from './embedded-previous.ts';
import { FOLDERS, loadIntoFolder, removeFolder, swapEmbedded } from './embedded-restore.ts';
import { onEmbeddedTrial } from './embedded-trial.ts';
import type { Site } from './site.ts';

/** Folders of the data directory that take each other's names, while nobody else has the database open. */
export function embeddedSite(context: RunContext): Site {
  const { databaseFolder, settings } = context;
  return {
    name: basename(settings.dataDirectory),
    prefixes: FOLDERS,
    assertReplaceable: async () => databaseFolder?.assertOwn(),
    async loadBeside(into, report) {
      await databaseFolder?.assertOwn();
      await loadIntoFolder(context, into, report, async () => undefined);
    },
    async withLoaded(database, report, use) {
      try {
        return await loadIntoFolder(context, { database, bucket: null }, report, use);
      } finally {
        await removeFolder(context, database);
      }
    },
    swap: (names) => swapEmbedded(context, names),
    answers: async () => undefined,
    previous: () => previousFolders(settings.dataDirectory),
    examinePrevious: (name) => examineFolder(context, name),
    dropPrevious: (name) => dropPreviousFolder(context, name),
    onTrial: (use) => onEmbeddedTrial(context, use),
  };
}
