import { jest } from '@jest/globals';
import { behavesLikeThePlatform, FIRST_PASSWORD } from '../behaviour.ts';
import { Installation } from './installation.ts';

jest.setTimeout(900_000);

behavesLikeThePlatform('containers', async () => {
  const kg = await Installation.create({ dev: false });
  const env = { KG_ADMIN_PASSWORD: FIRST_PASSWORD, KG_AI_PROVIDER: 'local', KG_EMBEDDING: 'local' };
  try {
    await kg.ok(['up', '--yes'], { env });
  } catch (error) {
    await kg.destroy();
    throw error;
  }
  return {
    api: `http://127.0.0.1:${kg.apiPort}`,
    async command(args, env = {}) {
      const { code, stdout } = await kg.run([...args, '--json'], { env });
      return { code, output: stdout };
    },
    async restart() {
      await kg.ok(['stop']);
      await kg.ok(['start']);
    },
    close: () => kg.destroy(),
  };
});
