import { numberOf, type ReleaseManifest, type ReleaseMigration } from './manifest.ts';

/** `rolling`: the new application starts beside the old one. `planned-downtime`: the old one must stop before the schema changes. */
export type UpgradeClass = 'rolling' | 'planned-downtime';

/**
 * Whether the application of a release runs on a database whose newest migration is `head` (null: none). A head that is newer than the
 * release knows is accepted where `newer`, the migrations of the release that brought it, says that everything since was `expand`.
 */
export function isSchemaAccepted(
  { schema }: Pick<ReleaseManifest, 'schema'>,
  head: string | null,
  newer: readonly ReleaseMigration[] = [],
): boolean {
  if (head === null) return false;
  const [number, oldest, newest] = [head, schema.accepts.oldest, schema.accepts.newest].map(numberOf) as [
    number,
    number,
    number,
  ];
  if (number < oldest) return false;
  if (number <= newest) return schema.migrations.some(({ id }) => id === head);
  const since = newer.filter(({ id }) => numberOf(id) > newest && numberOf(id) <= number);
  return since.at(-1)?.id === head && since.every(({ kind }) => kind === 'expand');
}

/** The migrations of a release that come after `head`, in order; null: none is applied. */
export function pendingMigrations(
  { schema }: Pick<ReleaseManifest, 'schema'>,
  head: string | null,
): ReleaseMigration[] {
  return schema.migrations.filter(({ id }) => head === null || numberOf(id) > numberOf(head));
}

/** How a database at `head` gets to a release, and the pending migrations that decide it. */
export function classify(
  release: Pick<ReleaseManifest, 'schema'>,
  head: string | null,
): { class: UpgradeClass; pending: string[]; contract: string[] } {
  const pending = pendingMigrations(release, head);
  const contract = pending.filter(({ kind }) => kind === 'contract').map(({ id }) => id);
  return {
    class: contract.length > 0 ? 'planned-downtime' : 'rolling',
    pending: pending.map(({ id }) => id),
    contract,
  };
}
