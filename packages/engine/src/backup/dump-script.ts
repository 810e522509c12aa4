import { randomBytes } from 'node:crypto';
import { EXIT, OperatorError } from '../model/errors.ts';

/** A script begins with comments; its first command comes long before this. */
const HEAD_BYTES = 64 * 1024;
/** More than pg_dump's last comment and `\unrestrict KEY` take. */
const TAIL_BYTES = 1024;

const COMPLETE = /^-- PostgreSQL database dump complete\r?$/m;

/**
 * A script of pg_dump, so that psql runs none of its own commands out of it: `\!` runs a shell, `\connect` leaves the database, `\copy`
 * reads and writes files. The first line becomes `\restrict` with a key that nobody knows, after which psql (17.6 and later) refuses
 * every command with a backslash, and stops. pg_dump's own pair of \restrict and \unrestrict is taken out; line numbers stay.
 * https://www.postgresql.org/docs/17/app-psql.html#APP-PSQL-META-COMMAND-RESTRICT
 * @throws OperatorError DUMP_TRUNCATED at the end, where pg_dump's last line is not there; DUMP_UNSAFE at the beginning
 */
export async function* restrictedScript(
  script: AsyncIterable<Buffer>,
  key = randomBytes(32).toString('hex'),
): AsyncGenerator<Buffer> {
  let head: Buffer | undefined = Buffer.alloc(0);
  let tail: Buffer = Buffer.alloc(0);
  let theirs: string | null = null;
  for await (const chunk of script) {
    let part: Buffer = chunk;
    if (head) {
      head = Buffer.concat([head, chunk]);
      if (head.length < HEAD_BYTES) continue;
      ({ part, theirs } = withOurKey(head, key));
      head = undefined;
    }
    const all: Buffer = tail.length > 0 ? Buffer.concat([tail, part]) : part;
    const cut = Math.max(0, all.length - TAIL_BYTES);
    if (cut > 0) yield all.subarray(0, cut);
    tail = all.subarray(cut);
  }
  if (head) ({ part: tail, theirs } = withOurKey(head, key));
  const text = tail.toString('latin1');
  const end = COMPLETE.exec(text);
  if (!end)
    throw new OperatorError('DUMP_TRUNCATED', 'the file ends before the last line that pg_dump writes', {
      exitCode: EXIT.precondition,
      hint: 'it was cut short, or pg_dump failed: use another copy, or dump again; nothing was changed',
    });
  const after = text.slice(end.index);
  yield Buffer.from(
    text.slice(0, end.index) + (theirs ? after.replace(`\\unrestrict ${theirs}`, '') : after),
    'latin1',
  );
}

/** The first line is replaced, it is a comment or empty; and the \restrict of pg_dump, if it comes before the first statement. */
function withOurKey(head: Buffer, key: string): { part: Buffer; theirs: string | null } {
  // latin1: every byte is one character, and goes back as the same byte.
  const lines = head.toString('latin1').split('\n');
  let theirs: string | null = null;
  for (const [n, line] of lines.entries()) {
    if (/^(--.*)?\r?$/.test(line)) continue;
    theirs = /^\\restrict ([A-Za-z0-9]+)\r?$/.exec(line)?.[1] ?? null;
    if (theirs !== null) lines[n] = '';
    if (n === 0)
      throw new OperatorError('DUMP_UNSAFE', 'the file does not begin as pg_dump begins its files', {
        exitCode: EXIT.precondition,
        hint: 'give the file that pg_dump has written, as it was written',
      });
    break;
  }
  lines[0] = `\\restrict ${key}`;
  return { part: Buffer.from(lines.join('\n'), 'latin1'), theirs };
}
