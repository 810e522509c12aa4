import { mkdtemp, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { serviceMemo } from '../../src/adapters/service-memo.ts';
import { declared } from '../observed.ts';

test('is recalled until a compose or settings file changes, and never when it is broken', async () => {
  const root = await mkdtemp(join(tmpdir(), 'kg-memo-'));
  const [compose, conf] = [join(root, 'docker-compose.yml'), join(root, '.operator.conf')];
  await writeFile(compose, 'services: {}');
  await writeFile(conf, 'API_PORT=8000\n');
  const memo = serviceMemo(join(root, '.operator'), { COMPOSE_FILE: compose, COMPOSE_ENV_FILES: conf });
  expect(await memo.recall()).toBeNull();
  await memo.renew(declared);
  expect(await memo.recall()).toEqual(declared);
  await utimes(conf, new Date(), new Date(Date.now() + 5000));
  expect(await memo.recall()).toBeNull();
  await memo.renew(declared);
  await writeFile(compose, 'services: {more: {}}');
  expect(await memo.recall()).toBeNull();
  await writeFile(join(root, '.operator/services.json'), '{');
  expect(await memo.recall()).toBeNull();
});
