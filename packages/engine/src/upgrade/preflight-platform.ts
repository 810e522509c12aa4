import { nearest } from '@kg-operator/config';
import { unfinishedExchange } from '../backup/unfinished.ts';
import { readMigrations } from '../migrations/files.ts';
import { readStatus } from '../migrations/status.ts';
import { isUp } from '../model/observation.ts';
import { lookAtHooks } from './hooks.ts';
import type { Check, Finding } from './preflight.ts';

/** Each service is up, and the compose files have what the releases bring images for. */
export const checkServices: Check = async (_context, { hops, observed: { services } }) => {
  const down = services.filter((service) => !service.oneShot && !isUp(service));
  const names = services.map(({ name }) => name);
  const findings: Finding[] = down.map(({ name, containers }) => ({
    code: 'UNHEALTHY',
    message: `${name} is not up: ${containers.map(({ status, state }) => status || state).join(', ') || 'it has no container'}`,
    fix: `./operator.sh start; if it stays so, ./operator.sh logs ${name}`,
  }));
  for (const { release } of hops) {
    const unknown = Object.keys(release.images).filter((service) => !names.includes(service));
    for (const service of unknown) {
      const near = nearest(service, names);
      findings.push({
        code: 'SERVICE_UNKNOWN',
        message: `${release.version} has an image for ${service}, and the compose files have no such service${near ? ` (only ${near})` : ''}`,
        fix: `put the compose files of ${release.version} in their place; what you changed belongs into docker-compose.override.yml`,
      });
    }
  }
  return findings;
};

/** It answers, and what is stored in it opens. */
export const checkDatabase: Check = async (_context, { observed: { database, encryptionKeyId } }) => {
  if (!database.reachable)
    return [
      {
        code: 'DATABASE_UNREACHABLE',
        message: `the database does not answer: ${database.reason}`,
        fix: './operator.sh start',
      },
    ];
  if (encryptionKeyId === null)
    return [
      {
        code: 'SECRET_MISSING',
        message: 'there is no ENCRYPTION_KEY',
        fix: 'put the .env of this installation back',
      },
    ];
  return (database.config?.unreadable ?? []).map(({ problem, fix }) => ({
    code: 'CREDENTIALS_UNREADABLE',
    message: problem,
    fix,
  }));
};

/** What was applied is what this engine and the releases know, unchanged and finished. */
export const checkMigrations: Check = async (context, { hops, observed: { database } }) => {
  if (!database.reachable) return []; // checkDatabase says so
  const session = await context.openSession();
  try {
    const { problems, migrations } = await readStatus(session, await readMigrations());
    const findings: Finding[] = problems.map(({ code, message, hint }) => ({ code, message, fix: hint }));
    for (const { id, state } of migrations)
      if (state === 'running')
        findings.push({
          code: 'MIGRATION_UNFINISHED',
          message: `migration ${id} is half applied`,
          fix: './operator.sh migrate',
        });
    const applied = migrations.filter(({ state }) => state !== 'pending').map(({ id }) => id);
    for (const { release } of hops) {
      const known = new Set(release.schema.migrations.map(({ id }) => id));
      const unknown = applied.filter((id) => !known.has(id));
      if (unknown.length > 0)
        findings.push({
          code: 'SCHEMA_UNKNOWN',
          message: `the database has migrations that ${release.version} does not know: ${unknown.join(', ')}`,
          fix: 'take a release that has them; if they are your own, keep them in another database or schema',
        });
    }
    return findings;
  } finally {
    await session.close();
  }
};

/** Nothing else was begun and left. */
export const checkUnfinished: Check = async ({ settings }, { observed: { rotation } }) => {
  const findings: Finding[] = [];
  if (rotation)
    findings.push({
      code: 'ROTATION_UNFINISHED',
      message: `the rotation of ${rotation === 'unknown' ? 'a secret' : rotation} is not finished`,
      fix: `./operator.sh rotate ${rotation === 'unknown' ? 'SECRET' : rotation}`,
    });
  const exchange = await unfinishedExchange(settings.stateDirectory);
  if (exchange)
    findings.push({
      code: 'RESTORE_UNFINISHED',
      message: `a restore was cut off while it put database ${exchange.incoming} in the place of the live one`,
      fix: './operator.sh start says on which of the two the platform runs',
    });
  return findings;
};

export const checkHooks: Check = async ({ settings }) => {
  const { problems } = await lookAtHooks(settings.root);
  return problems.map(({ problem, fix }) => ({ code: 'HOOK_UNUSABLE', message: problem, fix }));
};
