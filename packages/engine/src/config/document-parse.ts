import { EXIT, OperatorError } from '../model/errors.ts';
import type { ConfigurationDocument } from './document.ts';
import { schemaProblems } from './document-check.ts';
import { type Placed, parseSyntax } from './document-syntax.ts';

/** A configuration file that fits the schema: what it says, and where. */
export interface ConfigurationFile {
  name: string;
  document: ConfigurationDocument;
  /** Where the value at `path` is: `kg.yaml:3:5`. */
  at(path: readonly string[]): string;
}

const MOST_PROBLEMS = 50;

/**
 * Reads a configuration file, YAML or JSON; `name` is how messages call it.
 * @throws OperatorError FILE_INVALID with everything that is wrong, each with its line and without any value
 */
export function parseConfiguration(bytes: Uint8Array, name: string): ConfigurationFile {
  const { value, problems, place } = parseSyntax(bytes);
  if (problems.length > 0) throw invalid(name, problems);
  if (value === undefined || value === null)
    throw invalid(name, [{ line: 1, column: 1, message: 'the file is empty' }]);
  const misfits = schemaProblems(value).map(({ path, atKey, message }) => ({
    ...place(path, atKey),
    message,
  }));
  if (misfits.length > 0) throw invalid(name, misfits);
  return {
    name,
    document: value as ConfigurationDocument,
    at(path) {
      const { line, column } = place(path);
      return `${name}:${line}:${column}`;
    },
  };
}

function invalid(name: string, problems: Placed[]): OperatorError {
  const sorted = problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const details = sorted
    .slice(0, MOST_PROBLEMS)
    .map(({ line, column, message }) => `${name}:${line}:${column}: ${message}`);
  if (problems.length > MOST_PROBLEMS) details.push(`and ${problems.length - MOST_PROBLEMS} more`);
  return new OperatorError('FILE_INVALID', `${name} is not a valid configuration file`, {
    exitCode: EXIT.configuration,
    details,
    hint: 'correct the file; nothing was changed',
  });
}
