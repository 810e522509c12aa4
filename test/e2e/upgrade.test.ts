import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { Publisher, publishExamples } from './releases.ts';

jest.setTimeout(600_000);

let publisher: Publisher;
let kg: Installation;

beforeAll(async () => {
  publisher = await Publisher.create();
  await publishExamples(publisher);
  kg = await Installation.standalone(publisher);
});
afterAll(async () => {
  await kg?.destroy();
  await publisher.remove();
});

describe('a standalone installation with published images', () => {
  test('up: pulls 1.0.0, and one can log in', async () => {
    await kg.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
      env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
    });
    expect(await kg.logIn()).toMatchObject({ status: 200 });
    const { operator } = await kg.containers();
    expect(operator?.Config.Image).toBe(`${publisher.images.prefix}/kg-operator-operator:1.0.0`);
  });

  test('versions --available: what is published, and the way there', async () => {
    const { code, document } = await kg.json<{
      available: { versions: { version: string; state: string; path: string[] | null }[] };
    }>(['versions', '--available', '--refresh']);
    expect(code).toBe(0);
    const { versions } = document.data.available;
    expect(versions.map(({ version, state, path }) => [version, state, path])).toEqual([
      ['1.2.0', 'available', ['1.1.0', '1.2.0']],
      ['1.1.0', 'available', ['1.1.0']],
      ['1.0.1', 'available', ['1.0.1']],
      ['1.0.0', 'installed', null],
    ]);
  });
});
