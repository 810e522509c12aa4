// Everything that tests put into the temporary directory goes into one of this run, which is removed at its end.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** jest's globalSetup: workers inherit the variable. */
export default function setUp() {
  process.env.TMPDIR = mkdtempSync(join(tmpdir(), 'kg-test-'));
  process.once('exit', () => rmSync(process.env.TMPDIR, { recursive: true, force: true }));
}
