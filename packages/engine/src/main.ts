import { execute } from '@oclif/core';
import { skipOptimizing } from './database/webassembly.ts';

/** Runs the CLI. What oclif itself throws (an unknown command) is reported the same way as a command's own failure. */
export async function main(url: string): Promise<void> {
  skipOptimizing();
  try {
    await execute({ dir: url });
  } catch (thrown) {
    // Loaded only here: --help and --version need none of what it knows.
    const { errorDocument, toOperatorError } = await import('./cli/errors.ts');
    const error = toOperatorError(thrown);
    const command = process.argv.slice(2).find((word) => !word.startsWith('-')) ?? '';
    if (process.argv.includes('--json')) {
      const document = { schemaVersion: 1, ok: false, command, error: errorDocument(error), warnings: [] };
      process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    } else {
      process.stderr.write(`Error: ${error.message}\nNext: ${error.hint ?? 'kg-operator help'}\n`);
    }
    process.exitCode = error.exitCode;
  }
}
