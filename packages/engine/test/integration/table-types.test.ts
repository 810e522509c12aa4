import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AI_PROVIDERS, EMBEDDING_PROVIDERS, PRECISIONS, ROLES, type Tables } from '@kg-operator/config';
import type { Insertable, SelectType } from 'kysely';
import { type EmbeddedDatabase, migratedDatabase } from '../embedded-database.ts';

/** PostgreSQL's types for what a column is read as; several where node-postgres reads them as the same. */
type PostgresType<Value> = unknown extends Value
  ? 'jsonb'
  : Value extends string
    ? 'text' | 'int8' | 'uuid'
    : Value extends boolean
      ? 'bool'
      : Value extends number
        ? 'int4'
        : Value extends Date
          ? 'timestamptz'
          : Value extends Uint8Array
            ? 'bytea'
            : Value extends number[]
              ? '_float4'
              : 'jsonb';

/** Such as `text`, `text?` for one that may be null, and `bool=` for one that an INSERT may leave out. */
type Column<
  Table,
  Name extends keyof Table,
> = `${PostgresType<NonNullable<SelectType<Table[Name]>>>}${unknown extends SelectType<Table[Name]>
  ? ''
  : null extends SelectType<Table[Name]>
    ? '?'
    : ''}${
  // What the database alone writes can't be in an INSERT at all.
  Name extends keyof Insertable<Table>
    ? Partial<Record<Name, never>> extends Pick<Insertable<Table>, Name>
      ? '='
      : ''
    : '' | '='
}`;

/** Every table with every column: what tables.ts declares, held to it by the compiler, and by the test to the migrated database. */
const DECLARED: {
  [Table in keyof Tables]: { [Name in keyof Tables[Table] & string]: Column<Tables[Table], Name> };
} = {
  'kg_api.admin_claim': {
    singleton: 'bool=',
    token_hash: 'bytea',
    created_at: 'timestamptz=',
    expires_at: 'timestamptz',
    used_at: 'timestamptz?=',
  },
  'kg_api.ai_provider_config': {
    id: 'int8=',
    provider: 'text',
    model: 'text',
    base_url: 'text?=',
    active: 'bool=',
    created_at: 'timestamptz=',
    options: 'jsonb=',
    updated_at: 'timestamptz=',
  },
  'kg_api.config_history': {
    id: 'int8=',
    at: 'timestamptz=',
    actor: 'text',
    action: 'text',
    subject: 'text',
    detail: 'jsonb=',
    topic: 'text?=',
    before: 'jsonb?=',
    after: 'jsonb?=',
    change_id: 'text?=',
  },
  'kg_api.config_undo': {
    id: 'int8=',
    change_id: 'text',
    table_name: 'text',
    before: 'jsonb?=',
    after: 'jsonb?=',
  },
  'kg_api.config_version': { singleton: 'bool=', version: 'int8', changed_at: 'timestamptz=' },
  'kg_api.documents': {
    id: 'uuid=',
    title: 'text',
    object_key: 'text',
    bytes: 'int8',
    sha256: 'text',
    created_by: 'text',
    created_at: 'timestamptz=',
  },
  'kg_api.embedding_config': {
    id: 'int8=',
    provider: 'text',
    model: 'text',
    dimensions: 'int4',
    active: 'bool=',
    created_at: 'timestamptz=',
    base_url: 'text?=',
    precision: 'text=',
    updated_at: 'timestamptz=',
  },
  'kg_api.embeddings': {
    subject: 'text',
    provider: 'text',
    model: 'text',
    embedding: '_float4',
    created_at: 'timestamptz=',
  },
  'kg_api.key_fingerprint': {
    singleton: 'bool=',
    key_id: 'text',
    created_at: 'timestamptz=',
    previous_key_id: 'text?=',
    bridge: 'bytea?=',
  },
  'kg_api.platform_settings': { key: 'text', value: 'jsonb', updated_at: 'timestamptz=' },
  'kg_api.system_api_keys': {
    provider: 'text',
    key_id: 'text',
    ciphertext: 'bytea',
    created_at: 'timestamptz=',
    updated_at: 'timestamptz=',
    fingerprint: 'text?=',
    source: 'text?=',
    expires_at: 'timestamptz?=',
  },
  'kg_api.users': {
    id: 'int8=',
    username: 'text',
    password_hash: 'text',
    role: 'text',
    created_at: 'timestamptz=',
    updated_at: 'timestamptz=',
    disabled_at: 'timestamptz?=',
    password_set_at: 'timestamptz=',
    password_source: 'text?=',
  },
};

const ENUMERATIONS = {
  'users.role': ROLES,
  'ai_provider_config.provider': AI_PROVIDERS,
  'embedding_config.provider': EMBEDDING_PROVIDERS,
  'embedding_config.precision': PRECISIONS,
};

let database: EmbeddedDatabase;
beforeAll(async () => {
  database = await migratedDatabase();
});
afterAll(() => database.close());

test('the Kysely table types are those of the migrated database: columns, types, null, and what may be left out', async () => {
  const columns = await database.session.query<{ table: keyof Tables; name: string; type: string }>(
    `SELECT table_schema || '.' || table_name AS table, column_name AS name,
            udt_name || CASE is_nullable WHEN 'YES' THEN '?' ELSE '' END
              || CASE WHEN is_nullable = 'YES' OR is_identity = 'YES' OR column_default IS NOT NULL THEN '=' ELSE '' END AS type
       FROM information_schema.columns WHERE table_schema = 'kg_api' ORDER BY 1, ordinal_position`,
  );
  const found: Record<string, Record<string, string>> = {};
  for (const { table, name, type } of columns) found[table] = { ...found[table], [name]: type };
  expect(found).toEqual(DECLARED);
});

test.each(Object.entries(ENUMERATIONS))('%s takes the values that its type has', async (column, values) => {
  const [table, name] = column.split('.');
  const [check] = await database.session.query<{ definition: string }>(
    `SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint
      WHERE conrelid = 'kg_api.${table}'::regclass AND conname = '${table}_${name}_check'`,
  );
  const allowed = [...(check?.definition ?? '').matchAll(/'([^']*)'/g)].map(([, value]) => value);
  expect(allowed.sort()).toEqual([...values].sort());
});
