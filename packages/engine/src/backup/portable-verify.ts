import { createHash } from 'node:crypto';
import type { ConnectionSettings } from '@kg-operator/config';
import type pg from 'pg';
import { connect, rowsOf } from './database-connection.ts';
import { verifyFailed } from './database-errors.ts';
import { verifyGraph } from './database-graph.ts';
import {
  type Finding,
  inherited,
  type Report,
  verifyDefinitions,
  verifySequences,
  verifyServer,
  verifyTables,
} from './database-verify.ts';
import type { DatabaseManifest, DumpedTable, Progress } from './format.ts';
import { countRows, rowPieces } from './portable-rows.ts';
import { readSchema, schemaDifferences } from './portable-schema.ts';

/**
 * Compares a database that loadPortable() has filled, and into which nobody has written since, with the manifest of its dump, over one
 * connection: the text of all rows, sequences, names of the schema, and whether every graph answers Cypher and takes writes.
 * @returns what is wrong; nothing, if the restore is good
 * @throws OperatorError VERIFY_FAILED when it could not be looked at, DATABASE_UNREACHABLE; the signal's reason
 */
export async function verifyPortable(
  settings: ConnectionSettings,
  manifest: DatabaseManifest,
  { signal, onProgress }: { signal: AbortSignal; onProgress?: (progress: Progress) => void },
): Promise<Finding[]> {
  const found: Omit<Finding, 'isInherited'>[] = [];
  const report: Report = (code, message) => found.push({ code, message });
  const client = await connect(settings, signal);
  try {
    const here = await verifyTables(client, manifest.tables, report);
    await verifySequences(client, manifest, report);
    for (const difference of schemaDifferences(manifest.schema, await readSchema(client)))
      report('OBJECTS_DIFFER', difference);
    await verifyServer(client, manifest, report);
    await verifyRows(client, here, report, onProgress);
    for (const graph of manifest.graphs) await verifyGraph(client, graph, report);
    await verifyDefinitions(client, manifest, report);
    await rowsOf(client, 'SELECT 1');
    return inherited(found);
  } catch (error) {
    signal.throwIfAborted();
    throw verifyFailed(error);
  } finally {
    await client.end();
  }
}

/** Each table's rows once more as text: one that was filled from empty gives them in the order in which they went in. */
async function verifyRows(
  client: pg.Client,
  tables: DumpedTable[],
  report: Report,
  onProgress: ((progress: Progress) => void) | undefined,
): Promise<void> {
  const total = tables.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  for (const table of tables) {
    const hash = createHash('sha256');
    let rows = 0;
    for await (const piece of rowPieces(client, table)) {
      hash.update(piece);
      rows += countRows(piece);
      done += piece.length;
      onProgress?.({ done: Math.min(done, total), total });
    }
    const name = `${table.schema}.${table.name}`;
    if (rows !== table.rows) report('ROWS_DIFFER', `${name} has ${rows} rows, ${table.rows} were saved`);
    else if (hash.digest('hex') !== table.sha256)
      report('ROWS_DIFFER', `the ${rows} rows of ${name} read back as another text than was saved`);
  }
}
