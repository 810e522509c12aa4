import {
  isFileStore,
  KEYED_AI_PROVIDERS,
  type ObjectStoreSettings,
  passwordFingerprint,
  SETTINGS,
  type Tables,
} from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { listAiProviders } from './ai-provider.ts';
import { type ConfigurationDocument, canonical, referenceTo, type SecretReference } from './document.ts';
import { listEmbeddings } from './embedding.ts';

/** What is kept beside a secret. */
export interface SecretFacts {
  /** `env:NAME` or `file:PATH`; null where it was typed at a prompt. */
  source: string | null;
  fingerprint: string | null;
}

/** What the database holds, as a document, with the facts of each secret in it. */
export interface StoredConfiguration {
  document: ConfigurationDocument;
  /** By `secretKey()` of the reference's path. */
  secrets: Map<string, SecretFacts>;
}

export function secretKey(path: readonly string[]): string {
  return path.join('\n');
}

/** Reads it all; in a transaction, for one snapshot. What Garage or a rotation made is no part of it. */
export async function readStored(db: Kysely<Tables>): Promise<StoredConfiguration> {
  const users = await db.selectFrom('kg_api.users').selectAll().orderBy('username').execute();
  const keys = await db
    .selectFrom('kg_api.system_api_keys')
    .select(['provider', 'source', 'fingerprint'])
    .where('provider', 'in', KEYED_AI_PROVIDERS)
    .orderBy('provider')
    .execute();
  const settings = await db.selectFrom('kg_api.platform_settings').select(['key', 'value']).execute();
  const secrets = new Map<string, SecretFacts>();
  const taken = new Set<string>();
  const refer = (path: string[], facts: SecretFacts, name: string): SecretReference => {
    secrets.set(secretKey(path), facts);
    return facts.source === null ? { env: conventionalName(name, taken) } : referenceTo(facts.source);
  };
  const document: ConfigurationDocument = {
    version: 1,
    users: Object.fromEntries(
      users.map(({ username, role, disabled_at, password_hash, password_source }) => [
        username,
        {
          role,
          ...(disabled_at === null ? {} : { disabled: true }),
          password: refer(
            ['users', username, 'password'],
            { source: password_source, fingerprint: passwordFingerprint(password_hash) },
            `${username}_PASSWORD`,
          ),
        },
      ]),
    ),
    ai: withActive(await listAiProviders(db), ({ provider, model, baseUrl, options }) => ({
      // The rules have no model to choose.
      ...(provider === 'local' ? {} : { model }),
      ...(baseUrl === null ? {} : { baseUrl }),
      ...(Object.keys(options).length > 0 ? { options } : {}),
    })),
    embedding: withActive(await listEmbeddings(db), ({ model, dimensions, baseUrl, precision }) => ({
      model,
      dimensions,
      ...(baseUrl === null ? {} : { baseUrl }),
      precision,
    })),
    apiKeys: Object.fromEntries(
      keys.map(({ provider, ...facts }) => [
        provider,
        refer(['apiKeys', provider], facts, `${provider}_API_KEY`),
      ]),
    ),
    settings: Object.fromEntries(
      settings.filter(({ key }) => Object.hasOwn(SETTINGS, key)).map(({ key, value }) => [key, value]),
    ),
  };
  const store = settings.find(({ key }) => key === 'object_store')?.value as ObjectStoreSettings | undefined;
  if (store) document.objectStore = isFileStore(store) ? 'files' : 'garage';
  return { document: canonical(document), secrets };
}

function withActive<Provider extends string, Row extends { provider: Provider; active: boolean }, Entry>(
  rows: Row[],
  entryOf: (row: Row) => Entry,
): { active?: Provider; providers: { [Name in Provider]?: Entry } } {
  const active = rows.find((row) => row.active)?.provider;
  const providers = Object.fromEntries(rows.map((row) => [row.provider, entryOf(row)]));
  return { ...(active ? { active } : {}), providers: providers as { [Name in Provider]?: Entry } };
}

/** `KG_ADMIN_PASSWORD`, `KG_OPENAI_API_KEY`; names that come out the same are numbered. */
function conventionalName(name: string, taken: Set<string>): string {
  const base = `KG_${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`;
  let unique = base;
  for (let count = 2; taken.has(unique); count++) unique = `${base}_${count}`;
  taken.add(unique);
  return unique;
}
