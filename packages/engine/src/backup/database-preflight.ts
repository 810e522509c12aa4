import type pg from 'pg';
import { EXIT, OperatorError } from '../model/errors.ts';
import { rowsOf } from './database-connection.ts';
import { OWN_SCHEMA } from './database-contents.ts';
import type { DatabaseManifest } from './format.ts';

/**
 * Looks whether a dump can be loaded here, before anything is.
 * @throws OperatorError RESTORE_IMPOSSIBLE with all reasons
 */
export async function assertLoadable(client: pg.Client, manifest: DatabaseManifest): Promise<void> {
  const reasons = [...(await whyNotEmpty(client)), ...(await whyNotServer(client, manifest))];
  const [first, ...others] = reasons;
  if (first === undefined) return;
  throw new OperatorError('RESTORE_IMPOSSIBLE', `this backup can't be loaded here: ${first}`, {
    exitCode: EXIT.precondition,
    details: others,
    hint: 'restore with the images the backup was made with, or later ones',
  });
}

async function whyNotEmpty(client: pg.Client): Promise<string[]> {
  const found = await rowsOf<{ name: string }>(
    client,
    `SELECT 'schema ' || n.nspname AS name FROM pg_catalog.pg_namespace n WHERE ${OWN_SCHEMA} AND n.nspname <> 'public'
     UNION ALL SELECT 'table ' || c.relname FROM pg_catalog.pg_class c WHERE c.relnamespace = to_regnamespace('public')
     UNION ALL SELECT 'extension ' || extname FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' LIMIT 1`,
  );
  return found.map(({ name }) => `the database is not empty, it has ${name}`);
}

/**
 * What of the server does not fit; asked in any of its databases. Without pg_dump's own text of the schema (`hasArchives`) its version does
 * not matter: rows are text, and the schema is made here.
 */
export async function whyNotServer(
  client: pg.Client,
  manifest: DatabaseManifest,
  hasArchives = true,
): Promise<string[]> {
  const [server] = await rowsOf<{ version: string; encoding: string; isSuperuser: string }>(
    client,
    `SELECT current_setting('server_version_num') AS version, current_setting('server_encoding') AS encoding,
       current_setting('is_superuser') AS "isSuperuser"`,
  );
  const major = (version: number) => Math.floor(version / 10_000);
  const reasons: string[] = [];
  if (hasArchives && major(Number(server?.version)) < major(manifest.serverVersion))
    reasons.push(
      `it is of PostgreSQL ${major(manifest.serverVersion)}, the server is older (${major(Number(server?.version))})`,
    );
  if (server?.encoding !== manifest.encoding)
    reasons.push(`its encoding is ${manifest.encoding}, that of the database ${server?.encoding}`);
  if (server?.isSuperuser !== 'on') reasons.push('only a superuser can restore graphs');
  return [...reasons, ...(await whyNotExtensions(client, manifest.extensions, hasArchives))];
}

/** pg_dump asks for an extension without a version: it will be the server's own, which must not be older. */
async function whyNotExtensions(
  client: pg.Client,
  extensions: DatabaseManifest['extensions'],
  hasArchives: boolean,
): Promise<string[]> {
  const available = new Map(
    (
      await rowsOf<{ name: string; version: string }>(
        client,
        'SELECT name, default_version AS version FROM pg_catalog.pg_available_extensions',
      )
    ).map(({ name, version }) => [name, version]),
  );
  return extensions.flatMap(({ name, version }) => {
    const here = available.get(name);
    if (here === undefined) return [`the server has no extension ${name}`];
    return hasArchives && isOlder(here, version)
      ? [`it needs the extension ${name} ${version}, the server has ${here}`]
      : [];
  });
}

/** Compares versions number by number: 1.5.0 is older than 1.10. */
export function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split(/\D+/).map(Number)) as [number[], number[]];
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
