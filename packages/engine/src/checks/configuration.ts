import {
  type ConfigItem,
  type ConfigState,
  ConfigurationIncomplete,
  type CredentialCheck,
  checkSetting,
  isFileStore,
  type ObjectStoreSettings,
  openEveryCredential,
  PREVIOUS_SIGNING_KEY,
  readConfigState,
  type Secret,
  type Tables,
  WrongEncryptionKey,
} from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { type BackupSettings, destinationOf, readBackupSettings } from '../backup/settings.ts';
import { listUsers, type UserSummary } from '../config/admin.ts';
import { type AiProviderSettings, listAiProviders, mergeAiSettings } from '../config/ai-provider.ts';
import { type ApiKeySummary, describeApiKeys, usesOfKeys } from '../config/api-key.ts';
import { countUnfit, type EmbeddingSettings, listEmbeddings, mergeEmbedding } from '../config/embedding.ts';
import { isOtherTopic, type SettingView, viewSettings } from '../config/settings.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { ConfigFinding } from '../model/observation.ts';

/** All of layer 3 as it may be shown; schema/json/config-show.schema.json describes it. */
export interface ConfigReport {
  ready: boolean;
  findings: ConfigFinding[];
  /** `kg_api.config_version`. */
  version: string;
  encryptionKey: {
    /** Id of the ENCRYPTION_KEY given; null without one. */
    given: string | null;
    /** Id of the key of this database; null before the first one. */
    stored: string | null;
    /** While it is rotated: the key before. */
    previous: string | null;
  };
  items: ConfigItem[];
  /** Nobody is admin yet, and a claim is open: until when its token counts, or counted. Null otherwise. */
  claim: ConfigState['claim'];
  users: UserSummary[];
  aiProviders: AiProviderSettings[];
  embeddingProviders: EmbeddingSettings[];
  objectStore: ObjectStoreSettings | null;
  apiKeys: ApiKeySummary[];
  settings: SettingView[];
  /** Where backups go, how many are kept, and when they are made; the credentials are among `apiKeys`. */
  backup: BackupSettings;
}

/**
 * Looks at everything that is configured, and tries to open every stored credential. Nothing found is thrown.
 * @throws SchemaMissing
 */
export async function examineConfiguration(
  database: Kysely<Tables>,
  encryptionKey: { id: string; key: Secret } | null,
): Promise<ConfigReport> {
  // Of one moment, whatever is changed meanwhile.
  return database
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (db) => {
      const { version, items, keyId, previousKeyId, claim } = await readConfigState(db);
      const credentials = await checkCredentials(db, encryptionKey?.key ?? null);
      const users = await listUsers(db);
      const aiProviders = await listAiProviders(db);
      const embeddingProviders = await listEmbeddings(db);
      const rows = await db.selectFrom('kg_api.platform_settings').select(['key', 'value']).execute();
      const store = rows.find(({ key }) => key === 'object_store')?.value ?? null;
      const findings = [
        ...credentials.findings,
        ...items
          .filter(({ ok }) => !ok)
          .map(({ item, command }) => ({ problem: `${item} is missing`, fix: command })),
        ...aiProviders.flatMap(aiFindings),
        ...embeddingProviders.flatMap(embeddingFindings),
        ...(await embeddingsFindings(db, embeddingProviders)),
        ...(store === null ? [] : storeFindings(store)),
        ...rows.filter(({ key }) => !isOtherTopic(key)).flatMap(settingFindings),
      ];
      return {
        ready: findings.length === 0,
        findings,
        version,
        encryptionKey: { given: encryptionKey?.id ?? null, stored: keyId, previous: previousKeyId },
        items,
        claim,
        users,
        aiProviders,
        embeddingProviders,
        objectStore: store as ObjectStoreSettings | null,
        apiKeys: await describeApiKeys(db, credentials.checks),
        settings: viewSettings(rows),
        backup: await readBackupSettings(db),
      };
    });
}

const FIXES: Record<string, string> = {
  garage: './operator.sh config garage',
  [PREVIOUS_SIGNING_KEY]: './operator.sh rotate oauth-key',
};

function fixOf(row: string): string {
  const destination = destinationOf(row);
  return destination === null
    ? `./operator.sh config api-key ${row}`
    : `./operator.sh backup destination add ${destination}`;
}

