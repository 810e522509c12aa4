import {
  AI_PROVIDER_FACTS,
  AI_PROVIDERS,
  EMBEDDING_PROVIDERS,
  KEYED_AI_PROVIDERS,
} from '@kg-operator/config';
import fc from 'fast-check';
import type { ConfigurationDocument, SecretReference } from '../src/config/document.ts';

type Arbitrary<T> = fc.Arbitrary<T>;
// fast-check gives `undefined` no place in a document; absent keys are what is meant.
const record = <T>(shape: { [Name in keyof T]: Arbitrary<T[Name]> }, requiredKeys: (keyof T)[] = []) =>
  fc.record(shape, { requiredKeys: requiredKeys as never[], noNullPrototype: true }) as Arbitrary<T>;

const model = fc.stringMatching(/^[!-~]{1,40}$/);
const address = fc.webUrl({ withQueryParameters: false, withFragments: false });
const title = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
  .filter((text) => /^(?=.*\S)[^\p{Cc}\p{Zl}\p{Zp}]{1,60}$/u.test(text));

const reference: Arbitrary<SecretReference> = fc.oneof(
  fc.record({ env: fc.stringMatching(/^KG_[A-Z0-9_]{1,20}$/) }),
  fc.record({
    file: fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
      .filter((text) => /^[^\p{Cc}]{1,1024}$/u.test(text)),
  }),
);

const options = record({
  temperature: fc.double({ min: 0, max: 1, noNaN: true }),
  maxTokens: fc.integer({ min: 1, max: 1_000_000 }),
  concurrency: fc.integer({ min: 1, max: 256 }),
});

const username = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,12}$/);

/** Documents that fit the schema; a provider that is active is among its providers. */
export function configurationDocuments(): Arbitrary<ConfigurationDocument> {
  const ai = record(
    Object.fromEntries(
      AI_PROVIDERS.map((name) => {
        const { protocol, model: known, baseUrl } = AI_PROVIDER_FACTS[name];
        const required = [...(known === null ? ['model'] : []), ...(baseUrl === null ? ['baseUrl'] : [])];
        return [
          name,
          protocol === 'rules'
            ? fc.constant({})
            : record({ model, baseUrl: address, options }, required as never[]),
        ];
      }),
    ),
  );
  const embedding = record(
    Object.fromEntries(
      EMBEDDING_PROVIDERS.map((name) => [
        name,
        record(
          {
            model,
            dimensions: fc.integer({ min: 1, max: 16_000 }),
            baseUrl: address,
            precision: fc.constantFrom('float32', 'float16'),
          },
          ['model', 'dimensions'],
        ),
      ]),
    ),
  );
  const withActive = (providers: Arbitrary<object>) =>
    providers.chain((some) => {
      const names = Object.keys(some);
      return names.length === 0
        ? fc.constant({ providers: some })
        : record({ active: fc.constantFrom(...names), providers: fc.constant(some) }, ['providers']);
    });
  return record(
    {
      version: fc.constant(1),
      users: fc.dictionary(
        username,
        record({ role: fc.constantFrom('admin', 'user'), disabled: fc.boolean(), password: reference }, [
          'role',
          'password',
        ]),
        { maxKeys: 4 },
      ),
      ai: withActive(ai),
      embedding: withActive(embedding),
      apiKeys: record(Object.fromEntries(KEYED_AI_PROVIDERS.map((name) => [name, reference]))),
      objectStore: fc.constantFrom('garage', 'files'),
      settings: record({
        'auth.token-lifetime': fc.integer({ min: 300, max: 86_400 }),
        'extraction.timeout': fc.integer({ min: 5, max: 900 }),
        'web.title': title,
      }),
    },
    ['version'],
  ) as Arbitrary<ConfigurationDocument>;
}
