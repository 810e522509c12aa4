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
