import { type Kysely, sql } from 'kysely';
import { jsonArrayFrom, jsonObjectFrom } from 'kysely/helpers/postgres';
import { SchemaMissing } from './errors.ts';
import type { Tables } from './tables.ts';

/** All rows of configuration, of one moment. Timestamps are text as PostgreSQL's JSON has them, bytes are hexadecimal. */
export type ConfigRows = Awaited<ReturnType<typeof readConfigRows>>;

/**
 * Reads the configuration in one statement: PostgreSQL gives a statement one snapshot, so nothing in it is of different moments.
 * @throws SchemaMissing when the tables are not there.
 */
export async function readConfigRows(db: Kysely<Tables>) {
  const rows = await selectConfig(db).executeTakeFirstOrThrow().catch(missingSchema);
  if (rows.users.some(isEnabledAdmin)) return { ...rows, claim: null };
  // Only now, and all of it again: a schema before 0005 has no such table, and a platform that runs on one has an admin.
  return selectConfig(db).select(openClaim()).executeTakeFirstOrThrow().catch(missingSchema);
}

/** Whether this user may manage others. */
export function isEnabledAdmin({ role, disabled_at }: { role: string; disabled_at: unknown }): boolean {
  return role === 'admin' && disabled_at === null;
}

/** A claim that made no admin yet, whether its token still counts, and until when, by the database's clock. */
function openClaim() {
  return sql<{ expires_at: string; counts: boolean } | null>`(
    SELECT json_build_object('expires_at', expires_at, 'counts', expires_at > clock_timestamp())
      FROM kg_api.admin_claim WHERE used_at IS NULL)`.as('claim');
}

/** Which configuration there is. @throws SchemaMissing */
export async function readConfigVersion(db: Kysely<Tables>): Promise<string> {
  const { version } = await db
    .selectFrom('kg_api.config_version')
    .select('version')
    .executeTakeFirstOrThrow()
    .catch(missingSchema);
  return version;
}

function selectConfig(db: Kysely<Tables>) {
  return db.selectFrom('kg_api.config_version').select(({ selectFrom }) => [
    sql<string>`version::text`.as('version'),
    jsonArrayFrom(
      selectFrom('kg_api.users')
        .select(['username', 'role', 'disabled_at', 'password_set_at'])
        .orderBy('username'),
    ).as('users'),
    jsonArrayFrom(
      selectFrom('kg_api.ai_provider_config')
        .select(['provider', 'model', 'base_url', 'options', 'active'])
        .orderBy('provider'),
    ).as('ai'),
    jsonArrayFrom(
      selectFrom('kg_api.embedding_config')
        .select(['provider', 'model', 'dimensions', 'base_url', 'precision', 'active'])
        .orderBy('provider'),
    ).as('embedding'),
    jsonArrayFrom(selectFrom('kg_api.platform_settings').select(['key', 'value']).orderBy('key')).as(
      'settings',
    ),
    jsonArrayFrom(
      selectFrom('kg_api.system_api_keys')
        .select(['provider', 'expires_at', sql<string>`encode(ciphertext, 'hex')`.as('ciphertext')])
        .orderBy('provider'),
    ).as('keys'),
    jsonObjectFrom(
      selectFrom('kg_api.key_fingerprint').select([
        'key_id',
        'previous_key_id',
        sql<string | null>`encode(bridge, 'hex')`.as('bridge'),
      ]),
    ).as('fingerprint'),
  ]);
}

/** SQLSTATE 42P01 undefined_table, 42703 undefined_column, 3F000 invalid_schema_name: https://www.postgresql.org/docs/17/errcodes-appendix.html */
function missingSchema(error: unknown): never {
  const { code = '' } = error as { code?: string };
  if (['42P01', '42703', '3F000'].includes(code)) throw new SchemaMissing(error);
  throw error;
}
