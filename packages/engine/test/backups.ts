import { type BackupRecord, bundleName, recordName } from '../src/backup/catalog.ts';
import type { Destination } from '../src/backup/destination.ts';
import type { BackupObservation } from '../src/checks/backup.ts';

/** The record of a verified backup. */
export function record(change: Partial<BackupRecord> = {}): BackupRecord {
  return {
    formatVersion: 1,
    id: 'kg-20261123T031500Z-a1b2c3',
    project: 'kg',
    createdAt: '2026-11-23T03:15:00.000Z',
    size: 1000,
    sha256: 'ab'.repeat(32),
    seconds: 3,
    engineVersion: '0.1.0',
    serverVersion: 180004,
    schemaHead: '0004_configuration_plane',
    keyId: '0011223344556677',
    counts: { tables: 1, rows: 1, graphs: 1, vertices: 1, edges: 1, objects: 1, objectBytes: 1 },
    opens: ['recovery kit', 'this installation'],
    state: 'verified',
    verifiedAt: '2026-11-23T03:16:00.000Z',
    failure: null,
    ...change,
  };
}

/** A destination in memory that has these backups; their bundles are as large as the records say. */
export function folderWith(...records: BackupRecord[]): Destination {
  const texts = new Map(records.map((one) => [recordName(one.id), JSON.stringify(one)]));
  const bundles = records.map(({ id, size }) => ({ name: bundleName(id), size }));
  return {
    name: 'local',
    address: '/backups',
    list: async () => [...[...texts].map(([name, { length: size }]) => ({ name, size })), ...bundles],
    read: async (name) =>
      (async function* () {
        yield Buffer.from(texts.get(name) ?? '');
      })(),
    async putFile() {
      throw new Error('not here');
    },
    async put(name, text) {
      texts.set(name, text);
    },
    async remove(name) {
      texts.delete(name);
    },
    freeBytes: async () => null,
  };
}

/** A platform that was never backed up. */
export function nothingSaved(): BackupObservation {
  return {
    backups: [],
    settings: { kit: null, schedule: null },
    due: null,
    lastScheduled: null,
    previousDatabases: [],
    exchange: null,
    encryptionKeyId: '0011223344556677',
    unusable: null,
  };
}

/** Saved last night, by a schedule, with a kit that its owner has. */
export function wellSaved(): BackupObservation {
  return {
    ...nothingSaved(),
    backups: [record()],
    settings: {
      kit: {
        recipient: 'age1q',
        createdAt: '2026-11-01T00:00:00.000Z',
        confirmedAt: '2026-11-01T00:01:00.000Z',
      },
      schedule: { cron: '15 3 * * *', jitterSeconds: 0 },
    },
    due: new Date('2026-11-24T03:15:00Z'),
    lastScheduled: {
      at: '2026-11-23T03:15:00.000Z',
      ok: true,
      result: 'kg-20261123T031500Z-a1b2c3',
      failures: 0,
      uncopied: null,
    },
  };
}

export function everythingWrong(): BackupObservation {
  const well = wellSaved();
  return {
    ...well,
    backups: [
      record({
        id: 'kg-20261123T041500Z-a1b2c4',
        createdAt: '2026-11-23T04:15:00.000Z',
        state: 'failed',
        failure: 'a table differs',
      }),
      record({ keyId: 'ffffffffffffffff' }),
    ],
    settings: {
      schedule: { cron: '15 3 * * *', jitterSeconds: 0 },
      kit: { recipient: 'age1q', createdAt: '2026-11-23T04:00:00.000Z', confirmedAt: null },
    },
    due: new Date('2026-11-23T04:30:00Z'),
    lastScheduled: {
      at: '2026-11-23T04:15:00.000Z',
      ok: false,
      result: 'a table differs',
      failures: 1,
      uncopied: null,
    },
    previousDatabases: [{ name: 'kg_before_20261123t000000_ab', bytes: 12_345_678 }],
  };
}
