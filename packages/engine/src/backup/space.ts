import { type Disk, megabytes } from '../model/disk.ts';
import { EXIT, OperatorError } from '../model/errors.ts';

/** What is going to be written somewhere. */
export interface SpaceNeed {
  /** Such as `the backup`. */
  what: string;
  /** An estimate; `how` says of what. */
  bytes: number;
  how: string;
  /** Where, for people, and its disk; null where that can't be measured. */
  place: string;
  disk: Disk | null;
}

/**
 * What would not fit, if anything: places on one disk are added up. Two are taken for one disk when their totals are the same to the byte.
 * Pure.
 */
export function shortageOf(needs: SpaceNeed[]): OperatorError | null {
  const disks = Map.groupBy(
    needs.filter(({ disk, bytes }) => disk !== null && bytes > 0),
    ({ disk }) => disk?.total,
  );
  const short: string[] = [];
  let first = '';
  for (const together of disks.values()) {
    const needed = together.reduce((sum, { bytes }) => sum + bytes, 0);
    const free = Math.min(...together.map(({ disk }) => disk?.available ?? 0));
    if (needed <= free) continue;
    const places = [...new Set(together.map(({ place }) => place))].join(' and ');
    first ||= `not enough space in ${places}: ${megabytes(needed)} are needed, ${megabytes(free)} are free`;
    for (const { what, bytes, how, place } of together)
      short.push(`${what} in ${place}: ${megabytes(bytes)} (${how}), ${megabytes(free)} are free`);
  }
  if (first === '') return null;
  return new OperatorError('DISK_FULL', first, {
    exitCode: EXIT.precondition,
    details: short,
    hint: 'free some space there, or give up old backups (./operator.sh backup prune) and databases from before restores (./operator.sh backup prune --previous); nothing was changed',
  });
}

/** A database that is loaded takes its size, and its write-ahead log besides, up to `max_wal_size` of docker/postgres/postgresql.conf. */
export function loadedBytes(databaseBytes: number): number {
  return databaseBytes + Math.min(databaseBytes, 2 * 2 ** 30);
}
