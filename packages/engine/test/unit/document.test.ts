import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { SETTINGS } from '@kg-operator/config';
import fc from 'fast-check';
import { toYaml } from '../../src/config/document.ts';
import { parseConfiguration } from '../../src/config/document-parse.ts';
import { configurationSchema } from '../../src/config/document-schema.ts';
import { MAX_BYTES } from '../../src/config/document-syntax.ts';
import { configurationDocuments } from '../configuration-documents.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const parse = (text: string) => parseConfiguration(bytes(text), 'kg.yaml');

/** The complaints about a text; fails for anything thrown that a person was not meant to see. */
function complaints(text: string | Uint8Array): string[] {
  try {
    parseConfiguration(typeof text === 'string' ? bytes(text) : text, 'kg.yaml');
    return [];
  } catch (error) {
    const { name, code, exitCode, details } = error as Record<string, unknown>;
    expect({ name, code, exitCode }).toEqual({
      name: 'OperatorError',
      code: 'FILE_INVALID',
      exitCode: 4,
    });
    return details as string[];
  }
}

const WHOLE = `version: 1
users:
  admin:
    role: admin
    password: {env: KG_ADMIN_PASSWORD}
  bob:
    role: user
    disabled: true
    password: {file: secrets/bob}
ai:
  active: openai
  providers:
    local: {}
    openai:
      model: gpt-5-mini
      options:
        temperature: 0.2
        maxTokens: 2000
        concurrency: 4
    vllm:
      model: qwen3
      baseUrl: http://gpu.example.org:8000/v1
embedding:
  active: local
  providers:
    local:
      model: nomic-embed-text-v1.5
      dimensions: 768
      precision: float32
apiKeys:
  openai: {env: KG_OPENAI_API_KEY}
objectStore: garage
settings:
  auth.token-lifetime: 7200
  web.title: "My graph: a #1"
`;

describe('a configuration file', () => {
  test('is read as it is written', () => {
    const { document, at } = parse(WHOLE);
    expect(document.users?.bob).toEqual({ role: 'user', disabled: true, password: { file: 'secrets/bob' } });
    expect(document.settings).toEqual({ 'auth.token-lifetime': 7200, 'web.title': 'My graph: a #1' });
    expect(at(['apiKeys', 'openai'])).toBe('kg.yaml:31:11');
    expect(toYaml(document)).toBe(WHOLE);
  });

  test('may be JSON', () => {
    const { document } = parse(WHOLE);
    expect(parse(JSON.stringify(document)).document).toEqual(document);
    expect(parse(JSON.stringify(document, null, 2)).document).toEqual(document);
    expect(complaints('{"version": 1,\n "users": {"a": {"role": "x"}}}')).toEqual([
      'kg.yaml:2:26: users.a.role must be one of admin, user',
    ]);
  });

  test('written again it is the same document, and canonical YAML stays the same bytes', () => {
    fc.assert(
      fc.property(configurationDocuments(), (document) => {
        const yaml = toYaml(document);
        const again = parse(yaml).document;
        expect(toYaml(again)).toBe(yaml);
        expect(toYaml(parse(JSON.stringify(document)).document)).toBe(yaml);
      }),
      { numRuns: 300 },
    );
  });

  test('is described by the published schema', () => {
    const file = new URL('../../../../schema/json/configuration.schema.json', import.meta.url);
    const schema = JSON.parse(JSON.stringify(configurationSchema()));
    if (process.env.KG_UPDATE_SCHEMA) writeFileSync(file, `${JSON.stringify(schema, null, 2)}\n`);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(schema);
  });
});

