import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import { expectCode, type Result, run } from './command.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { markedBlocks, replaceAll } from './page.ts';
import { Publisher } from './releases.ts';
import { serveFolder } from './serve-folder.ts';

jest.setTimeout(600_000);

interface UserData {
  write_files: { path: string; permissions: string; content: string }[];
  runcmd: string[];
}
interface Task {
  name: string;
  'ansible.builtin.command'?: { cmd: string; chdir?: string; creates?: string };
  'ansible.builtin.copy'?: { dest: string; src?: string; content?: string };
  'ansible.builtin.file'?: { path: string };
  'ansible.builtin.get_url'?: { url: string; dest: string };
  changed_when?: string | false;
}

let publisher: Publisher;
let server: Awaited<ReturnType<typeof serveFolder>>;
let files: Map<string, string>;
let kg: Installation;
beforeAll(async () => {
  files = await markedBlocks('headless.md', 'file');
  publisher = await Publisher.create();
  await publisher.add('1.0.0');
  await publisher.issue(['--set', 'stable=1.0.0']);
  server = await serveFolder(publisher.folder);
}, 900_000);
afterAll(async () => {
  server?.close();
  await publisher?.remove();
});
beforeEach(async () => {
  kg = await Installation.planned('kg-operator');
});
afterEach(() => kg.destroy());

/** A file of the page with the addresses, paths and ports of this run. */
function here(name: string, others: [string, string][] = []): string {
  const text = replaceAll(files.get(name) ?? '', [
    ...(name === 'kg.yaml' ? [] : ([['https://releases.example.org', server.url]] as [string, string][])),
    ...(name === 'playbook.yml' ? [] : settings()),
    ...others,
  ]);
  return text;
}
const settings = (): [string, string][] => [
  ['CONTAINER_PREFIX: kg', `CONTAINER_PREFIX: ${kg.prefix}`],
  ['API_PORT: 8000', `API_PORT: ${kg.apiPort}`],
  ['WEB_PORT: 3000', `WEB_PORT: ${kg.webPort}`],
];

/** As cloud-init runs a script: root, nothing in the environment, no terminal. The two variables are the address that a publisher's
 * install.sh has in it, and where this test installs.
 */
const bare = (script: string, cwd = '/'): Promise<Result> =>
  run(
    'env',
    [
      ...['-i', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      ...[`KG_RELEASES=${server.url}`, `KG_INSTALL_DIR=${kg.root}`, 'setsid', '--wait', 'sh', '-c', script],
    ],
    { cwd },
  );

async function expectLogIn(password: string): Promise<void> {
  const page = await fetch(`http://127.0.0.1:${kg.webPort}/`);
  expect([page.status, (await kg.logIn(password)).status]).toEqual([200, 200]);
}

test('the user-data for cloud-init, from nothing to a login; its runcmd again changes nothing', async () => {
  const home = dirname(kg.root);
  const text = here('user-data', [
    ['/opt/kg-operator', kg.root],
    ['/run/kg-install.sh', join(home, 'install.sh')],
    ['/var/log/kg-install.json', join(home, 'install.json')],
  ]);
  expect(text.startsWith('#cloud-config\n')).toBe(true);
  const { write_files, runcmd } = parse(text) as UserData;
  for (const { path, permissions, content } of write_files) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    await chmod(path, Number.parseInt(permissions, 8));
  }
  const script = runcmd.join('\n');
  expectCode(await bare(script));
  const { data } = JSON.parse(await readFile(join(home, 'install.json'), 'utf8'));
  expect(data).toMatchObject({ version: '1.0.0', directory: kg.root, url: `http://127.0.0.1:${kg.webPort}` });
  await expectLogIn('a password of twelve characters or more');
  expect(await readFile(kg.path('.operator.conf'), 'utf8')).toContain(`WEB_PORT=${kg.webPort}\n`);

  const before = [await kg.containerIds(), await readFile(kg.path('.env'), 'utf8')];
  await rm(kg.path('secrets/admin'));
  expectCode(await bare(script));
  expect(JSON.parse(await readFile(join(home, 'install.json'), 'utf8')).warnings).toEqual([]);
  expect([await kg.containerIds(), await readFile(kg.path('.env'), 'utf8')]).toEqual(before);

  // Another port in the document: said, and the one that is in force stays.
  const document = await readFile(kg.path('kg.yaml'), 'utf8');
  await writeFile(kg.path('kg.yaml'), document.replace(`WEB_PORT: ${kg.webPort}`, 'WEB_PORT: 1'));
  expectCode(await bare(script));
  expect(JSON.parse(await readFile(join(home, 'install.json'), 'utf8')).warnings).toEqual([
    expect.stringContaining(`has WEB_PORT=${kg.webPort}, and stays as it is: WEB_PORT=1 was not used`),
  ]);
});

