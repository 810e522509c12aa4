import type { Tables } from '@kg-operator/config';
import { type Kysely, sql, type Transaction } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type RecordedChange, readChanges } from './changes.ts';
import { countUnfit, listEmbeddings } from './embedding.ts';
import { type Actor, changeConfig, recordChange } from './history.ts';

/** Their other half is in Garage, in `.env` or on a terminal, which rows alone can't bring back. */
const NOT_HERE_ALONE: Record<string, string> = {
  garage: 'what it did in Garage itself can not be taken back from here',
  rotate: 'the key before is not kept; rotate again instead',
  claim: 'the token before is not kept; ./operator.sh config claim prints another, which ends this one',
};

/** The rows are those of another database, and refer to another bucket. */
const NOT_BY_ROWS: Record<string, string> = {
  restore: 'what was there before the restore is in a database of its own',
};

/**
 * The change that an undo would take back.
 * @throws OperatorError NOTHING_TO_UNDO, UNDO_REFUSED with the reason
 */
export async function findUndo(db: Kysely<Tables>): Promise<RecordedChange> {
  const [last] = await readChanges(db, { limit: 1 });
  if (!last)
    throw new OperatorError('NOTHING_TO_UNDO', 'nothing was changed yet', {
      exitCode: EXIT.precondition,
      hint: 'see ./operator.sh config history',
    });
  for (const { topic, action } of last.entries) {
    const reason =
      topic === null ? 'version 0.1.0 kept no way back' : (NOT_HERE_ALONE[topic] ?? NOT_BY_ROWS[action]);
    if (reason) throw refused(last, reason);
  }
  const images = await db.selectFrom('kg_api.config_undo').select('change_id').distinct().execute();
  if (images.length === 0) throw refused(last, 'the rows as they were are not kept any more');
  if (images.length > 1 || images[0]?.change_id !== last.id)
    throw refused(last, 'rows were changed after it, past kg-operator and its history');
  return last;
}

/**
 * Takes back the last change: every row becomes what it was. It is recorded as a change like any other, so undoing again redoes. A
 * password that comes back ends the tokens that were issued since.
 * @throws OperatorError as findUndo(); UNDO_OUTDATED when the last change is not `expected`; LAST_ADMIN, EMBEDDINGS_EXIST
 */
export async function undoIn(
  trx: Transaction<Tables>,
  input: { expected?: RecordedChange } & Actor,
): Promise<RecordedChange> {
  const change = await findUndo(trx);
  if (input.expected && input.expected.id !== change.id)
    throw new OperatorError('UNDO_OUTDATED', 'another change came in between, and nothing was undone', {
      exitCode: EXIT.precondition,
      hint: 'look at it with ./operator.sh config history, then undo again',
    });
  const images = await trx.selectFrom('kg_api.config_undo').selectAll().orderBy('id', 'desc').execute();
  const hadAdmin = await hasAdmin(trx);
  for (const image of images) {
    if ((await restore(trx, image)) !== 1n)
      throw refused(change, `a row of ${image.table_name} is not any more what it made of it`);
  }
  // Only now: until here each row had to be what the change has left.
  await endTokens(trx, images);
  if (hadAdmin && !(await hasAdmin(trx)))
    throw new OperatorError('LAST_ADMIN', 'without this change there would be no enabled admin', {
      exitCode: EXIT.precondition,
      hint: 'create another first: ./operator.sh config admin --username NAME',
    });
  if (images.some(({ table_name }) => table_name === 'embedding_config')) await assertEmbeddingsFit(trx);
  for (const { topic, subject, before, after } of change.entries) {
    await recordChange(trx, input, {
      topic: topic as string,
      action: 'undo',
      subject,
      before: after,
      after: before,
    });
  }
  return change;
}

export function undo(
  db: Kysely<Tables>,
  input: { expected?: RecordedChange } & Actor,
): Promise<RecordedChange> {
  return changeConfig(db, (trx) => undoIn(trx, input));
}

interface RowImage {
  table_name: string;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
}

/** Puts one row back, if it still is what the change made of it. Returns how many rows that was: 1, or 0 if it is not. */
async function restore(trx: Transaction<Tables>, { table_name, before, after }: RowImage): Promise<bigint> {
  const table = sql.table(`kg_api.${table_name}`);
  // Compared as rows: as JSON the same moment is written differently in another time zone.
  const row = (image: Record<string, unknown> | null) =>
    sql`jsonb_populate_record(NULL::${table}, ${JSON.stringify(image)}::jsonb)`;
  const statement =
    after === null
      ? sql`INSERT INTO ${table} OVERRIDING SYSTEM VALUE SELECT was.* FROM ${row(before)} AS was ON CONFLICT DO NOTHING`
      : before === null
        ? sql`DELETE FROM ${table} AS it USING ${row(after)} AS made WHERE it = made`
        : sql`UPDATE ${table} AS it SET ${assignments(before)} FROM ${row(before)} AS was, ${row(after)} AS made WHERE it = made`;
  const { numAffectedRows = 0n } = await statement.execute(trx);
  return numAffectedRows;
}

/** Of users whose password is another one again, or who are there again: whoever has a token logs in anew. */
async function endTokens(trx: Transaction<Tables>, images: RowImage[]): Promise<void> {
  const names = images
    .filter(({ before, after }) => before?.password_hash && before.password_hash !== after?.password_hash)
    .map(({ before }) => String(before?.username));
  if (names.length === 0) return;
  await trx
    .updateTable('kg_api.users')
    .set({ password_set_at: new Date() })
    .where('username', 'in', names)
    .execute();
}

/** Every column but `id`, which is an identity and stays as it is. */
function assignments(image: Record<string, unknown>) {
  const columns = Object.keys(image).filter((column) => column !== 'id');
  return sql.join(columns.map((column) => sql`${sql.ref(column)} = was.${sql.ref(column)}`));
}

async function hasAdmin(trx: Transaction<Tables>): Promise<boolean> {
  const admin = await trx
    .selectFrom('kg_api.users')
    .select('username')
    .where('role', '=', 'admin')
    .where('disabled_at', 'is', null)
    .executeTakeFirst();
  return admin !== undefined;
}

async function assertEmbeddingsFit(trx: Transaction<Tables>): Promise<void> {
  const active = (await listEmbeddings(trx)).find((one) => one.active);
  const unfit = active ? await countUnfit(trx, active) : 0;
  if (unfit === 0 || !active) return;
  throw new OperatorError('EMBEDDINGS_EXIST', `${unfit} embeddings were stored since, and would not fit`, {
    exitCode: EXIT.precondition,
    hint: `choose it instead: ./operator.sh config embedding ${active.provider} --discard-embeddings`,
  });
}

function refused({ entries, at }: RecordedChange, reason: string): OperatorError {
  const what = entries.map(({ topic, subject }) => `${topic ?? 'config'} ${subject}`).join(', ');
  return new OperatorError(
    'UNDO_REFUSED',
    `the last change (${what}, ${at.toISOString()}) can't be undone: ${reason}`,
    {
      exitCode: EXIT.precondition,
      hint: 'set it anew with its own command; see ./operator.sh config history',
    },
  );
}
