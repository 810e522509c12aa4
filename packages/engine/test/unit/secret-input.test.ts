import { mkdirSync, mkdtempSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { givenSecret } from '../../src/cli/secret-input.ts';
import { resolveSecrets } from '../../src/config/document-secrets.ts';

test("a secret's file is remembered so that a configuration file finds it again, from wherever it was given", async () => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'kg-source-')));
  mkdirSync(join(root, 'secrets'));
  writeFileSync(join(root, 'secrets/openai'), 'sk-1\n');
  const elsewhere = join(realpathSync(tmpdir()), `kg-source-key-${process.pid}`);
  writeFileSync(elsewhere, 'sk-1');
  for (const [file, source] of [
    [join(root, 'secrets/openai'), 'file:secrets/openai'],
    [elsewhere, `file:${elsewhere}`],
  ] as const) {
    const given = await givenSecret({ what: 'API key', variable: 'X', file }, { KG_ROOT: root });
    expect([given?.secret.reveal(), given?.source]).toEqual(['sk-1', source]);
    const reference = { file: source.slice('file:'.length) };
    const [found] = resolveSecrets({ version: 1, apiKeys: { openai: reference } }, { env: {}, root });
    expect(found?.secret?.reveal()).toBe('sk-1');
  }
});
