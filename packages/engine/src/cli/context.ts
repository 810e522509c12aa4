import { hostname } from 'node:os';
import { openDatabase, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { systemClock } from '../adapters/clock.ts';
import { dockerCompose } from '../adapters/compose.ts';
import { dockerRuntime } from '../adapters/docker.ts';
import { garageAdmin } from '../adapters/garage.ts';
import { fetchThroughTls } from '../adapters/gateway-tls.ts';
import { hostRuntime, noCompose } from '../adapters/host-process.ts';
import { dockerImages } from '../adapters/images.ts';
import { fileJournal } from '../adapters/journal.ts';
import { dockerRunner } from '../adapters/runner.ts';
import { serviceMemo } from '../adapters/service-memo.ts';
import { observeDatabase } from '../database/observe.ts';
import { openSession } from '../database/session.ts';
import { encryptionKeyIfAny, infrastructureSecret, readSettings, type Settings } from '../model/settings.ts';
import type { RunContext } from '../run/context.ts';
import { databaseAccess } from '../run/database-access.ts';
import { findDev } from '../run/dev-record.ts';

// Long enough for fifty commands at once on a small machine; a server that is not there says so at once.
const CONNECT_TIMEOUT_MS = 20_000;

/** The composition root: real adapters, opened when first used. */
export function createContext(
  engineVersion: string,
  signal: AbortSignal,
  options: { command?: string; env?: NodeJS.ProcessEnv } = {},
): RunContext {
  const { command = 'kg-operator', env = process.env } = options;
  const settings: Settings = readSettings(env);
  const access = databaseAccess(settings, command, env);
  let database: Kysely<Tables> | undefined;
  return {
    settings,
    engineVersion,
    ...(settings.mode === 'containers' ? withContainers(settings) : withoutContainers(settings)),
    images: dockerImages(),
    runner: dockerRunner({ project: settings.project, hostname: hostname() }, env),
    clock: systemClock,
    journal: fileJournal(settings.stateDirectory),
    hostname: hostname(),
    observeDatabase: async () => observeDatabase(await access.settings(), encryptionKeyIfAny(settings)),
    openSession: async () => openSession(await access.settings()),
    databaseSettings: () => access.settings(),
    databaseFolder: access.folder && {
      assertOwn: access.folder.assertOwn,
      async replace(change) {
        await database?.destroy();
        database = undefined;
        await access.folder?.replace(change);
      },
    },
    configDatabase() {
      database ??= openDatabase(() => access.settings(), {
        max: 2,
        connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      });
      return database;
    },
    garage: (token = infrastructureSecret(settings, 'GARAGE_ADMIN_TOKEN')) =>
      garageAdmin(settings.garageAdminUrl, token),
    backup: { recovery: [], passphrase: null, file: null, checked: null },
    fetch: fetchThroughTls(settings),
    signal,
    async close() {
      await database?.destroy();
      await access.close();
    },
  };
}

function withContainers({
  stateDirectory,
}: Settings): Pick<RunContext, 'runtime' | 'compose' | 'serviceMemo'> {
  return {
    runtime: dockerRuntime(),
    compose: dockerCompose(stateDirectory),
    serviceMemo: serviceMemo(stateDirectory),
  };
}

function withoutContainers(settings: Settings): Pick<RunContext, 'runtime' | 'compose' | 'serviceMemo'> {
  return {
    runtime: hostRuntime(() => findDev(settings.dataDirectory)),
    compose: noCompose(),
    serviceMemo: { recall: async () => null, renew: async () => undefined },
  };
}
