/**
 * What a bundle holds of the database, and how its parts are handed over. The database part neither knows tar nor age; the bundle
 * neither knows PostgreSQL.
 */

/**
 * The schema but for indexes, constraints and triggers: `pg_dump -Fc --section=pre-data`. A portable dump has neither this nor the next: its
 * schema is that of the migrations up to `schemaHead`.
 */
export const PRE_DATA = 'database/pre-data.dump';
/** The rest of the schema: `pg_dump -Fc --section=post-data`. */
export const POST_DATA = 'database/post-data.dump';
/** Which chunks make up which table, for a person with `zstd` and `psql`: an array of DumpedTable. */
export const CHUNK_LIST = 'database/chunks.json';

/** No member of the database's data is larger, in bytes. */
export const CHUNK_LIMIT = 8 * 1024 * 1024;

/** The member that holds chunk `index` (from 0): `database/data/00000.zst`. */
export function chunkName(index: number): string {
  return `database/data/${String(index).padStart(5, '0')}.zst`;
}

/** One file of the bundle, whole. */
export interface DumpMember {
  /** Relative, `/` between the parts, made of a-z, 0-9, `.`, `-` and `/`. */
  name: string;
  bytes: Buffer;
}

/** Takes the members of a dump in the order in which they are to be stored. */
export interface DumpSink {
  /**
   * Resolves as soon as the next member is welcome: this is the back-pressure. It is never called again before. The bytes belong
   * to the sink, they are not changed afterwards. A rejection ends the dump with that error.
   */
  member(name: string, bytes: Buffer): Promise<void>;
}

/** The members whose names begin with `database/`, in stored order. Throwing ends the load with that error. */
export type DumpSource = AsyncIterable<DumpMember>;

/** Bytes of uncompressed rows; while dumping `total` is an estimate. */
export interface Progress {
  done: number;
  total: number;
}

export interface DumpedTable {
  schema: string;
  name: string;
  /** Of the COPY statement, in its order; generated columns are not among them. */
  columns: string[];
  /** Of an extension's table only the rows its author asked for, such as `WHERE not predefined`; otherwise not there. */
  condition?: string;
  rows: number;
  /** Of the uncompressed `COPY … TO STDOUT` text, and its SHA-256 in hex. */
  bytes: number;
  sha256: string;
  /** Numbers for chunkName(), ascending; concatenated they are one Zstandard stream. None for a table without a row. */
  chunks: number[];
}

export interface DumpedSequence {
  schema: string;
  name: string;
  /** A bigint in decimal digits. */
  lastValue: string;
  isCalled: boolean;
}

export interface DumpedLabel {
  label: string;
  /** AGE's number of it: the upper 16 bits of the id of each vertex or edge. */
  id: number;
  kind: 'v' | 'e';
  /** Names of the table and of the sequence, both in the schema of the graph. */
  table: string;
  sequence: string;
  /** Without those of labels that inherit from it. */
  rows: number;
}

export interface DumpedGraph {
  name: string;
  /** The schema that holds its tables. */
  schema: string;
  /** `ag_graph.graphid` when it was dumped: another one after a restore. */
  oid: number;
  vertices: number;
  edges: number;
  labels: DumpedLabel[];
}

/** `ALTER DATABASE … SET`, or `ALTER ROLE … IN DATABASE … SET` where there is a role. */
export interface DumpedSetting {
  role?: string;
  name: string;
  value: string;
}

/** What dumpDatabase() found, all of one snapshot; loadDatabase() and verifyDatabase() work from it. It is stored in `manifest.json`. */
export interface DatabaseManifest {
  /** As `SHOW server_version_num`: 170006 is 17.6. */
  serverVersion: number;
  encoding: string;
  /** The superuser that initdb made. It owns what is not said to be another's. */
  owner: string;
  /** Other roles that own something here or have a right to it. */
  roles: string[];
  extensions: { name: string; version: string }[];
  settings: DumpedSetting[];
  tables: DumpedTable[];
  sequences: DumpedSequence[];
  graphs: DumpedGraph[];
  /** How many there are of each kind of object that has no rows, such as `index`; those of extensions do not count. */
  objects: Record<string, number>;
  /** The names of all of them, as readSchema() writes them. */
  schema: string[];
}
