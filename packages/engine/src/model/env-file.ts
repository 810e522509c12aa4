/** One violation of the grammar; `line` counts from 1. */
export interface EnvFileProblem {
  line: number;
  message: string;
}

export interface EnvFile {
  values: Map<string, string>;
  problems: EnvFileProblem[];
}

const LINE = /^([A-Z][A-Z0-9_]*)=([A-Za-z0-9_./:@%+,=-]*)$/;
const MAX_LINES = 200;

/**
 * Parses `.env` and `.operator.conf` text: the strict grammar of ARCHITECTURE.md, which operator.sh parses the same way
 * (test/shell/env-vectors.json holds the vectors for both). Values of bad lines are never repeated in a problem: they may be secrets.
 */
export function parseEnvFile(text: string): EnvFile {
  const values = new Map<string, string>();
  const problems: EnvFileProblem[] = [];
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  if (lines.length > MAX_LINES)
    problems.push({ line: MAX_LINES + 1, message: `more than ${MAX_LINES} lines` });
  for (const [index, content] of lines.slice(0, MAX_LINES).entries()) {
    const line = index + 1;
    if (content === '' || content.startsWith('#')) {
      if (content.endsWith('\r')) problems.push({ line, message: explain(content) });
      continue;
    }
    const match = LINE.exec(content);
    const key = match?.[1];
    if (!key) problems.push({ line, message: explain(content) });
    else if (values.has(key)) problems.push({ line, message: `${key} is set twice` });
    else values.set(key, match[2] ?? '');
  }
  return { values, problems };
}

function explain(line: string): string {
  if (line.startsWith('\uFEFF')) return 'byte order mark: save the file as plain UTF-8';
  if (line.endsWith('\r')) return 'Windows line ending (CRLF): save the file with LF';
  const equals = line.indexOf('=');
  if (equals < 0) return 'expected KEY=value';
  if (!/^[A-Z][A-Z0-9_]*$/.test(line.slice(0, equals)))
    return 'a key is A-Z, 0-9 and _, without spaces around it';
  if (/["'`]/.test(line.slice(equals))) return 'quotes are not allowed: write the bare value';
  return 'a value may hold only letters, digits and _./:@%+,=-';
}
