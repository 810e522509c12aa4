import {
  AI_PROVIDER_FACTS,
  AI_PROVIDERS,
  type AiProvider,
  type ConfigState,
  EMBEDDING_PROVIDERS,
  type EmbeddingProvider,
  effectiveBaseUrl,
  type HostName,
  type Secret,
  type Tables,
} from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { setUserIn } from '../config/admin.ts';
import { checkBaseUrl, listAiProviders, setAiProviderIn } from '../config/ai-provider.ts';
import { checkApiKey, hasApiKey, setApiKeyIn } from '../config/api-key.ts';
import { openClaimIn } from '../config/claim.ts';
import { setEmbeddingIn } from '../config/embedding.ts';
import { changeConfig } from '../config/history.ts';
import { type ProbeResult, probeProvider } from '../config/probe.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { askChoice, askConfirmation, askSecret, askText, asValidation } from './prompts.ts';
import { describeProbe } from './provider-test.ts';
import type { GivenSecret } from './secret-input.ts';
import type { Setup } from './setup.ts';

interface ApplyOptions {
  interactive: boolean;
  /** Without a password: the first admin is made in the web app. */
  claim: boolean;
  encryptionKey: Secret;
  /** How servers on this machine are reached from where the platform runs. */
  host: HostName;
  actor: string;
  say: (line: string) => void;
  fetch: typeof fetch;
}

interface Answers {
  password?: GivenSecret;
  claim?: true;
  ai?: { provider: AiProvider; model?: string | undefined; baseUrl?: string | undefined };
  embedding?: EmbeddingProvider;
  /** By provider. */
  keys: Map<AiProvider, GivenSecret>;
}

/**
 * Writes what configuration still lacks from what was given, asking on a terminal for the rest, and the provider whether it takes the
 * answers; what is configured already stays. Nobody is asked for the admin's password: that is for the claim page. All of it is one change. Returns the names of what it wrote.
 * @throws OperatorError INPUT_MISSING (exit 4) naming every flag and variable, before anything is written
 */
export async function applySetup(
  db: Kysely<Tables>,
  state: ConfigState,
  setup: Setup,
  options: ApplyOptions,
): Promise<string[]> {
  const needs = await findNeeds(db, state);
  if (!options.interactive) assertGiven(setup, needs, options);
  const answers = await collectAnswers(setup, needs, options);
  const { actor, encryptionKey } = options;
  await changeConfig(db, async (trx) => {
    const { password, claim, ai, embedding, keys } = answers;
    if (claim) await openClaimIn(trx, { actor });
    if (password) {
      const { secret, source } = password;
      await setUserIn(trx, { username: setup.username, role: 'admin', password: secret, source, actor });
    }
    for (const [provider, { secret, source }] of keys)
      await setApiKeyIn(trx, { provider, key: secret, source, encryptionKey, actor });
    if (ai) await setAiProviderIn(trx, { ...ai, actor });
    if (embedding) await setEmbeddingIn(trx, { provider: embedding, actor });
  });
  const written = [
    ...(answers.password ? ['admin user'] : []),
    ...(answers.claim ? ['a claim for the first admin'] : []),
    ...(answers.ai ? [`AI provider ${answers.ai.provider}`] : []),
    ...[...answers.keys.keys()].map((provider) => `${provider} API key`),
    ...(answers.embedding ? [`embedding provider ${answers.embedding}`] : []),
  ];
  for (const what of written) options.say(`Configured ${what}`);
  return written;
}

/** Nobody is admin, whether a claim is open or not. */
export function lacksAdmin({ items, claim }: ConfigState): boolean {
  return claim !== null || items.some(({ item, ok }) => item === 'admin user' && !ok);
}

interface Needs {
  /** `claim`: it may wait until somebody claims the platform. */
  admin: boolean | 'claim';
  ai: boolean;
  embedding: boolean;
  /** Of what is configured already, the keys that are missing. */
  keys: AiProvider[];
  /** The active provider, where there is one. */
  provider: AiProvider | undefined;
  hasOpenaiKey: boolean;
}

async function findNeeds(db: Kysely<Tables>, state: ConfigState): Promise<Needs> {
  const { items, claim } = state;
  const lacks = (name: string) => items.some(({ item, ok }) => item === name && !ok);
  return {
    admin: claim ? 'claim' : lacksAdmin(state),
    ai: lacks('AI provider'),
    embedding: lacks('embedding provider'),
    keys: AI_PROVIDERS.filter((provider) => lacks(`${provider} API key`)),
    provider: (await listAiProviders(db)).find(({ active }) => active)?.provider,
    hasOpenaiKey: await hasApiKey(db, 'openai'),
  };
}

async function collectAnswers(setup: Setup, needs: Needs, options: ApplyOptions): Promise<Answers> {
  const answers: Answers = { keys: new Map() };
  if (needs.admin && setup.password) answers.password = setup.password;
  else if (needs.admin === true) answers.claim = true;
  if (needs.ai) await chooseAi(setup, options, answers);
  for (const provider of needs.keys)
    answers.keys.set(provider, await keyOf(provider, provider === needs.provider ? setup.aiKey : null));
  if (needs.embedding) {
    const provider =
      setup.embedding ?? (await askChoice('Which provider makes embeddings?', EMBEDDING_PROVIDERS));
    answers.embedding = provider;
    if (provider === 'openai' && !needs.hasOpenaiKey && !answers.keys.has('openai'))
      answers.keys.set(provider, await keyOf(provider, null));
  }
  return answers;
}

