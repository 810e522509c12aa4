import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseEnvFile } from '../../src/model/env-file.ts';
import { infrastructureSecret, readSettings } from '../../src/model/settings.ts';

const installation = (files: Record<string, string>): string => {
  const root = mkdtempSync(join(tmpdir(), 'kg-settings-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
  return root;
};

describe('readSettings', () => {
  test('what a person sees comes from .operator.conf, with defaults', () => {
    const root = installation({ '.operator.conf': 'WEB_PORT=3001\nBIND_ADDRESS=192.0.2.7\n' });
    expect(readSettings({ KG_ROOT: root }).publicUrl).toEqual({
      api: 'http://192.0.2.7:8000',
      web: 'http://192.0.2.7:3001',
    });
    expect(readSettings({ KG_ROOT: installation({}) }).publicUrl.web).toBe('http://localhost:3000');
  });

  test('with TLS it is https:// and PUBLIC_HOST, and 443 goes without saying', () => {
    const conf = 'WEB_PORT=443\nBIND_ADDRESS=0.0.0.0\nTLS_MODE=files\nPUBLIC_HOST=kg.example.org\n';
    expect(readSettings({ KG_ROOT: installation({ '.operator.conf': conf }) })).toMatchObject({
      tls: { mode: 'files', host: 'kg.example.org' },
      publicUrl: { api: 'https://kg.example.org:8000', web: 'https://kg.example.org' },
      gateway: { api: 'https://gateway:8000', web: 'https://gateway:3000' },
    });
    const off = 'TLS_MODE=off\nPUBLIC_HOST=kg.example.org\n';
    expect(readSettings({ KG_ROOT: installation({ '.operator.conf': off }) })).toMatchObject({
      tls: null,
      publicUrl: { web: 'http://localhost:3000' },
      gateway: { web: 'http://gateway:3000' },
    });
  });

  test('a line that breaks the grammar is named, and its value is not repeated', () => {
    const root = installation({ '.operator.conf': 'WEB_PORT=3001\nAPI_PORT="hunter2"\n' });
    expect(() => readSettings({ KG_ROOT: root })).toThrow(
      expect.objectContaining({
        exitCode: 3,
        details: [expect.stringMatching(/^\.operator\.conf:2: .*quotes/)],
      }),
    );
  });
});

describe('infrastructureSecret', () => {
  test('the environment wins over .env; neither names init', () => {
    const settings = readSettings({ KG_ROOT: installation({ '.env': 'ENCRYPTION_KEY=fromfile\n' }) });
    expect(infrastructureSecret(settings, 'ENCRYPTION_KEY', {}).reveal()).toBe('fromfile');
    expect(infrastructureSecret(settings, 'ENCRYPTION_KEY', { ENCRYPTION_KEY: 'fromenv' }).reveal()).toBe(
      'fromenv',
    );
    expect(() => infrastructureSecret(settings, 'POSTGRES_PASSWORD', {})).toThrow(
      expect.objectContaining({ code: 'SECRET_MISSING', hint: expect.stringContaining('init') }),
    );
  });
});

interface Vector {
  name: string;
  level: 'grammar' | 'keys';
  text: string;
  ok: boolean;
  errorLine?: number;
}

describe('parseEnvFile agrees with operator.sh on the shared vectors', () => {
  const path = new URL('../../../../test/shell/env-vectors.json', import.meta.url);
  const vectors = (JSON.parse(readFileSync(path, 'utf8')) as Vector[]).filter(
    ({ level }) => level === 'grammar',
  );
  test.each(vectors.map((vector) => [vector.name, vector] as const))(
    '%s',
    (_name, { text, ok, errorLine }) => {
      const { problems } = parseEnvFile(text);
      expect(problems.length === 0).toBe(ok);
      if (errorLine !== undefined) expect(problems[0]?.line).toBe(errorLine);
    },
  );
});
