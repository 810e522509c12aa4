import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { behavesLikeThePlatform, FIRST_PASSWORD } from '../../../../test/behaviour.ts';
import { freePort, type RunningCommand, start, until } from '../installed-package.ts';

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'run.js');

behavesLikeThePlatform('an embedded database', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kg behaviour '));
  const port = await freePort();
  const api = `http://localhost:${port}/api`;
  const run = async (): Promise<RunningCommand> => {
    const dev = start(BIN, folder, ['dev', '--port', String(port)], { KG_ADMIN_PASSWORD: FIRST_PASSWORD });
    await until(async () => ((await fetch(`${api}/ready`)).ok ? true : null), 120, dev.output);
    return dev;
  };
  const stop = async (dev: RunningCommand) => {
    dev.kill('SIGTERM');
    await dev.ended;
  };
  let dev = await run();
  return {
    api,
    async command(args, env = {}) {
      const { code, stdout } = await start(BIN, folder, [...args, '--json'], env).ended;
      return { code: code ?? -1, output: stdout };
    },
    async restart() {
      await stop(dev);
      dev = await run();
    },
    async close() {
      await stop(dev);
      await rm(folder, { recursive: true });
    },
  };
});
