import type { Secret } from '@kg-operator/config';

export type LogLevel = 'info' | 'warn' | 'error';
export type Log = (level: LogLevel, message: string, fields?: Record<string, unknown>) => void;

/** The secrets that no text may hold. */
export class Redaction {
  readonly #values = new Set<string>();

  /** From now on these are struck out. */
  readonly add = (secrets: Secret[]): void => {
    for (const secret of secrets) {
      const value = secret.reveal();
      // As it is inside a JSON string, which is how a log line has it.
      for (const text of [value, JSON.stringify(value).slice(1, -1)]) if (text) this.#values.add(text);
    }
  };

  strike(text: string): string {
    let clean = text;
    for (const value of this.#values) clean = clean.replaceAll(value, '[redacted]');
    return clean;
  }
}

/**
 * A log of one JSON document per line: time, level, message, fields.
 * Nothing here is given a secret on purpose; that the secrets' values are also struck out guards against texts of other people's errors.
 */
export function jsonLog(redaction: Redaction, write: (line: string) => void): Log {
  return (level, message, fields = {}) => {
    const line = JSON.stringify({ time: new Date().toISOString(), level, message, ...fields });
    write(`${redaction.strike(line)}\n`);
  };
}

/** What a log line says about an unexpected error. */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { error: String(error) };
  const { code } = error as { code?: unknown };
  return {
    error: error.message,
    kind: error.name,
    ...(code === undefined ? {} : { code }),
    stack: error.stack?.split('\n').slice(1, 8).join('\n'),
    ...(error.cause === undefined ? {} : { cause: String(error.cause) }),
  };
}
