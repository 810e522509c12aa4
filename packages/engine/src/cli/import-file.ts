import { readFileSync } from 'node:fs';
import type { HostName, Secret, Tables } from '@kg-operator/config';
import { Flags } from '@oclif/core';
import type { Kysely } from 'kysely';
import { commandActor } from '../config/actor.ts';
import { type ImportOptions, type ImportResult, importConfiguration } from '../config/document-import.ts';
import { type ConfigurationFile, parseConfiguration } from '../config/document-parse.ts';
import { probeTargets } from '../config/document-probe.ts';
import { resolveSecrets } from '../config/document-secrets.ts';
import { MAX_BYTES } from '../config/document-syntax.ts';
import { configureFileStore } from '../config/file-store.ts';
import { ensureFingerprint } from '../config/fingerprint.ts';
import { configureObjectStore } from '../config/garage.ts';
import { hostDifferences } from '../config/host-section.ts';
import { type ProbeResult, probeProvider } from '../config/probe.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { count } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import { describeProbe, exitCodeOf } from './provider-test.ts';

/** Read by operator.sh, which passes the named variables into the container; to the engine it says nothing. */
export const passedOnFlag = {
  'from-env': Flags.string({
    description:
      'pass on a variable that the file refers to and whose name does not begin with KG_; repeatable',
    helpValue: 'NAME',
    multiple: true,
    multipleNonGreedy: true,
  }),
};

/** The flags of `up` and `dev`. */
export const configFileFlag = {
  config: Flags.string({
    description:
      'configuration file (docs/configuration.md); what it says is imported before anything is asked',
    env: 'KG_CONFIG_FILE',
    helpValue: 'FILE',
  }),
  ...passedOnFlag,
};

/** Reads and checks a configuration file; `-` is standard input, called `name`. @throws OperatorError FILE_UNREADABLE, FILE_INVALID */
export async function readConfigurationFile(
  path: string,
  name = 'standard input',
): Promise<ConfigurationFile> {
  if (path === '-') return parseConfiguration(await readStdin(), name);
  try {
    return parseConfiguration(readFileSync(path), path);
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    throw new OperatorError('FILE_UNREADABLE', `${path} can't be read: ${messageOf(error)}`, {
      exitCode: EXIT.usage,
      hint: 'the operator sees only files beneath the installation; others by standard input: config import - < FILE, up --config - < FILE',
      cause: error,
    });
  }
}

async function readStdin(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    // The parser says that it is too much.
    if (bytes > MAX_BYTES) break;
  }
  return Buffer.concat(chunks);
}

export interface ImportChoices {
  dryRun?: boolean;
  prune?: boolean;
  discardEmbeddings?: boolean;
}

/** Imports a file into the installation of `context`, with its secrets, its environment and its object store. */
export function importFile(
  context: RunContext,
  db: Kysely<Tables>,
  file: ConfigurationFile,
  { encryptionKey, actor, ...choices }: ImportChoices & { encryptionKey: Secret; actor: string },
): Promise<ImportResult> {
  const { settings } = context;
  const inContainer = settings.mode === 'containers';
  const objectStores: ImportOptions['objectStores'] = {};
  if (inContainer || process.env.GARAGE_ADMIN_URL)
    objectStores.garage = () =>
      configureObjectStore(db, context.garage(), { encryptionKey, endpoint: settings.garageS3Url, actor });
  if (!inContainer) objectStores.files = () => configureFileStore(db, { actor });
  return importConfiguration(db, file, {
    actor,
    encryptionKey,
    places: { env: process.env, root: settings.root, inContainer },
    dryRun: choices.dryRun ?? false,
    prune: choices.prune ?? false,
    discardEmbeddings: choices.discardEmbeddings ?? false,
    objectStores,
  });
}

interface Conversation {
  say: (text: string) => void;
  warning: (text: string) => void;
}

/** Imports a file on the way to a running platform, and tells what came of it. Returns how many values changed. */
export async function importAtStart(
  context: RunContext,
  db: Kysely<Tables>,
  file: ConfigurationFile,
  encryptionKey: Secret,
  { say, warning }: Conversation,
): Promise<number> {
  await ensureFingerprint(db, encryptionKey);
  const { changes, kept } = await importFile(context, db, file, { encryptionKey, actor: commandActor() });
  for (const line of [...describeKept(kept), ...unusedHostLines(context, file)]) warning(line);
  say(
    `Configured from ${file.name}: ${changes.length > 0 ? count(changes.length, 'value') : 'nothing to change'}`,
  );
  return changes.length;
}

/** A sentence for each line of the host section that the installation has otherwise; without containers there is nothing to have. */
export function unusedHostLines({ settings }: RunContext, file: ConfigurationFile): string[] {
  return settings.mode === 'containers' ? hostDifferences(file, settings.root) : [];
}

/** A sentence for each secret that could not be looked up. */
export function describeKept(kept: ImportResult['kept']): string[] {
  return kept.map(({ path, reason }) => `${path} stays as it is stored: ${reason}`);
}

interface Asking extends Conversation {
  encryptionKey: Secret;
  host: HostName;
  /** Failures are warnings. */
  force: boolean;
}

/** Asks every provider of a file whether it takes what the file says. @throws OperatorError TEST_FAILED with all that failed */
export async function testFile(
  { settings, fetch }: RunContext,
  db: Kysely<Tables>,
  { document, name }: ConfigurationFile,
  { encryptionKey, host, force, say, warning }: Asking,
): Promise<ProbeResult[]> {
  const secrets = resolveSecrets(document, { env: process.env, root: settings.root });
  const targets = await probeTargets(db, document, { encryptionKey, secrets, host });
  const results = await Promise.all(targets.map((target) => probeProvider(target, fetch)));
  const failed = results.filter(({ outcome }) => outcome !== 'ok');
  for (const result of results) if (result.outcome === 'ok') say(describeProbe(result));
  if (failed.length > 0 && !force)
    throw new OperatorError('TEST_FAILED', `providers do not take what ${name} says`, {
      exitCode: exitCodeOf(failed),
      details: failed.map(describeProbe),
      hint: 'nothing was changed; correct it, or import without --test, or with --force',
    });
  for (const result of failed) warning(describeProbe(result));
  return results;
}
