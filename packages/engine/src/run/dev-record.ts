import { readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { RunningProcess } from '../adapters/host-process.ts';

/** What a running `kg-operator dev` says of itself, in `dev.json` of its data directory. */
export interface DevRecord {
  pid: number;
  url: string;
  /** Where the embedded database answers on 127.0.0.1; null with a PostgreSQL of the user's. */
  postgresPort: number | null;
  startedAt: string;
}

const file = (dataDirectory: string) => join(dataDirectory, 'dev.json');

export async function writeDevRecord(dataDirectory: string, record: DevRecord): Promise<void> {
  await writeFile(file(dataDirectory), `${JSON.stringify(record)}\n`, { mode: 0o600 });
}

export async function removeDevRecord(dataDirectory: string): Promise<void> {
  await rm(file(dataDirectory), { force: true });
}

/** What is written there, or null. That the process still lives has to be asked: one that was killed leaves its record behind. */
export async function readDevRecord(dataDirectory: string): Promise<DevRecord | null> {
  try {
    return JSON.parse(await readFile(file(dataDirectory), 'utf8')) as DevRecord;
  } catch {
    return null; // none, or just being written
  }
}

const ASK_MS = 2000;

/** The running `kg-operator dev` of a data directory, or null: it answers as itself, by its process id. */
export async function findDev(dataDirectory: string): Promise<RunningProcess | null> {
  const record = await readDevRecord(dataDirectory);
  if (!record) return null;
  try {
    const signal = AbortSignal.timeout(ASK_MS);
    const response = await fetch(`${record.url}/api/health`, { signal });
    const { version } = (await response.json()) as { version?: string };
    if (response.headers.get('x-kg-process') !== String(record.pid)) return null;
    const ready = await fetch(`${record.url}/api/ready`, { signal });
    return { pid: record.pid, ready: ready.ok, version: version ?? null };
  } catch {
    return null;
  }
}

/** Whether something accepts connections on a port of this machine. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const answer = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', () => answer(true));
    socket.once('error', () => answer(false));
    socket.setTimeout(ASK_MS, () => answer(false));
  });
}
