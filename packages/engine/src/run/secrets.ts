import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { constants, copyFile, link, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { databaseFolder, isHalfMade } from '../database/embedded.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { readEnvFile } from '../model/settings.ts';

/** Layer 1, as `operator.sh init` writes it: how many random bytes each secret has, in lower-case hexadecimal. */
const SECRET_BYTES = {
  ENCRYPTION_KEY: 32,
  OAUTH_SIGNING_KEY: 32,
  GARAGE_RPC_SECRET: 32,
  GARAGE_ADMIN_TOKEN: 32,
  POSTGRES_PASSWORD: 24,
} as const;

/**
 * Makes sure that a data directory has its secrets: written once, whole or not at all, never over an existing file, and never anew where
 * data is that the lost ones protect. Returns whether it wrote them.
 * @throws OperatorError DATA_WITHOUT_ENV, SECRETS_INVALID, SECRETS_READABLE
 */
export async function ensureSecrets(dataDirectory: string): Promise<boolean> {
  const path = join(dataDirectory, '.env');
  if (existsSync(path)) {
    await checkSecrets(path);
    return false;
  }
  if (await holdsData(dataDirectory)) {
    throw new OperatorError(
      'DATA_WITHOUT_ENV',
      `${path} is missing, but there is data that was locked with it`,
      {
        exitCode: EXIT.precondition,
        hint: 'put your copy of it back, or destroy the data: kg-operator dev --reset',
      },
    );
  }
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  const lines = Object.entries(SECRET_BYTES).map(
    ([name, bytes]) => `${name}=${randomBytes(bytes).toString('hex')}`,
  );
  lines.unshift(
    '# Written once, by kg-operator. Keep a copy elsewhere: without it the data beside it cannot be read.',
  );
  if (await placeNew(path, `${lines.join('\n')}\n`)) return true;
  await checkSecrets(path);
  return false;
}

/** Every secret is there in its form, and nobody else can read them. */
async function checkSecrets(path: string): Promise<void> {
  const values = readEnvFile(path);
  const wrong = Object.entries(SECRET_BYTES)
    .filter(([name, bytes]) => !new RegExp(`^[0-9a-f]{${bytes * 2}}$`).test(values.get(name) ?? ''))
    .map(([name, bytes]) => `${name} must be ${bytes * 2} lower-case hex digits`);
  if (wrong.length > 0) {
    throw new OperatorError('SECRETS_INVALID', `${path} is not as it was written`, {
      exitCode: EXIT.precondition,
      details: wrong,
      hint: 'restore the file that belongs to this data',
    });
  }
  // Windows has no such mode; there the folder's own rights count.
  if (process.platform !== 'win32' && ((await stat(path)).mode & 0o077) !== 0) {
    throw new OperatorError('SECRETS_READABLE', `others can read ${path}`, {
      exitCode: EXIT.precondition,
      hint: `chmod 600 '${path}'`,
    });
  }
}

async function holdsData(dataDirectory: string): Promise<boolean> {
  const rows = !isHalfMade(dataDirectory) && (await holdsFiles(databaseFolder(dataDirectory)));
  return rows || (await holdsFiles(join(dataDirectory, 'objects')));
}

/** Only a folder that is not there is empty for sure: what can't be read may hold data, and fails. */
async function holdsFiles(folder: string): Promise<boolean> {
  if (!existsSync(folder)) return false;
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.some((entry) => entry.isFile());
}

/**
 * A link fails where a rename would replace; the temporary file is complete and on the disk before. Returns false when another process
 * was faster.
 */
async function placeNew(path: string, text: string): Promise<boolean> {
  const temporary = `${path}.tmp.${randomBytes(6).toString('hex')}`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    // Some file systems (exFAT, some network ones) have no links.
    await link(temporary, path).catch((error: NodeJS.ErrnoException) =>
      error.code === 'EEXIST' ? Promise.reject(error) : copyFile(temporary, path, constants.COPYFILE_EXCL),
    );
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}
