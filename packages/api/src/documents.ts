import { createHash, randomUUID } from 'node:crypto';
import type { Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { ApiError } from './errors.ts';
import { describeError, type Log } from './log.ts';
import type { ObjectStore } from './objects/index.ts';

export interface Document {
  id: string;
  title: string;
  /** Length of the text as UTF-8. */
  bytes: number;
  sha256: string;
  createdBy: string;
  /** ISO 8601, UTC. */
  createdAt: string;
}

export interface DocumentRow extends Document {
  objectKey: string;
}

export type NewDocumentRow = Omit<DocumentRow, 'createdAt'>;

/** The rows that say which documents there are. */
export interface DocumentRows {
  insert(row: NewDocumentRow): Promise<DocumentRow>;
  find(id: string): Promise<DocumentRow | undefined>;
  /** The newest `limit`, newest first. */
  list(limit: number): Promise<DocumentRow[]>;
}

export interface Documents {
  /** Stores a text. When this resolves, the object store has confirmed the object and the database the row. */
  create(title: string, text: string, createdBy: string): Promise<Document>;
  list(limit: number): Promise<Document[]>;
  /** @throws ApiError 404 if there is no such document, 500 if its text is gone or differs from what was stored. */
  read(id: string): Promise<Document & { text: string }>;
}

const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

export function createDocuments(rows: DocumentRows, objects: ObjectStore, log: Log): Documents {
  return {
    async create(title, text, createdBy) {
      const id = randomUUID();
      const body = new TextEncoder().encode(text);
      const row: NewDocumentRow = {
        id,
        title,
        objectKey: `documents/${id}`,
        bytes: body.byteLength,
        sha256: sha256(body),
        createdBy,
      };
      try {
        await objects.put(row.objectKey, body, 'text/plain; charset=utf-8');
      } catch (error) {
        log('error', 'object store refused a document', describeError(error));
        // It may have arrived although the answer did not.
        await discard(row.objectKey);
        throw new ApiError(
          503,
          'storage_unavailable',
          'The text could not be stored; nothing was saved. Try again in a moment.',
        );
      }
      try {
        return shown(await rows.insert(row));
      } catch (error) {
        return await afterFailedInsert(row, error);
      }
    },

    async list(limit) {
      return (await rows.list(limit)).map(shown);
    },

    async read(id) {
      const row = UUID.test(id) ? await rows.find(id) : undefined;
      if (!row) throw new ApiError(404, 'document_not_found', 'There is no such document.');
      const body = await objects.get(row.objectKey).catch((error: unknown) => {
        log('error', 'object store did not deliver a document', { document: id, ...describeError(error) });
        throw new ApiError(
          503,
          'storage_unavailable',
          'The text could not be read from storage. Try again in a moment.',
        );
      });
      if (!body || sha256(body) !== row.sha256) {
        log('error', 'document does not match its object', { document: id, found: body !== null });
        const reason = body ? 'is not the one that was stored' : 'is missing from storage';
        throw new ApiError(500, 'document_damaged', `The text of this document ${reason}.`);
      }
      return { ...shown(row), text: new TextDecoder().decode(body) };
    },
  };

  /** An insert can fail after it was committed, when the connection breaks: the object goes only if the row is known to be absent. */
  async function afterFailedInsert(row: NewDocumentRow, error: unknown): Promise<Document> {
    log('error', 'row of a document not confirmed', { document: row.id, ...describeError(error) });
    let found: DocumentRow | undefined;
    try {
      found = await rows.find(row.id);
    } catch {
      log('warn', 'object kept: whether its row exists is unknown', { object: row.objectKey });
      throw error;
    }
    if (found) return shown(found);
    await discard(row.objectKey);
    throw error;
  }

  async function discard(key: string): Promise<void> {
    await objects.delete(key).catch((error: unknown) => {
      log('warn', 'object without a row could not be deleted', { object: key, ...describeError(error) });
    });
  }
}

function shown({ id, title, bytes, sha256, createdBy, createdAt }: DocumentRow): Document {
  return { id, title, bytes, sha256, createdBy, createdAt };
}

function sha256(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex');
}

export function databaseDocuments(db: Kysely<Tables>): DocumentRows {
  return {
    async insert(row) {
      const inserted = await db
        .insertInto('kg_api.documents')
        .values({
          id: row.id,
          title: row.title,
          object_key: row.objectKey,
          bytes: row.bytes,
          sha256: row.sha256,
          created_by: row.createdBy,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      return fromRow(inserted);
    },
    async find(id) {
      const row = await db.selectFrom('kg_api.documents').selectAll().where('id', '=', id).executeTakeFirst();
      return row && fromRow(row);
    },
    async list(limit) {
      const rows = await db
        .selectFrom('kg_api.documents')
        .selectAll()
        .orderBy('created_at', 'desc')
        .orderBy('id')
        .limit(limit)
        .execute();
      return rows.map(fromRow);
    },
  };
}

function fromRow(row: {
  id: string;
  title: string;
  object_key: string;
  bytes: string;
  sha256: string;
  created_by: string;
  created_at: Date;
}): DocumentRow {
  return {
    id: row.id,
    title: row.title,
    objectKey: row.object_key,
    bytes: Number(row.bytes),
    sha256: row.sha256,
    createdBy: row.created_by,
    createdAt: row.created_at.toISOString(),
  };
}
