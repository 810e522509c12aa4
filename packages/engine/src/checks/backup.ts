import type { ListedBackup } from '../backup/catalog.ts';
import type { LastScheduled } from '../backup/scheduler.ts';
import type { BackupSettings } from '../backup/settings.ts';
import type { UnfinishedExchange } from '../backup/unfinished.ts';
import type { ConfigFinding } from '../model/observation.ts';
import { count } from '../model/plan.ts';

/** What can be seen of backups on this host, without opening one and without asking any destination elsewhere. */
export interface BackupObservation {
  /** Of the folder on this host, newest first. */
  backups: Pick<ListedBackup, 'id' | 'createdAt' | 'state' | 'failure' | 'opens' | 'keyId'>[];
  /** Null: the database is not readable. */
  settings: Pick<BackupSettings, 'kit' | 'schedule'> | null;
  /** As the container's loop sees it. */
  due: Date | null;
  lastScheduled: LastScheduled | null;
  /** That restores have put aside; bytes. */
  previousDatabases: { name: string; bytes: number }[];
  /** Databases that a restore exchanges now, or was exchanging when it was cut off. */
  exchange: UnfinishedExchange | null;
  /** Id of the ENCRYPTION_KEY in force. */
  encryptionKeyId: string | null;
  /** Why the folder can't be read. */
  unusable: string | null;
}

/** The member `backup` of `status --json`. */
export interface BackupStatus {
  /** The newest one of this host, whatever became of it. */
  newest: { id: string; createdAt: string; state: ListedBackup['state']; failure: string | null } | null;
  /** The newest one that was restored once, and its age in seconds. */
  lastVerified: { id: string; createdAt: string; ageSeconds: number } | null;
  schedule: BackupSettings['schedule'];
  /** When the next scheduled one is due; in the past: now. */
  next: string | null;
  lastScheduled: { at: string; ok: boolean; result: string } | null;
  /** Null: not known while the database is not readable. */
  kit: 'missing' | 'unconfirmed' | 'confirmed' | null;
  previousDatabases: { name: string; bytes: number }[];
  /** What a person should do about backups; none of it makes the platform less ready. */
  remarks: ConfigFinding[];
}

/** A scheduled backup is started within half a minute; so long after, the loop is not running. */
const LATE_MS = 3_600_000;

/** Pure. */
export function backupStatus(observed: BackupObservation, now: Date): BackupStatus {
  const { backups, settings, due, lastScheduled, previousDatabases } = observed;
  const [newest] = backups;
  const verified = backups.find(({ state }) => state === 'verified');
  return {
    newest: newest
      ? { id: newest.id, createdAt: newest.createdAt, state: newest.state, failure: newest.failure }
      : null,
    lastVerified: verified
      ? {
          id: verified.id,
          createdAt: verified.createdAt,
          ageSeconds: Math.max(0, Math.floor((now.getTime() - Date.parse(verified.createdAt)) / 1000)),
        }
      : null,
    schedule: settings?.schedule ?? null,
    next: due?.toISOString() ?? null,
    lastScheduled: lastScheduled && {
      at: lastScheduled.at,
      ok: lastScheduled.ok,
      result: lastScheduled.result,
    },
    kit: settings && kitState(settings.kit),
    previousDatabases,
    remarks: [
      ...exchangeRemarks(observed),
      ...folderRemarks(observed),
      ...scheduleRemarks(observed, now),
      ...kitRemarks(observed),
      ...previousRemarks(observed),
    ],
  };
}

function kitState(kit: BackupSettings['kit']): 'missing' | 'unconfirmed' | 'confirmed' {
  if (!kit) return 'missing';
  return kit.confirmedAt === null ? 'unconfirmed' : 'confirmed';
}

function exchangeRemarks({ exchange, previousDatabases }: BackupObservation): ConfigFinding[] {
  if (!exchange) return [];
  const { incoming, outgoing } = exchange;
  const isExchanged = previousDatabases.some(({ name }) => name === outgoing);
  return [
    {
      problem: isExchanged
        ? `a restore is under way or was cut off: the live database is what was ${incoming}; the one before is ${outgoing}, and comes back with ./operator.sh restore --previous ${outgoing}`
        : 'a restore is under way, or was cut off before it exchanged anything: the data is as it was',
      fix: './operator.sh start',
    },
  ];
}

function folderRemarks({ backups: [newest], settings, unusable }: BackupObservation): ConfigFinding[] {
  if (unusable !== null) return [{ problem: unusable, fix: 'check the folder' }];
  if (!newest) return settings ? [{ problem: 'there is no backup yet', fix: './operator.sh backup' }] : [];
  if (newest.state === 'verified') return [];
  return newest.state === 'failed'
    ? [
        {
          problem: `the newest backup, ${newest.id}, can't be restored: ${newest.failure ?? 'it differs'}`,
          fix: './operator.sh backup',
        },
      ]
    : [
        {
          problem: `the newest backup, ${newest.id}, was not restored yet: nobody knows whether it can be`,
          fix: `./operator.sh backup verify ${newest.id}`,
        },
      ];
}

function scheduleRemarks({ lastScheduled, due, settings }: BackupObservation, now: Date): ConfigFinding[] {
  const failed =
    settings?.schedule && lastScheduled && !lastScheduled.ok
      ? [
          {
            problem: `the scheduled backup of ${lastScheduled.at} failed: ${lastScheduled.result}`,
            fix: './operator.sh logs operator',
          },
        ]
      : [];
  const isLate = due !== null && now.getTime() - due.getTime() > LATE_MS;
  return isLate
    ? [
        ...failed,
        {
          problem: `a backup is due since ${due.toISOString()}, and was not begun`,
          fix: './operator.sh restart operator',
        },
      ]
    : failed;
}

function kitRemarks(observed: BackupObservation): ConfigFinding[] {
  const { settings, backups, encryptionKeyId } = observed;
  if (!settings) return [];
  const { kit } = settings;
  const remarks: ConfigFinding[] = [];
  if (!kit)
    remarks.push({
      problem: "there is no recovery kit: without this host's .env no backup opens",
      fix: './operator.sh backup kit new',
    });
  else if (kit.confirmedAt === null)
    remarks.push({
      problem: 'nobody has confirmed to have the recovery kit',
      fix: './operator.sh backup kit confirm',
    });
  const verified = backups.find(({ state }) => state === 'verified');
  if (!verified || verified.opens.includes('passphrase')) return remarks;
  if (kit && verified.createdAt < kit.createdAt)
    remarks.push({
      problem: 'the newest verified backup is older than the recovery kit, which does not open it',
      fix: './operator.sh backup',
    });
  if (encryptionKeyId !== null && verified.keyId !== encryptionKeyId)
    remarks.push({
      problem:
        'the newest verified backup was made with another ENCRYPTION_KEY: here only its recovery kit opens it',
      fix: './operator.sh backup',
    });
  return remarks;
}

function previousRemarks({ previousDatabases }: BackupObservation): ConfigFinding[] {
  if (previousDatabases.length === 0) return [];
  const megabytes = Math.round(previousDatabases.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6);
  return [
    {
      problem: `${count(previousDatabases.length, 'database')} from before a restore still ${previousDatabases.length === 1 ? 'takes' : 'take'} ${megabytes} MB`,
      fix: './operator.sh backup prune --previous',
    },
  ];
}
