import type {
  AiOptions,
  AiProvider,
  EmbeddingProvider,
  PlatformSettings,
  Precision,
  Role,
} from '@kg-operator/config';
import { Document, isMap, isPair, visit } from 'yaml';

/** Where a secret is read from when the file is imported. A file never holds one itself. */
export type SecretReference = { env: string } | { file: string };

export interface UserEntry {
  role: Role;
  disabled?: boolean;
  /** A user who is there already keeps the password without it. */
  password?: SecretReference;
}

/** Absent: the provider's default, as `AI_PROVIDER_FACTS` has it. */
export interface AiEntry {
  model?: string;
  baseUrl?: string;
  options?: AiOptions;
}

export interface EmbeddingEntry {
  model?: string;
  dimensions?: number;
  baseUrl?: string;
  precision?: Precision;
}

/**
 * The configuration as `config export` writes it and `config import` reads it; `schema/json/configuration.schema.json` describes it. A
 * section that is absent says nothing; an entry that is there is whole, so that what it leaves out has its default.
 */
export interface ConfigurationDocument {
  version: 1;
  /** Lines of `.operator.conf`, for install.sh, which is not there yet when they are wanted; the database knows nothing of them. */
  host?: Record<string, string | number | boolean>;
  users?: Record<string, UserEntry>;
  ai?: { active?: AiProvider; providers?: { [Name in AiProvider]?: AiEntry } };
  embedding?: { active?: EmbeddingProvider; providers?: { [Name in EmbeddingProvider]?: EmbeddingEntry } };
  /** By provider; extraction and embeddings of one provider share its key. */
  apiKeys?: Record<string, SecretReference>;
  objectStore?: 'garage' | 'files';
  settings?: Partial<PlatformSettings>;
}

/** Keys in the order in which they are written, wherever they occur; names of users, providers and settings follow the alphabet. */
const KEY_ORDER = [
  ...['version', 'host', 'users', 'ai', 'embedding', 'apiKeys', 'objectStore', 'settings'],
  ...[
    'active',
    'providers',
    'role',
    'disabled',
    'password',
    'model',
    'dimensions',
    'baseUrl',
    'precision',
    'options',
  ],
  ...['temperature', 'maxTokens', 'concurrency'],
];

/** The maps whose keys are names that somebody chose. */
const NAMED = /^(host|users|ai providers|embedding providers|apiKeys|settings)$/;

/** Sorts paths as the document is written. */
export function comparePaths(one: readonly string[], other: readonly string[]): number {
  const depth = one.findIndex((name, index) => name !== other[index]);
  const [a, b] = [one[depth] ?? '', other[depth] ?? ''];
  const isNamed = NAMED.test(one.slice(0, depth).join(' '));
  // Names by code unit, so that every machine has the same order.
  return (isNamed ? 0 : KEY_ORDER.indexOf(a) - KEY_ORDER.indexOf(b)) || (a < b ? -1 : a > b ? 1 : 0);
}

/** The same document with its keys in canonical order, and without empty sections. */
export function canonical(document: ConfigurationDocument): ConfigurationDocument {
  return ordered(document, []) as ConfigurationDocument;
}

function ordered(value: unknown, path: string[]): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const isNamed = NAMED.test(path.join(' '));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .sort(([a], [b]) => comparePaths([...path, a], [...path, b]))
      .map(([key, item]) => [key, ordered(item, [...path, key])] as const)
      .filter(([, item]) => isNamed || !isEmpty(item)),
  );
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/** Canonical YAML: the same configuration is always the same bytes. */
export function toYaml(document: ConfigurationDocument): string {
  const yaml = new Document(canonical(document), { schema: 'core', version: '1.2', stringKeys: true });
  // References and entries without any field fit on one line.
  visit(yaml, {
    Pair(_key, pair) {
      if (isPair(pair) && isMap(pair.value) && isReferenceMap(pair.value.items.map(({ key }) => String(key))))
        pair.value.flow = true;
    },
  });
  return yaml.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function isReferenceMap(keys: string[]): boolean {
  return keys.length === 0 || (keys.length === 1 && (keys[0] === 'env' || keys[0] === 'file'));
}

/** As it is kept beside the secret: `env:NAME` or `file:PATH`. */
export function sourceOf(reference: SecretReference): string {
  return 'env' in reference ? `env:${reference.env}` : `file:${reference.file}`;
}

/** The reverse of `sourceOf()`. */
export function referenceTo(source: string): SecretReference {
  const value = source.slice(source.indexOf(':') + 1);
  return source.startsWith('env:') ? { env: value } : { file: value };
}
