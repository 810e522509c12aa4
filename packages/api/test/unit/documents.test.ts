import { expect, test } from '@jest/globals';
import { createDocuments } from '../../src/documents.ts';
import { MemoryObjects, MemoryRows } from '../fakes.ts';

function setup() {
  const objects = new MemoryObjects();
  const rows = new MemoryRows();
  const lines: string[] = [];
  const documents = createDocuments(rows, objects, (level, message) => lines.push(`${level} ${message}`));
  return { objects, rows, lines, documents };
}

test('stores object and row, and reads back the same text', async () => {
  const { documents, objects } = setup();
  const { id, bytes, sha256 } = await documents.create('T', 'héllo\n', 'ada');
  expect(bytes).toBe(7);
  expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  expect([...objects.objects.keys()]).toEqual([`documents/${id}`]);
  expect(await documents.read(id)).toMatchObject({ title: 'T', text: 'héllo\n', createdBy: 'ada' });
});

test('no row when the object store refuses', async () => {
  const { documents, objects, rows } = setup();
  objects.failing.add('put');
  await expect(documents.create('T', 'x', 'ada')).rejects.toMatchObject({ status: 503 });
  expect(rows.rows).toEqual([]);
});

test('no object when the row is refused', async () => {
  const { documents, objects, rows } = setup();
  rows.failure = 'before';
  await expect(documents.create('T', 'x', 'ada')).rejects.toThrow('insert fails');
  expect(objects.objects.size).toBe(0);
});

test('stored after all when only the confirmation of the row got lost', async () => {
  const { documents, objects, rows } = setup();
  rows.failure = 'after';
  const { id } = await documents.create('T', 'x', 'ada');
  expect((await documents.read(id)).text).toBe('x');
  expect(objects.objects.size).toBe(1);
});

test('the object stays when nobody can tell whether the row exists', async () => {
  const { documents, objects, rows, lines } = setup();
  rows.failure = 'after';
  rows.unreadable = true;
  await expect(documents.create('T', 'x', 'ada')).rejects.toThrow();
  expect(objects.objects.size).toBe(1);
  expect(lines).toContain('warn object kept: whether its row exists is unknown');
});

test.each([
  ['missing', (objects: MemoryObjects) => objects.objects.clear()],
  ['changed', (objects: MemoryObjects) => [...objects.objects.values()].map((body) => body.fill(0))],
])('an object that is %s is not passed off as the document', async (_, damage) => {
  const { documents, objects } = setup();
  const { id } = await documents.create('T', 'x', 'ada');
  damage(objects);
  await expect(documents.read(id)).rejects.toMatchObject({ status: 500, code: 'document_damaged' });
});

test.each(['no-uuid', '00000000-0000-4000-8000-000000000000'])('there is no document %s', async (id) => {
  await expect(setup().documents.read(id)).rejects.toMatchObject({ status: 404 });
});