describe('everything that is wrong is told at once, with its place', () => {
  test.each([
    ['an unknown section', 'version: 1\nuser: {}\n', ['2:1: "user" is not known; did you mean users?']],
    [
      'an unknown field',
      'version: 1\nai: {providers: {openai: {modle: x}}}',
      ['2:27: ai.providers.openai: "modle" is not known; did you mean model?'],
    ],
    [
      'an unknown provider',
      'version: 1\nai:\n  active: opnai\n  providers: {antropic: {}}',
      [
        '3:11: ai.active must be one of openai, anthropic, openrouter, ollama, vllm, llama-cpp, openai-compatible, local',
        '4:15: ai.providers: "antropic" is not known; did you mean anthropic?',
      ],
    ],
    [
      'an unknown setting',
      'version: 1\nsettings: {web.titel: x}',
      ['2:12: settings: "web.titel" is not known; did you mean web.title?'],
    ],
    [
      'a setting out of range',
      'version: 1\nsettings:\n  auth.token-lifetime: 1\n  web.title: 7',
      [
        '3:24: settings.auth.token-lifetime must be a whole number from 300 to 86400 (seconds)',
        '4:14: settings.web.title must be one line of 1 to 60 characters',
      ],
    ],
    [
      'wrong types',
      'version: 1\nusers: [admin]\nai: {providers: {vllm: {model: 7, options: {temperature: hot, maxTokens: 1.5}}}}',
      [
        '2:8: users must hold names and their values',
        '3:32: ai.providers.vllm.model must be text: put it in quotes',
        '3:58: ai.providers.vllm.options.temperature must be a number from 0 to 2',
        '3:74: ai.providers.vllm.options.maxTokens must be a whole number from 1 to 1000000',
      ],
    ],
    [
      'something missing',
      'users: {a: {}}\nai: {providers: {openai-compatible: {}}}\nembedding: {providers: {local: {model: x}}}',
      [
        '1:1: version is missing',
        '1:9: users.a: role is missing',
        '2:18: ai.providers.openai-compatible: model is missing',
        '2:18: ai.providers.openai-compatible: baseUrl is missing',
        '3:25: embedding.providers.local: dimensions is missing',
      ],
    ],
    [
      'an empty value',
      'version: 1\nusers:\nai:\n  active:\n',
      [
        '2:7: users is empty: give a value, or leave the name away as well',
        '4:10: ai.active is empty: give a value, or leave the name away as well',
      ],
    ],
    ['another version', 'version: 2', ['1:10: version must be 1, which is all that this version reads']],
    [
      'a user name',
      'version: 1\nusers: {"A b": {role: user}}',
      [
        '2:9: "A b" can\'t be a user name: use 1 to 63 of a-z, 0-9, ".", "_" and "-", starting with a letter or digit',
      ],
    ],
    [
      'an address with a password in it',
      'version: 1\nai: {providers: {vllm: {model: m, baseUrl: "http://u:p4ssw0rd@x/v1"}}}',
      [
        '2:44: ai.providers.vllm.baseUrl must be an http(s) address, without a user name, a query or a fragment',
      ],
    ],
    [
      'rules that have nothing to choose',
      'version: 1\nai: {providers: {local: {model: m}}}',
      ['2:26: ai.providers.local: "model" is not known; nothing can be chosen here'],
    ],
    ['a file that is one word', 'hello', ['1:1: the file must hold names and their values']],
    ['an empty file', '# nothing\n', ['1:1: the file is empty']],
  ])('%s', (_name, text, expected) => {
    expect(complaints(text)).toEqual(expected.map((line) => `kg.yaml:${line}`));
  });

  test('more than fifty are counted', () => {
    const found = complaints(`version: 1\n${Array.from({ length: 80 }, (_, i) => `x${i}: 1`).join('\n')}`);
    expect([found.length, found.at(-1)]).toEqual([51, 'and 30 more']);
  });
});

describe('a secret in the file is refused, and not repeated', () => {
  const secret = 'sk-hunter2-hunter2';
  test.each([
    ['as the value', `apiKeys:\n  openai: ${secret}`],
    ['as the variable', `apiKeys:\n  openai: {env: ${secret}}`],
    ['as a field', `apiKeys:\n  openai: {value: ${secret}}`],
    ['as a name', `apiKeys:\n  openai: {${secret}: }`],
    ['beside a reference', `apiKeys:\n  openai: {env: KG_A, file: ${secret}}`],
    ['in a list', `apiKeys:\n  openai: [${secret}]`],
  ])('%s', (_name, text) => {
    const [found, ...more] = complaints(`version: 1\n${text}`);
    expect(more).toEqual([]);
    expect(found).toMatch(/^kg\.yaml:3:\d+: apiKeys\.openai must say where the secret is, \{env: NAME\}/);
    expect(found).not.toContain('hunter2');
  });

  test('as a password', () => {
    expect(complaints(`version: 1\nusers: {admin: {role: admin, password: ${secret}}}`)).toEqual([
      'kg.yaml:2:40: users.admin.password must say where the secret is, {env: NAME} or {file: PATH}: a secret itself is never written here',
    ]);
  });

  test('where a key was expected elsewhere', () => {
    expect(complaints(`version: 1\nai: {providers: {openai: {apiKey: ${secret}}}}`)).toEqual([
      'kg.yaml:2:27: ai.providers.openai: "apiKey" is not known; keys have a section of their own, apiKeys',
    ]);
  });

  test.each([
    `apiKeys: {openai: "${secret}\\q"}`,
    `apiKeys:\n  openai: ${secret}: x: y`,
    `apiKeys:\n  openai: "${secret}`,
    `apiKeys:\n  openai: !${secret} x`,
    `apiKeys:\n  openai: *${secret}`,
    `apiKeys:\n  openai: @${secret}`,
    `apiKeys:\n  openai: {env: "${secret}\n`,
    `apiKeys: {openai: {env: A}}\nai: ${secret}\nobjectStore: ${secret}\nembedding: {active: ${secret}}`,
    `settings: {web.title: [${secret}], extraction.timeout: ${secret}}`,
    `users: {a: {role: ${secret}, disabled: ${secret}}}\nversion: ${secret}`,
    `ai: {providers: {vllm: {model: "${secret} x", baseUrl: ${secret}, options: ${secret}}}}`,
  ])('in a broken line: %j', (text) => {
    const found = complaints(text);
    expect(found.length).toBeGreaterThan(0);
    expect(found.join('\n')).not.toContain('hunter2');
  });
});

