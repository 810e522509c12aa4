import { hostname } from 'node:os';
import { openDatabase, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { systemClock } from '../adapters/clock.ts';
import { dockerCompose } from '../adapters/compose.ts';
import { dockerRuntime } from '../adapters/docker.ts';
import { garageAdmin } from '../adapters/garage.ts';
import { fileJournal } from '../adapters/journal.ts';
import { serviceMemo } from '../adapters/service-memo.ts';
import { observeDatabase } from '../database/observe.ts';
import { openSession } from '../database/session.ts';
import { databaseSettings, infrastructureSecret, readSettings, type Settings } from '../model/settings.ts';
import type { RunContext } from '../run/context.ts';

/** The composition root: real adapters, opened when first used. */
export function createContext(
  engineVersion: string,
  signal: AbortSignal,
  settings: Settings = readSettings(),
): RunContext {
  let database: Kysely<Tables> | undefined;
  return {
    settings,
    engineVersion,
    runtime: dockerRuntime(),
    compose: dockerCompose(),
    serviceMemo: serviceMemo(settings.stateDirectory),
    clock: systemClock,
    journal: fileJournal(settings.stateDirectory),
    hostname: hostname(),
    observeDatabase: async () => observeDatabase(databaseSettings(settings)),
    openSession: async () => openSession(databaseSettings(settings)),
    configDatabase() {
      database ??= openDatabase(databaseSettings(settings), { max: 2 });
      return database;
    },
    garage: () => garageAdmin(settings.garageAdminUrl, infrastructureSecret(settings, 'GARAGE_ADMIN_TOKEN')),
    fetch,
    signal,
    close: async () => database?.destroy(),
  };
}
