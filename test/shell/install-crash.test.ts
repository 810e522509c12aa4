import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Host } from './host.ts';
import { killAt, type Moment, unwrap } from './kill.ts';
import { Published } from './published.ts';
import { ENV_TEXT, FULL, SHELLS } from './shim.ts';

jest.setTimeout(FULL ? 3_600_000 : 300_000);

/** Programs that install.sh and operator.sh change the disk with, and those in between. */
const PROGRAMS = ['cp', 'mv', 'rm', 'mkdir', 'chmod', 'sync', 'tar', 'find', 'grep', 'minisign'];

let published: Published;
beforeAll(async () => {
  published = await new Published().add('1.0.0');
  await published.add('1.1.0', (name, text) => (name === 'operator.sh' ? text : `${text}# of 1.1.0\n`));
  published.issue();
});
afterAll(() => published[Symbol.dispose]());

/** The target without what is only on its way. */
function settled(host: Host): Record<string, string> {
  const files = Object.entries(host.tree());
  return Object.fromEntries(files.filter(([name]) => !/^\.operator\/(next|previous)-files/.test(name)));
}

interface Before {
  name: string;
  prepare(host: Host): Promise<unknown>;
  args: string[];
}
const BEFORE: Before[] = [
  { name: 'no directory', prepare: async () => undefined, args: [] },
  {
    name: 'a directory with the settings of a person',
    prepare: async (host) => {
      mkdirSync(host.root);
      host.write('.operator.conf', 'API_PORT=39181\nWEB_PORT=39182\n');
    },
    args: [],
  },
  {
    name: 'an older installation',
    prepare: async (host) => {
      await host.install(['--no-start', '--version', '1.0.0']);
      host.write('.env', ENV_TEXT);
    },
    args: [],
  },
];

describe.each(FULL ? SHELLS : SHELLS.slice(0, 1))('killed under %s', (_name, shell) => {
  test.each(BEFORE)(
    'at every step, onto $name: nothing, or what was there; the next run completes',
    async (before) => {
      const whole = await after(before);
      const signals: Moment['signal'][] = ['KILL', 'TERM'];
      let killed = 0;
      for (let step = 1; ; step += FULL ? 1 : 3) {
        const moments = signals.flatMap((signal) =>
          (['before', 'after'] as const).map((when) => ({ step, when, signal })),
        );
        const chosen = FULL ? moments : moments.filter((_, index) => index === step % 4);
        const ends = await Promise.all(chosen.map((moment) => kill(before, moment, whole)));
        killed += ends.filter((end) => end === 'killed').length;
        if (ends.every((end) => end === 'ended')) break;
      }
      expect(killed).toBeGreaterThan(FULL ? 100 : 8);
    },
  );

  async function after(before: Before): Promise<Record<string, string>> {
    using host = new Host(shell, published);
    await before.prepare(host);
    expect((await host.install(['--no-start'])).code).toBe(0);
    return settled(host);
  }

  async function kill(
    before: Before,
    moment: Moment,
    whole: Record<string, string>,
  ): Promise<'killed' | 'ended'> {
    using host = new Host(shell, published);
    await before.prepare(host);
    const old = settled(host);
    const where = JSON.stringify(moment);
    killAt(host, PROGRAMS, moment);
    const all = ['--dir', host.root, '--from', published.folder, ...Host.QUIET_PORTS, '--yes', '--no-start'];
    mkdirSync(join(host.home, 'tmp'));
    const result = await host.run(all, {
      script: host.installer,
      cwd: host.home,
      env: { TMPDIR: join(host.home, 'tmp') },
      onStart: (pid) => void host.given('shim', `${pid}\n`),
    });
    unwrap(host, PROGRAMS);
    if (moment.signal === 'TERM')
      expect([where, readdirSync(join(host.home, 'tmp')), host.litter()]).toEqual([where, [], []]);
    if (result.code === 0) return 'ended';
    const isCommitted = existsSync(join(host.root, '.operator/next-files'));
    if (!isCommitted) expect([where, [old, whole]]).toEqual([where, expect.arrayContaining([settled(host)])]);
    else if (Object.keys(old).includes('operator.sh*')) {
      // What was cut off after the commit, any command completes.
      expect((await host.operator(['env'])).code).toBe(0);
      expect([where, settled(host)]).toEqual([where, whole]);
    } else if (existsSync(join(host.root, 'operator.sh')))
      expect([where, settled(host)]).toEqual([where, whole]);
    const again = await host.install(['--no-start']);
    expect([where, again.code, again.stderr]).toEqual([where, 0, expect.anything()]);
    expect([where, settled(host), host.litter()]).toEqual([where, whole, []]);
    return 'killed';
  }
});
