import { describeSetting, nearest, SETTINGS, type SettingDeclaration } from '@kg-operator/config';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { checkBaseUrl } from './ai-provider.ts';
import { configurationSchema } from './document-schema.ts';
import { type Problem, quote } from './document-syntax.ts';

let compiled: ValidateFunction | undefined;

/** Everything in which `value` is not what the schema of configuration files says; empty where it is. */
export function schemaProblems(value: unknown): Problem[] {
  compiled ??= compile();
  compiled(value);
  const problems = (compiled.errors ?? []).map(problemOf).filter((problem) => problem !== null);
  // Two rules broken by one value are one problem to a person.
  const byPlace = new Map(
    problems.map((problem) => [JSON.stringify([problem.path, problem.message]), problem]),
  );
  return [...byPlace.values()];
}

function compile(): ValidateFunction {
  const ajv = new Ajv2020({
    allErrors: true,
    verbose: true,
    strict: true,
    strictRequired: false,
    allowUnionTypes: true,
  });
  ajv.addFormat('uri', (text) => isBaseUrl(text));
  return ajv.compile(configurationSchema());
}

const SECRET =
  'must say where the secret is, {env: NAME} or {file: PATH}: a secret itself is never written here';

function problemOf(error: ErrorObject): Problem | null {
  const path = pathOf(error.instancePath);
  const secret = secretPath(path);
  if (secret) return problem(secret, SECRET);
  const params = error.params as Record<string, string>;
  switch (error.keyword) {
    case 'additionalProperties':
      return unknownKey(path, params.additionalProperty ?? '', error);
    case 'propertyNames': {
      const name = params.propertyName ?? '';
      const rule = 'use 1 to 63 of a-z, 0-9, ".", "_" and "-", starting with a letter or digit';
      return { path: [...path, name], atKey: true, message: `${quote(name)} can't be a user name: ${rule}` };
    }
    case 'required':
    case 'dependentRequired':
      return { path, atKey: true, message: `${within(path)}${params.missingProperty} is missing` };
    default:
      // The rule of a name itself is told by `propertyNames`.
      return error.propertyName === undefined ? problem(path, expectation(path, error)) : null;
  }
}

/** What a value must be, in words. */
function expectation(
  path: readonly string[],
  { keyword, data, params, parentSchema = {} }: ErrorObject,
): string {
  if (data === null) return 'is empty: give a value, or leave the name away as well';
  if (path[0] === 'settings' && path.length === 2)
    return `must be ${describeSetting(SETTINGS[path[1] as keyof typeof SETTINGS] as SettingDeclaration)}`;
  if (keyword === 'enum') return `must be one of ${parentSchema.enum.join(', ')}`;
  if (keyword === 'const') return `must be ${params.allowedValue}, which is all that this version reads`;
  if (keyword === 'format') return 'must be an http(s) address, without a user name, a query or a fragment';
  if (path[0] === 'host' && path.length === 2)
    return 'must be one line of text, a whole number, true or false';
  if (parentSchema.minimum !== undefined) {
    const number = parentSchema.type === 'integer' ? 'a whole number' : 'a number';
    return `must be ${number} from ${parentSchema.minimum} to ${parentSchema.maximum}`;
  }
  if (parentSchema.type === 'object') return 'must hold names and their values';
  if (parentSchema.type === 'boolean') return 'must be true or false';
  if (typeof data !== 'string') return 'must be text: put it in quotes';
  return 'must be text of 1 to 200 characters without blanks';
}

function unknownKey(parent: readonly string[], name: string, { parentSchema = {} }: ErrorObject): Problem {
  const path = [...parent, name];
  if (parent[0] === 'host')
    return {
      path,
      atKey: true,
      message: `host: ${quote(name)} is not known; .operator.conf.example has all keys`,
    };
  const known = Object.keys(parentSchema.properties);
  const meant = nearest(name, known);
  const isKey = /^(api.?)?key$/i.test(name) && parent[1] === 'providers';
  const why = isKey
    ? 'keys have a section of their own, apiKeys'
    : meant
      ? `did you mean ${meant}?`
      : known.length > 0
        ? `there are ${known.join(', ')}`
        : 'nothing can be chosen here';
  return { path, atKey: true, message: `${within(parent)}${quote(name)} is not known; ${why}` };
}

function within(path: readonly string[]): string {
  return path.length > 0 ? `${path.join('.')}: ` : '';
}

function problem(path: readonly string[], what: string): Problem {
  return { path, message: `${path.length > 0 ? path.join('.') : 'the file'} ${what}` };
}

/** The path of the reference that `path` is in, if it is in one. */
function secretPath(path: readonly string[]): readonly string[] | null {
  if (path[0] === 'users' && path[2] === 'password') return path.slice(0, 3);
  if (path[0] === 'apiKeys' && path.length >= 2) return path.slice(0, 2);
  return null;
}

/** RFC 6901 */
function pathOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function isBaseUrl(text: string): boolean {
  try {
    checkBaseUrl(text);
    return true;
  } catch {
    // It throws nothing but what is wrong with the address.
    return false;
  }
}
