import { setTimeout as sleep } from 'node:timers/promises';
import { docker, dockerLines, run } from './command.ts';
import type { Installation } from './installation.ts';
import type { LimitedDisk } from './limited-disk.ts';
import { until } from './wait.ts';

/** What is to happen while a command runs. Each resolves to whether it found what it was to kill. */
export type Fault =
  | 'engine'
  | 'server'
  | 'backend'
  | 'garage'
  | 'trial'
  | 'full backups'
  | 'full postgres'
  | 'full garage';

export interface Disks {
  backups: LimitedDisk;
  postgres: LimitedDisk;
  garage: LimitedDisk;
}

export function causeFault(fault: Fault, kg: Installation, disks: Disks): Promise<boolean> {
  switch (fault) {
    case 'engine':
      return killEngine(kg);
    case 'server':
      return killContainer(kg, 'postgres');
    case 'garage':
      return killContainer(kg, 'garage');
    case 'backend':
      return killBackend(kg);
    case 'trial':
      return killTrial(kg);
    case 'full backups':
      return fill(disks.backups);
    case 'full postgres':
      return fill(disks.postgres);
    case 'full garage':
      return fill(disks.garage);
  }
}

/** Gives space back, and waits until what Docker starts again is healthy. */
export async function endFault(kg: Installation, disks: Disks): Promise<void> {
  for (const disk of Object.values(disks)) await disk.free();
  await until(
    'PostgreSQL and Garage are healthy',
    async () => {
      const { postgres, garage } = await kg.containers();
      return [postgres, garage].every(
        (one) => one?.State.Status === 'running' && one.State.Health?.Status === 'healthy',
      );
    },
    { seconds: 90, everyMs: 300 },
  );
}

const operator = (kg: Installation) => `${kg.prefix}-operator`;

/** Every process of the operator's container but those that idle in it: id on the host, and command line. */
export async function engineProcesses(kg: Installation): Promise<{ pid: number; args: string }[]> {
  const [, ...lines] = await dockerLines('top', operator(kg), '-eo', 'pid,args');
  return lines
    .map((line) => {
      const [, pid, args = ''] = /^\s*(\d+)\s+(.*)$/.exec(line) ?? [];
      return { pid: Number(pid), args };
    })
    .filter(({ args }) => !/^(tini|\/bin\/sh \/usr\/local\/bin\/kg-idle|sleep)\b/.test(args));
}

/** Returns when the engine runs the command; false when it had ended before. */
export async function engineRuns(kg: Installation, hasEnded: () => boolean): Promise<boolean> {
  while (!hasEnded()) {
    if ((await engineProcesses(kg)).some(({ args }) => /^\S*node\b/.test(args))) return true;
    await sleep(20);
  }
  return false;
}

async function killEngine(kg: Installation): Promise<boolean> {
  const engine = (await engineProcesses(kg)).find(({ args }) => /^\S*node\b/.test(args));
  return engine !== undefined && kill(engine.pid);
}

/** As a crash, not as `docker kill`, after which Docker would not start it again. */
async function killContainer(kg: Installation, service: string): Promise<boolean> {
  const pid = await mainProcess((await kg.containers())[service]?.Id ?? '');
  return pid > 0 && kill(pid);
}

async function killTrial(kg: Installation): Promise<boolean> {
  const [id] = await scratchContainers(kg);
  const pid = id === undefined ? 0 : await mainProcess(id);
  return pid > 0 && kill(pid);
}

/** A crash of one backend makes PostgreSQL end all, and recover. */
async function killBackend(kg: Installation): Promise<boolean> {
  const { postgres } = await kg.containers();
  const script =
    'PGPASSWORD=$POSTGRES_PASSWORD psql -XAtq -h /run/postgresql -U kg -d postgres -c "$1" | while read -r pid; do kill -9 "$pid"; echo "$pid"; done';
  const sql = `SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
    ORDER BY application_name LIKE 'kg-operator%' DESC, random() LIMIT 1`;
  const { stdout } = await run('docker', ['exec', postgres?.Id ?? '', 'sh', '-c', script, 'sh', sql]);
  return stdout.trim() !== '';
}

async function fill(disk: LimitedDisk): Promise<boolean> {
  await disk.fill();
  return true;
}

export function scratchContainers(kg: Installation): Promise<string[]> {
  return dockerLines('ps', '-aq', '--no-trunc', '--filter', `label=kg-operator.scratch=${kg.prefix}`);
}

/** Names of the volumes of the trial's containers that there are now. */
export async function scratchVolumes(kg: Installation): Promise<string[]> {
  const ids = await scratchContainers(kg);
  if (ids.length === 0) return [];
  const { stdout } = await run('docker', [
    'inspect',
    '-f',
    '{{range .Mounts}}{{println .Name}}{{end}}',
    ...ids,
  ]);
  return stdout.split('\n').filter(Boolean);
}

async function mainProcess(id: string): Promise<number> {
  const { code, stdout } = await run('docker', ['inspect', '-f', '{{.State.Pid}}', id]);
  return code === 0 ? Number(stdout) : 0;
}

function kill(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false; // it has just ended by itself
    throw error;
  }
}

/** Every bucket of the installation's Garage, by its name. */
export async function buckets(kg: Installation): Promise<string[]> {
  const { garage } = await kg.containers();
  const list = JSON.parse(await docker('exec', garage?.Id ?? '', '/garage', 'json-api', 'ListBuckets')) as {
    globalAliases: string[];
  }[];
  return list.flatMap(({ globalAliases }) => globalAliases).sort();
}
