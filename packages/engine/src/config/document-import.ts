import type { Secret, Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type ConfigurationDocument, sourceOf } from './document.ts';
import { applyDocument } from './document-apply.ts';
import { type ConfigurationChange, diffConfiguration } from './document-diff.ts';
import type { ConfigurationFile } from './document-parse.ts';
import {
  type ReferredSecret,
  resolveSecrets,
  type SecretPlaces,
  secretsUnresolved,
} from './document-secrets.ts';
import { readStored, type StoredConfiguration } from './document-stored.ts';
import { type Actor, type Change, changeConfig } from './history.ts';
import { assertNoDocuments, storedObjectStore } from './object-store.ts';

export interface ImportOptions extends Actor {
  encryptionKey: Secret;
  places: SecretPlaces;
  /** Only says what would change. */
  dryRun: boolean;
  prune: boolean;
  discardEmbeddings: boolean;
  /** Makes an object store of the kind; absent where there can be none. */
  objectStores: { garage?: () => Promise<Change>; files?: () => Promise<Change> };
}

export interface ImportResult {
  changed: boolean;
  changes: ConfigurationChange[];
  /** Secrets that could not be looked up, and are stored under the same reference already. */
  kept: { path: string; reason: string }[];
}

/**
 * Makes the configuration what the file says: one change in one transaction, which `config undo` takes back as a whole. Before anything
 * is written, every reference is looked up. The same file again changes nothing.
 * @throws OperatorError SECRET_UNRESOLVED, FILE_INVALID, OBJECT_STORE_UNAVAILABLE, STORE_IN_USE, and as `applyDocument()`
 */
export async function importConfiguration(
  db: Kysely<Tables>,
  file: ConfigurationFile,
  options: ImportOptions,
): Promise<ImportResult> {
  const secrets = resolveSecrets(file.document, options.places);
  const { objectStore } = file.document;
  const stored = await readStored(db);
  const newStore = objectStore !== stored.document.objectStore ? objectStore : undefined;
  const makeStore = newStore && options.objectStores[newStore];
  if (newStore && !makeStore) throw storeUnavailable(newStore, file.at(['objectStore']));

  if (options.dryRun || makeStore) {
    const rehearsed = await transact(db, file, secrets, { ...options, commit: false, newStore });
    if (options.dryRun) return resultOf(rehearsed);
  }
  // What is outside of the transaction comes first: if Garage is not there, nothing is half done, and the last change is ours to undo.
  const made = await makeStore?.();
  const done = await transact(db, file, secrets, { ...options, commit: true, newStore: undefined });
  const before = made?.changed ? withObjectStore(done.before, stored.document.objectStore) : done.before;
  return resultOf({ ...done, before });
}

function withObjectStore(
  configuration: StoredConfiguration,
  objectStore: ConfigurationDocument['objectStore'],
): StoredConfiguration {
  const { objectStore: _, ...document } = configuration.document;
  return { ...configuration, document: objectStore ? { ...document, objectStore } : document };
}

function resultOf({ before, after, kept }: Outcome): ImportResult {
  const changes = diffConfiguration(before, after);
  return { changed: changes.length > 0, changes, kept };
}

interface Outcome {
  before: StoredConfiguration;
  after: StoredConfiguration;
  kept: ImportResult['kept'];
}

/** Ends a rehearsal: the transaction is rolled back. */
class Rehearsed extends Error {}

async function transact(
  db: Kysely<Tables>,
  file: ConfigurationFile,
  secrets: ReferredSecret[],
  options: ImportOptions & { commit: boolean; newStore: ConfigurationDocument['objectStore'] },
): Promise<Outcome> {
  let outcome: Outcome | undefined;
  try {
    await changeConfig(db, async (trx) => {
      const before = await readStored(trx);
      const kept = checkAgainst(before, file, secrets, options.places);
      const store = options.newStore && (await storedObjectStore(trx));
      if (store) await assertNoDocuments(trx, store);
      await applyDocument(trx, { ...options, document: file.document, stored: before, secrets });
      const after = await readStored(trx);
      outcome = { before, after: options.newStore ? withObjectStore(after, options.newStore) : after, kept };
      if (!options.commit) throw new Rehearsed();
    });
  } catch (error) {
    if (!(error instanceof Rehearsed)) throw error;
  }
  if (!outcome) throw new Error('the transaction ended without an outcome');
  return outcome;
}

/**
 * What the file needs of the database. Returns the secrets that stay as they are.
 * @throws OperatorError with everything that is missing
 */
function checkAgainst(
  stored: StoredConfiguration,
  { name, document, at }: ConfigurationFile,
  secrets: ReferredSecret[],
  places: ImportOptions['places'],
): ImportResult['kept'] {
  const problems: { at: string; message: string }[] = [];
  const kept: ImportResult['kept'] = [];
  let unresolved = false;
  for (const { path, reference, problem, invalid } of secrets) {
    if (problem === null) continue;
    const known = storedReference(stored, path);
    if (!invalid && known && sourceOf(known) === sourceOf(reference)) {
      kept.push({ path: path.join('.'), reason: problem });
      continue;
    }
    unresolved ||= !invalid;
    problems.push({ at: at(path), message: `${path.join('.')}: ${problem}` });
  }
  for (const [username, { password }] of Object.entries(document.users ?? {})) {
    if (password || Object.hasOwn(stored.document.users ?? {}, username)) continue;
    const message = `users.${username}: password is missing, and the user is not there yet`;
    problems.push({ at: at(['users', username]), message });
  }
  for (const section of ['ai', 'embedding'] as const) {
    const { active, providers } = document[section] ?? {};
    if (!active || active in (providers ?? {}) || active in (stored.document[section]?.providers ?? {}))
      continue;
    const message = `${section}.active: ${active} is neither in ${section}.providers nor stored`;
    problems.push({ at: at([section, 'active']), message });
  }
  if (problems.length === 0) return kept;
  const details = problems.map((one) => `${one.at}: ${one.message}`);
  if (!unresolved)
    throw new OperatorError('FILE_INVALID', `${name} does not fit what is configured`, {
      exitCode: EXIT.configuration,
      details,
      hint: 'correct the file; nothing was changed',
    });
  throw secretsUnresolved(name, details, places);
}

function storedReference({ document }: StoredConfiguration, path: readonly string[]) {
  const [section, name] = path as [string, string];
  const entries = section === 'users' ? document.users : document.apiKeys;
  if (!entries || !Object.hasOwn(entries, name)) return undefined;
  return section === 'users' ? document.users?.[name]?.password : document.apiKeys?.[name];
}

function storeUnavailable(kind: 'garage' | 'files', at: string): OperatorError {
  const why =
    kind === 'garage'
      ? 'there is no Garage here: set GARAGE_ADMIN_URL and GARAGE_S3_URL, or say files'
      : 'containers keep documents in Garage: say garage';
  return new OperatorError('OBJECT_STORE_UNAVAILABLE', `${at}: objectStore can't be ${kind} here`, {
    exitCode: EXIT.configuration,
    hint: why,
  });
}