/** Opens every stored credential. A key that is missing, or another one, is one finding, not one for each credential. */
export async function checkCredentials(
  db: Kysely<Tables>,
  encryptionKey: Secret | null,
): Promise<{ findings: ConfigFinding[]; checks: CredentialCheck[] }> {
  if (encryptionKey === null)
    return {
      findings: [{ problem: 'there is no ENCRYPTION_KEY', fix: 'restore the .env of this installation' }],
      checks: [],
    };
  try {
    const checks = await openEveryCredential(db, encryptionKey);
    const findings = checks
      .filter(({ ok }) => !ok)
      .map(({ row, reason }) => ({
        problem: `the stored credential "${row}" can't be decrypted: ${reason}`,
        fix: FIXES[row] ?? fixOf(row),
      }));
    return { findings, checks };
  } catch (error) {
    if (!(error instanceof WrongEncryptionKey)) throw error;
    const [problem, fix = ''] = error.message.split(': ') as [string, string?];
    return { findings: [{ problem, fix }], checks: [] };
  }
}

/** @throws ConfigurationIncomplete naming every missing item and its command; SchemaMissing */
export async function requireConfiguration(db: Kysely<Tables>): Promise<void> {
  const missing = (await readConfigState(db)).items.filter(({ ok }) => !ok);
  if (missing.length > 0)
    throw new ConfigurationIncomplete(missing.map(({ item, command }) => ({ item, command })));
}

/**
 * Opens every stored credential. Returns what is wrong with those that nothing needs.
 * @throws OperatorError CREDENTIALS_UNREADABLE naming every one that is needed
 */
export async function requireReadableCredentials(
  db: Kysely<Tables>,
  encryptionKey: Secret,
): Promise<ConfigFinding[]> {
  const { findings, checks } = await checkCredentials(db, encryptionKey);
  const uses = await usesOfKeys(db);
  if (checks.every(({ row, ok }) => ok || !uses.has(row))) return findings;
  throw new OperatorError('CREDENTIALS_UNREADABLE', 'stored credentials can not be decrypted', {
    exitCode: EXIT.configuration,
    details: findings.map(({ problem, fix }) => `${problem}: ${fix}`),
    hint: 'set them again, or restore a backup of the database',
  });
}

function aiFindings({ provider, model, baseUrl, options }: AiProviderSettings): ConfigFinding[] {
  if (provider === 'local') return [];
  const command = `./operator.sh config ai-provider ${provider}`;
  return found(`AI provider ${provider}`, command, () =>
    mergeAiSettings({ provider, model, baseUrl, options, actor: '' }, undefined),
  );
}

function embeddingFindings(settings: EmbeddingSettings): ConfigFinding[] {
  const command = `./operator.sh config embedding ${settings.provider}`;
  return found(`embedding provider ${settings.provider}`, command, () =>
    mergeEmbedding({ ...settings, actor: '' }, undefined),
  );
}

async function embeddingsFindings(
  db: Kysely<Tables>,
  providers: EmbeddingSettings[],
): Promise<ConfigFinding[]> {
  const active = providers.find((one) => one.active);
  const unfit = active ? await countUnfit(db, active) : 0;
  if (!active || unfit === 0) return [];
  return [
    {
      problem: `${unfit} stored embeddings were not made by ${active.provider} ${active.model} with ${active.dimensions} dimensions`,
      fix: `./operator.sh config embedding ${active.provider} --discard-embeddings`,
    },
  ];
}

function storeFindings(store: unknown): ConfigFinding[] {
  const fields = ['endpoint', 'region', 'bucket', 'accessKeyId'] as const;
  const { endpoint = '' } = (store ?? {}) as Partial<ObjectStoreSettings>;
  const isWhole = fields.every((field) => typeof (store as Record<string, unknown>)[field] === 'string');
  if (isWhole && (isFileStore({ endpoint }) || URL.canParse(endpoint))) return [];
  return [{ problem: 'the stored object storage is not whole', fix: './operator.sh config garage' }];
}

function settingFindings({ key, value }: { key: string; value: unknown }): ConfigFinding[] {
  return found(`setting ${key}`, `./operator.sh config unset ${key}`, () => checkSetting(key, value));
}

/** What a check that throws has found. */
function found(subject: string, fix: string, check: () => unknown): ConfigFinding[] {
  try {
    check();
    return [];
  } catch (error) {
    return [{ problem: `${subject}: ${messageOf(error)}`, fix }];
  }
}