test('a document that is wrong, and secrets that are not there: told by the image that was verified, nothing is written', async () => {
  const folder = dirname(kg.root);
  const file = join(folder, 'a document.yaml');
  const install = (...flags: string[]) =>
    run(
      'sh',
      [
        join(publisher.folder, 'install.sh'),
        '--yes',
        '--json',
        '--dir',
        kg.root,
        '--from',
        server.url,
        ...flags,
      ],
      {
        env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
      },
    );
  const refusal = async (text: string, ...flags: string[]) => {
    await writeFile(file, text);
    const { code, stdout } = await install('--config', file, ...flags);
    const { error } = JSON.parse(stdout);
    return {
      exit: code,
      code: error.code,
      details: error.details,
      there: await stat(kg.root).catch(() => null),
    };
  };
  const good = here('kg.yaml');
  const nothing = { exit: 4, code: 'CONFIG_INVALID', there: null };
  expect(await refusal(good.replace(`WEB_PORT: ${kg.webPort}`, 'WEB_PORT: 99999\n  WEB_PROT: 1'))).toEqual({
    ...nothing,
    details: [
      `${file}:5:13: host: WEB_PORT must be a port, 1 to 65535`,
      `${file}:6:13: host: unknown key WEB_PROT`,
    ],
  });
  expect(await refusal(good.replace('secrets/admin', '/etc/kg/admin'))).toEqual({
    ...nothing,
    details: [
      expect.stringMatching(
        /:9:15: users\.admin\.password: \/etc\/kg\/admin is outside of .*put it there, as \{file: secrets\/admin\}/,
      ),
    ],
  });
  expect(await refusal(good, '--dry-run')).toMatchObject({
    ...nothing,
    details: [expect.stringContaining('secrets/admin is not there')],
  });

  // By a variable it is good, from anywhere on the host.
  await writeFile(file, good.replace('{file: secrets/admin}', '{env: KG_ADMIN_PASSWORD}'));
  const dry = expectCode(await install('--config', file, '--dry-run'));
  expect([JSON.parse(dry.stdout).data.dryRun, await stat(kg.root).catch(() => null)]).toEqual([true, null]);
  expectCode(await install('--config', file));
  await expectLogIn(ADMIN_PASSWORD);
});

test('the playbook for Ansible: its tasks in their order, twice; the second time nothing changes', async () => {
  const [play] = parse(here('playbook.yml')) as [{ vars: Record<string, string>; tasks: Task[] }];
  const vars: Record<string, string> = {
    ...play.vars,
    kg_dir: kg.root,
    kg_installer: join(dirname(kg.root), 'install.sh'),
    kg_admin_password: ADMIN_PASSWORD,
  };
  const fill = (text: string) =>
    text.replace(/\{\{ (\w+) \}\}/g, (_, name: string) => vars[name] ?? `no ${name}`);
  /** What a module does, as far as the playbook uses it. @returns whether it changed something, where the task says so */
  async function perform(task: Task): Promise<boolean | null> {
    const { command, copy, file, get_url } = Object.fromEntries(
      Object.entries(task).map(([name, value]) => [name.replace('ansible.builtin.', ''), value]),
    ) as {
      command?: Task['ansible.builtin.command'];
      copy?: { dest: string; content?: string };
      file?: { path: string };
      get_url?: { url: string; dest: string };
    };
    if (file) await mkdir(fill(file.path), { recursive: true, mode: 0o700 });
    else if (copy) await writeFile(fill(copy.dest), copy.content ? fill(copy.content) : here('kg.yaml'));
    else if (get_url) expectCode(await run('curl', ['-fsSLo', fill(get_url.dest), fill(get_url.url)]));
    else if (command) {
      if (command.creates && (await stat(fill(command.creates)).catch(() => null))) return false;
      const { stdout } = expectCode(await bare(fill(command.cmd), command.chdir ? fill(command.chdir) : '/'));
      if (typeof task.changed_when === 'string') {
        expect(task.changed_when).toMatch(/\(\w+\.stdout \| from_json\)\.data\.changed$/);
        return JSON.parse(stdout).data.changed;
      }
    } else throw new Error(`no module in ${JSON.stringify(task)}`);
    return null;
  }
  const changes = async () => {
    const all: (boolean | null)[] = [];
    for (const task of play.tasks) all.push(await perform(task));
    return all;
  };
  expect(play.tasks).toHaveLength(7);
  expect((await changes()).at(-2)).toBe(true);
  await expectLogIn(ADMIN_PASSWORD);
  const before = await kg.containerIds();
  expect(await changes()).toEqual([null, null, null, null, false, false, null]);
  expect(await kg.containerIds()).toEqual(before);
});
