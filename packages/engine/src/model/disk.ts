import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A file system; sizes in bytes. */
export interface Disk {
  available: number;
  total: number;
}

/** What `df -kP PATH` (POSIX) prints, or null if it is something else. */
export function parseDf(output: string): Disk | null {
  const [, total, available] = /\s(\d+)\s+\d+\s+(\d+)\s+\d+%\s/.exec(output) ?? [];
  return total && available ? { available: Number(available) * 1024, total: Number(total) * 1024 } : null;
}

/** Of a folder that may not be there yet. */
export async function diskOfFolder(folder: string): Promise<Disk> {
  let there = folder;
  while (!existsSync(there)) there = dirname(there);
  const { bavail, blocks, bsize } = await statfs(there);
  return { available: bavail * bsize, total: blocks * bsize };
}

export function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
