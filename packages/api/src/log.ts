import type { Secret } from '@kg-operator/config';

export type LogLevel = 'info' | 'warn' | 'error';
export type Log = (level: LogLevel, message: string, fields?: Record<string, unknown>) => void;

/**
 * A log of one JSON document per line: time, level, message, fields.
 * Nothing here is given a secret on purpose; that the secrets' values are also struck out guards against texts of other people's errors.
 */
export function jsonLog(secrets: Secret[], write: (line: string) => void): Log {
  return (level, message, fields = {}) => {
    let line = JSON.stringify({ time: new Date().toISOString(), level, message, ...fields });
    for (const secret of secrets) line = line.replaceAll(secret.reveal(), '[redacted]');
    write(`${line}\n`);
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
