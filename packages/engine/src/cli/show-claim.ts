import type { IssuedClaim } from '../config/claim.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { minute } from './age.ts';
import { paint } from './style.ts';

/** Whether what is printed on stdout is seen on a terminal and kept nowhere. */
export function printsOnTerminal(json: boolean): boolean {
  return Boolean(process.stdout.isTTY) && !json;
}

/** @throws OperatorError CLAIM_NEEDS_TERMINAL: a token must not end in a file, a pipe, a log or a document. */
export function requireTerminal(json: boolean): void {
  if (printsOnTerminal(json)) return;
  throw new OperatorError('CLAIM_NEEDS_TERMINAL', 'a claim token is printed on a terminal and nowhere else', {
    exitCode: EXIT.precondition,
    hint: 'run it on a terminal (ssh -t HOST …, without --json), or set a password: ./operator.sh config admin --from-file FILE',
  });
}

/**
 * How the first admin is made. The token is in the fragment of the address, which browsers send to no server, so that no log has it.
 * For `requireTerminal()` alone.
 */
export function showClaim({ token, expiresAt }: IssuedClaim, web: string): string {
  const out = process.stdout;
  return [
    paint('bold', 'Nobody is admin yet. Open this once, and choose a name and a password:', out),
    '',
    `  ${paint('cyan', `${web}/claim#${token.reveal()}`, out)}`,
    '',
    `  Or the token alone, at ${web}/claim`,
    `  ${token.reveal()}`,
    '',
    `It counts once, until ${minute(expiresAt)} UTC. Another one: ./operator.sh config claim`,
  ].join('\n');
}