/** Asks until the provider takes the answers, or a person wants them stored all the same. */
async function chooseAi(setup: Setup, options: ApplyOptions, answers: Answers): Promise<void> {
  const provider =
    setup.aiProvider ?? (await askChoice('Which AI provider extracts concepts?', AI_PROVIDERS));
  answers.ai = { provider };
  if (provider === 'local') return;
  const facts = AI_PROVIDER_FACTS[provider];
  const baseUrl = setup.aiBaseUrl ?? (facts.baseUrl === null ? await askBaseUrl() : undefined);
  for (let attempt = 1; ; attempt++) {
    // What was given beforehand and did not do is asked for the second time.
    const [model, key] = attempt === 1 ? [setup.aiModel, setup.aiKey] : [null, null];
    answers.ai = { provider, baseUrl, model: model ?? (await modelOf(provider, options)) };
    const chosenKey = await optionalKeyOf(provider, key, options);
    if (chosenKey) answers.keys.set(provider, chosenKey);
    else answers.keys.delete(provider);
    if (!options.interactive) return;
    const result = await ask(answers.ai, chosenKey?.secret ?? null, options);
    options.say(describeProbe(result));
    if (result.outcome === 'ok' || (await askConfirmation('Store it all the same?'))) return;
  }
}

function ask(
  { provider, model, baseUrl }: NonNullable<Answers['ai']>,
  key: Secret | null,
  { host, fetch, say }: ApplyOptions,
): Promise<ProbeResult> {
  const url = effectiveBaseUrl(provider as Exclude<AiProvider, 'local'>, baseUrl ?? null, host);
  say(`Asking ${url} …`);
  return probeProvider({ provider, baseUrl: url, key, model: model ?? null }, fetch);
}

async function modelOf(provider: AiProvider, { interactive }: ApplyOptions): Promise<string | undefined> {
  if (!interactive) return undefined;
  return askText('Model', AI_PROVIDER_FACTS[provider].model ?? '', (text) => text !== '' || 'name one');
}

function askBaseUrl(): Promise<string> {
  return askText('Base URL', '', asValidation(checkBaseUrl));
}

/** Null where the provider has no key, or a person has none for it. */
async function optionalKeyOf(
  provider: AiProvider,
  given: GivenSecret | null,
  { interactive }: ApplyOptions,
): Promise<GivenSecret | null> {
  const { key: wants } = AI_PROVIDER_FACTS[provider];
  if (wants === 'none') return null;
  if (wants === 'required') return keyOf(provider, given);
  if (given || !interactive) return given;
  const secret = await askSecret(`API key for ${provider}, if it wants one`, (typed) =>
    typed.reveal() === '' ? true : asValidation(checkApiKey)(typed),
  );
  return secret.reveal() === '' ? null : { secret, source: null };
}

async function keyOf(provider: AiProvider, given: GivenSecret | null): Promise<GivenSecret> {
  return (
    given ?? { secret: await askSecret(`API key for ${provider}`, asValidation(checkApiKey)), source: null }
  );
}

function assertGiven(setup: Setup, needs: Needs, { claim }: ApplyOptions): void {
  const missing: string[] = [];
  if (needs.admin === true && !setup.password && !claim)
    missing.push(
      'admin password: set KG_ADMIN_PASSWORD, or --admin-password-file FILE; or --claim, to choose it later in the web app',
    );
  if (needs.ai && !setup.aiProvider)
    missing.push(`AI provider: --ai-provider ${AI_PROVIDERS.join('|')}, or set KG_AI_PROVIDER`);
  const facts = needs.ai && setup.aiProvider ? AI_PROVIDER_FACTS[setup.aiProvider] : null;
  if (facts && facts.protocol !== 'rules') {
    if (facts.baseUrl === null && !setup.aiBaseUrl)
      missing.push('base URL: --ai-base-url URL, or set KG_AI_BASE_URL');
    if (facts.model === null && !setup.aiModel) missing.push('model: --ai-model MODEL, or set KG_AI_MODEL');
  }
  const isKeyWanted = needs.ai
    ? facts === null || facts.key === 'required'
    : needs.keys.some((provider) => provider === needs.provider);
  if (isKeyWanted && !setup.aiKey) missing.push('provider key: set KG_AI_API_KEY, or --ai-key-file FILE');
  const provider = needs.ai ? setup.aiProvider : needs.provider;
  const wantsOpenai = needs.embedding ? setup.embedding === 'openai' : needs.keys.includes('openai');
  if (wantsOpenai && provider !== 'openai' && !needs.hasOpenaiKey)
    missing.push('openai API key, for embeddings: ./operator.sh config api-key openai');
  if (needs.embedding && !setup.embedding)
    missing.push(`embedding provider: --embedding ${EMBEDDING_PROVIDERS.join('|')}, or set KG_EMBEDDING`);
  if (missing.length === 0) return;
  throw new OperatorError(
    'INPUT_MISSING',
    'configuration is incomplete, and there is no terminal to ask on',
    {
      exitCode: EXIT.configuration,
      details: missing,
      hint: 'give these and run ./operator.sh up again; what is up stays up',
    },
  );
}
