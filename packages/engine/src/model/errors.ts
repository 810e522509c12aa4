/** Exit codes of every command; a test compares README.md's table with it. Never 125–127: Docker uses them. SIGTERM ends with 143. */
export const EXIT = {
  ok: 0,
  bug: 1,
  usage: 2,
  precondition: 3,
  configuration: 4,
  locked: 5,
  docker: 6,
  unhealthy: 7,
  schema: 8,
  afterImpact: 9,
  notAsDesired: 10,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export interface OperatorErrorOptions {
  exitCode: ExitCode;
  /** The next command, or the change that mends it. */
  hint?: string;
  /** One finding each; never a secret. */
  details?: string[];
  cause?: unknown;
}

/** An expected failure: what, why, and the next command. Anything else that is thrown is our bug. */
export class OperatorError extends Error {
  readonly code: string;
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;
  readonly details: string[];

  constructor(code: string, message: string, options: OperatorErrorOptions) {
    super(message, { cause: options.cause });
    this.name = 'OperatorError';
    this.code = code;
    this.exitCode = options.exitCode;
    this.hint = options.hint;
    this.details = options.details ?? [];
  }
}

/** The text of an unknown thrown value. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
