import {
  AI_PROVIDER_FACTS,
  AI_PROVIDERS,
  type AiOptions,
  type AiProviderFacts,
  EMBEDDING_PROVIDERS,
  type EmbeddingProvider,
  KEYED_AI_PROVIDERS,
  PRECISIONS,
  ROLES,
  SETTINGS,
  type SettingDeclaration,
} from '@kg-operator/config';
import { AI_OPTION_RANGES } from './ai-provider.ts';
import { DEFAULT_EMBEDDING, MAX_DIMENSIONS } from './embedding.ts';

type Schema = Record<string, unknown>;

/**
 * The JSON Schema (2020-12) of a configuration file, made of what `@kg-operator/config` declares. It is published as
 * `schema/json/configuration.schema.json`; a test compares the two.
 */
export function configurationSchema(): Schema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:kg-operator:configuration:1',
    title: 'What config import reads and config export writes, as YAML or JSON',
    ...record({
      version: { const: 1 },
      host: {
        description:
          'Lines of .operator.conf, for install.sh --config. operator.sh says what each may be; where the file is there already it stays',
        type: 'object',
        patternProperties: {
          '^[A-Z][A-Z0-9_]*$': { type: ['string', 'integer', 'boolean'], pattern: '^[^\\p{Cc}]*$' },
        },
        additionalProperties: false,
      },
      users: {
        description: 'By name. Who is not named stays as they are, unless --prune is given',
        type: 'object',
        propertyNames: { pattern: '^[a-z0-9][a-z0-9._-]{0,62}$' },
        additionalProperties: { $ref: '#/$defs/user' },
      },
      ai: record({
        active: { description: 'The one that extracts concepts', enum: AI_PROVIDERS },
        providers: byName(AI_PROVIDERS, (name) => aiEntry(AI_PROVIDER_FACTS[name])),
      }),
      embedding: record({
        active: { description: 'The one that makes embeddings', enum: EMBEDDING_PROVIDERS },
        providers: byName(EMBEDDING_PROVIDERS, embeddingEntry),
      }),
      apiKeys: {
        description: 'By provider; extraction and embeddings of one provider share its key',
        ...byName(KEYED_AI_PROVIDERS, () => ({ $ref: '#/$defs/secret' })),
      },
      objectStore: { description: 'Where documents are kept', enum: ['garage', 'files'] },
      settings: byName(Object.keys(SETTINGS) as (keyof typeof SETTINGS)[], (name) => setting(SETTINGS[name])),
    }),
    required: ['version'],
    $defs: {
      user: {
        ...record({
          role: { enum: ROLES },
          disabled: { description: 'May not log in', type: 'boolean', default: false },
          password: {
            description: 'Required for a user who is not there yet; others keep theirs without it',
            $ref: '#/$defs/secret',
          },
        }),
        required: ['role'],
      },
      secret: {
        description: 'Where the secret is read from; never the secret itself',
        ...record({
          env: {
            description: 'A variable of the environment',
            type: 'string',
            pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
          },
          file: {
            description: 'A file beneath the installation; a relative path begins at its root',
            type: 'string',
            pattern: '^[^\\p{Cc}]{1,1024}$',
          },
        }),
        minProperties: 1,
        maxProperties: 1,
      },
    },
  };
}

function record(properties: Schema): Schema {
  return { type: 'object', properties, additionalProperties: false };
}

function byName<Name extends string>(names: readonly Name[], entry: (name: Name) => Schema): Schema {
  return record(Object.fromEntries(names.map((name) => [name, entry(name)])));
}

// As the topics check them: a model's name has no blanks.
const model = { type: 'string', pattern: '^[!-~]{1,200}$' };
const address = { description: 'http or https', type: 'string', format: 'uri' };

function aiEntry(facts: AiProviderFacts): Schema {
  if (facts.protocol === 'rules') return record({});
  return {
    ...record({
      model: facts.model === null ? model : { ...model, default: facts.model },
      baseUrl: facts.baseUrl === null ? address : { ...address, default: facts.baseUrl },
      options: record({
        temperature: option('temperature', facts.protocol === 'anthropic' ? 1 : undefined),
        maxTokens: { description: 'Most tokens of an answer', ...option('maxTokens') },
        concurrency: { description: 'Most requests at once from one API process', ...option('concurrency') },
      }),
    }),
    required: [...(facts.model === null ? ['model'] : []), ...(facts.baseUrl === null ? ['baseUrl'] : [])],
  };
}

function option(name: keyof AiOptions, most = AI_OPTION_RANGES[name].max): Schema {
  const { integer, min } = AI_OPTION_RANGES[name];
  return { type: integer ? 'integer' : 'number', minimum: min, maximum: most };
}

function embeddingEntry(provider: EmbeddingProvider): Schema {
  const defaults = DEFAULT_EMBEDDING[provider];
  return {
    ...record({
      model: { ...model, default: defaults.model },
      dimensions: {
        description: 'Length of its vectors',
        type: 'integer',
        minimum: 1,
        maximum: MAX_DIMENSIONS,
        default: defaults.dimensions,
      },
      baseUrl: address,
      precision: { enum: PRECISIONS, default: PRECISIONS[0] },
    }),
    // A model's vectors have the length they have: whoever names one says both.
    dependentRequired: { model: ['dimensions'], dimensions: ['model'] },
  };
}

function setting(declared: SettingDeclaration): Schema {
  const { description } = declared;
  if (declared.type === 'boolean') return { description, type: 'boolean', default: declared.default };
  if (declared.type === 'string')
    return {
      description,
      type: 'string',
      // What checkSetting() says: one line, with something on it.
      pattern: '^(?=.*\\S)[^\\p{Cc}\\p{Zl}\\p{Zp}]+$',
      maxLength: declared.maxLength,
      default: declared.default,
    };
  return {
    description: `${description} (${declared.unit})`,
    type: 'integer',
    minimum: declared.min,
    maximum: declared.max,
    default: declared.default,
  };
}