describe('hostile files', () => {
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]']
    .concat(Array.from('bcdefghi', (name, i) => `${name}: &${name} [${`*${'abcdefgh'[i]},`.repeat(9)}]`))
    .join('\n');

  test.each<[string, string | Uint8Array, RegExp]>([
    ['an alias bomb', bomb, /aliases \(\*name\) are not supported/],
    ['an alias of itself', 'version: 1\nusers: &u {admin: *u}', /aliases/],
    ['a merge key', 'version: 1\n<<: {users: {}}', /"<<" is not known/],
    [
      'names twice',
      'version: 1\nusers: {a: {role: user}, a: {role: admin}}',
      /^kg\.yaml:2:26: "a" is there twice, first in line 2$/,
    ],
    ['sections twice', 'version: 1\nusers: {}\nversion: 1', /3:1: "version" is there twice, first in line 1/],
    ['__proto__', 'version: 1\n__proto__: {role: admin}\nusers: {__proto__: {role: admin}}', /"__proto__"/],
    [
      'constructor',
      'version: 1\nconstructor: 1\nsettings: {constructor: 1, toString: 2}',
      /"toString" is not known/,
    ],
    ['tags', 'version: !!js/function "x"', /tags/],
    ['two documents', 'version: 1\n---\nversion: 1', /a second document begins here/],
    ['lists as names', '? [a]\n: 1', /a name must be text/],
    [
      'numbers without end',
      'version: 1\nai: {providers: {vllm: {model: m, options: {temperature: .inf, maxTokens: 1e400}}}}',
      /must be a whole number/,
    ],
    [
      'control characters',
      'version: 1\nsettings: {web.title: "a\\x1b[2Jb"}',
      /one line of 1 to 60 characters/,
    ],
    ['a title of blanks', 'version: 1\nsettings: {web.title: " "}', /one line of 1 to 60 characters/],
    ['a line separator', 'version: 1\nsettings: {web.title: "a\\u2028b"}', /one line of 1 to 60 characters/],
    ['half a surrogate', 'version: 1\nsettings: {web.title: "a\\ud800"}', /half a character/],
    ['terminal codes in a name', 'version: 1\n"\\x1b[2J": 1', /"\\u001b\[2J" is not known/],
    ['no UTF-8', new Uint8Array([0x76, 0xff, 0xfe]), /the file is not UTF-8 text/],
    ['too large', `version: 1 #${'x'.repeat(MAX_BYTES)}`, /the file is larger than 256 KiB/],
    [
      'thousands of wrong names',
      Array.from({ length: 20_000 }, (_, i) => `k${i}: 1`).join('\n'),
      /"k0" is not known/,
    ],
    ['thousands of the same name', `{${'a,'.repeat(60_000)}}`, /"a" is there twice, first in line 1/],
    ['brackets without end', '['.repeat(MAX_BYTES), /nested too deep|missing/],
    ['braces without end', '{a: '.repeat(MAX_BYTES / 4), /nested too deep|missing/],
    ['deep blocks', Array.from({ length: 700 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'), /not known/],
    ['tabs', 'version: 1\nusers:\n\ta: 1', /tabs can not indent/],
    ['NUL in a path', 'version: 1\napiKeys: {openai: {file: "a\\0b"}}', /must say where the secret is/],
  ])('%s', (_name, text, expected) => {
    const started = performance.now();
    const found = complaints(text).join('\n');
    expect(found).toMatch(expected);
    expect(found).toMatch(/^kg\.yaml:\d+:\d+: /);
    expect(found).not.toMatch(/[^\P{Cc}\n]/u);
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  test('any text gives a document or complaints', () => {
    const fragment = fc.oneof(
      fc.constantFrom(
        ...WHOLE.split('\n'),
        '---',
        '&a',
        '*a',
        '!!str',
        '? ',
        '- ',
        '{',
        '}',
        '[',
        ']',
        '"',
        "'",
        '|',
        '>',
      ),
      fc.string({ unit: 'binary', maxLength: 12 }),
    );
    fc.assert(
      fc.property(
        fc.array(fragment, { maxLength: 25 }),
        fc.constantFrom('\n', ' ', '\r\n', ''),
        (parts, glue) => {
          complaints(parts.join(glue));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a whole file with one character changed gives a document or complaints', () => {
    fc.assert(
      fc.property(fc.nat(WHOLE.length - 1), fc.string({ unit: 'binary', maxLength: 2 }), (index, put) => {
        complaints(WHOLE.slice(0, index) + put + WHOLE.slice(index + 1));
      }),
      { numRuns: 500 },
    );
  });
});

test('every setting can be in a file', () => {
  for (const [name, { default: value }] of Object.entries(SETTINGS))
    expect(complaints(`version: 1\nsettings: {${name}: ${JSON.stringify(value)}}`)).toEqual([]);
});
