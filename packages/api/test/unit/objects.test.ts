import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { fileStore } from '../../src/objects/files.ts';
import { configuredObjects } from '../../src/objects/index.ts';
import { objectStoreContract } from '../contract/objects.ts';
import { MemoryObjects } from '../fakes.ts';

const folder = mkdtempSync(join(tmpdir(), 'kg objects '));
afterAll(() => rmSync(folder, { recursive: true }));

describe('in files', () => objectStoreContract(() => fileStore(folder, 'objects', 'bucket')));

describe('in memory', () => {
  const memory = new MemoryObjects();
  objectStoreContract(() => memory);
});

test.each([
  '../x',
  'a/../../x',
  '/etc/passwd',
  'C:/x',
  'a\\b',
  'a//b',
  '',
  '.hidden',
  'A',
  'con',
  'nul.txt',
  'a.',
  `${'a'.repeat(200)}`,
])('no key leads out of the folder, or to another file on another system: %j', async (key) => {
  const store = fileStore(folder);
  await expect(store.put(key, new Uint8Array(), 'text/plain')).rejects.toThrow(/not a key/);
  await expect(store.get(key)).rejects.toThrow(/not a key/);
  await expect(store.delete(key)).rejects.toThrow(/not a key/);
});

test('a write that fails leaves the old object and nothing beside it', async () => {
  const store = fileStore(folder, 'failing');
  await store.put('documents/one', new TextEncoder().encode('old'), 'text/plain');
  writeFileSync(join(folder, 'failing', 'file'), '');
  await expect(store.put('file/one', new Uint8Array(), 'text/plain')).rejects.toThrow();
  expect(readdirSync(join(folder, 'failing', 'documents'))).toEqual(['one']);
});

const unix = process.platform === 'win32' ? test.skip : test;
unix('nobody else may read an object', async () => {
  await fileStore(folder, 'modes').put('documents/one', new Uint8Array(), 'text/plain');
  expect(statSync(join(folder, 'modes/documents/one')).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'modes/documents')).mode & 0o777).toBe(0o700);
});

test('a folder that is none does not pass the check', async () => {
  writeFileSync(join(folder, 'occupied'), '');
  await expect(fileStore(folder, 'occupied', 'x').check()).rejects.toThrow();
});

test('a container, which has no data directory, says why it will not use files', async () => {
  const settings = {
    endpoint: 'file:objects',
    region: 'local',
    bucket: 'b',
    accessKeyId: '',
    secretAccessKey: null,
  };
  await expect(configuredObjects(settings, null)).rejects.toThrow(/config garage/);
});
