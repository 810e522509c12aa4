import { EXIT, type ExitCode, messageOf, OperatorError } from '../model/errors.ts';

/** What Docker says, by what it means; the first that fits counts. Texts of Docker 26 with either image store, and of moby's source for others. */
const MEANINGS: [RegExp, (reference: string, why: string, cause: unknown) => OperatorError][] = [
  [/no space left on device|disk quota exceeded/i, diskFull],
  // Docker compares every digest on the way; a registry or proxy can't make it take other bytes.
  [/verification failed for digest|unexpected commit digest|digest mismatch|unexpected digest/i, mismatch],
  [/\b401\b|\b403\b|unauthorized|denied|authentication required|no basic auth/i, denied],
  [/manifest unknown|name unknown|unknown blob|no matching manifest|(?<!host )not found$/i, notFound],
  [
    /\b429\b|toomanyrequests|\b50\d\b|no such host|name resolution|server misbehaving|dial tcp|connection (?:refused|reset)|timeout|timed out|deadline exceeded|\bEOF\b|broken pipe|unreachable|TLS|x509/i,
    unreachable,
  ],
];

/** What a failed request about an image in a registry means; `error` is what dockerode threw, or the `error` of a progress line. */
export function registryError(reference: string, error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  if (isDockerGone(error)) return dockerUnreachable(error);
  const why = textOf(error);
  const [, make] = MEANINGS.find(([pattern]) => pattern.test(why)) ?? [];
  if (make) return make(reference, why, error);
  if ((error as { statusCode?: number }).statusCode === 404) return notFound(reference, why, error);
  return failed('PULL_FAILED', EXIT.docker, `${reference} can't be pulled: ${why}`, NOTHING_STOPPED, error);
}

/** Another try may succeed: the registry or Docker itself did not answer. */
export function isWorthRetrying(error: unknown): boolean {
  return (
    error instanceof OperatorError && ['REGISTRY_UNREACHABLE', 'DOCKER_UNREACHABLE'].includes(error.code)
  );
}

const NOTHING_STOPPED =
  'nothing was stopped, and what was pulled is kept: run the same command again to go on';

export function stalled(reference: string, seconds: number): OperatorError {
  return unreachable(reference, `nothing came for ${seconds} s`, undefined);
}

export function dockerUnreachable(cause: unknown): OperatorError {
  return failed(
    'DOCKER_UNREACHABLE',
    EXIT.docker,
    `Docker does not answer: ${messageOf(cause)}`,
    'start Docker, or point DOCKER_HOST at it',
    cause,
  );
}

/** Docker never answered: there is no status, but a code of the operating system. */
function isDockerGone(error: unknown): boolean {
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  return (
    statusCode === undefined &&
    ['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'EACCES'].includes(code ?? '')
  );
}

/** dockerode writes `(HTTP code 404) unexpected - ` before what Docker said. */
function textOf(error: unknown): string {
  return messageOf(error)
    .replace(/^\(HTTP code \d+\) [a-z ]+ - /, '')
    .trim();
}

export function diskFull(what: string, why: string, cause: unknown): OperatorError {
  return failed(
    'DISK_FULL',
    EXIT.precondition,
    `no space for ${what} where Docker keeps images: ${why}`,
    'nothing was stopped; free some space (docker system df shows what takes it, docker image prune removes images that nothing names), then run the same command again',
    cause,
  );
}

function mismatch(reference: string, why: string, cause: unknown): OperatorError {
  return failed(
    'DIGEST_MISMATCH',
    EXIT.docker,
    `what the registry has as ${reference} is not that image: ${why}`,
    'nothing was stopped and nothing of it is used; a proxy or mirror may be damaged: use another registry, or a bundle: --from FILE',
    cause,
  );
}

function denied(reference: string, why: string, cause: unknown): OperatorError {
  return failed(
    'PULL_DENIED',
    EXIT.docker,
    `the registry does not give ${reference} to this host: ${why}`,
    `on the host: docker login ${reference.split('/')[0]} && docker pull ${reference}; then run the same command again: an image that is here is not pulled`,
    cause,
  );
}

function notFound(reference: string, why: string, cause: unknown): OperatorError {
  return failed(
    'IMAGE_NOT_FOUND',
    EXIT.docker,
    `the registry has no ${reference}: ${why}`,
    'nothing was stopped; was it pushed, and is it still kept there? Ask who publishes the releases, or use a bundle: --from FILE',
    cause,
  );
}

function unreachable(reference: string, why: string, cause: unknown): OperatorError {
  return failed(
    'REGISTRY_UNREACHABLE',
    EXIT.docker,
    `the registry of ${reference} does not answer as it should: ${why}`,
    `${NOTHING_STOPPED}; check network, DNS and Docker's proxy settings, or use a bundle: --from FILE`,
    cause,
  );
}

function failed(
  code: string,
  exitCode: ExitCode,
  message: string,
  hint: string,
  cause: unknown,
): OperatorError {
  return new OperatorError(code, message, { exitCode, hint, cause });
}
