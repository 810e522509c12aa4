import { OperatorError } from '../model/errors.ts';

/** Throws the first of the findings, with the others in its details; nothing if there is none. */
export function allAtOnce(findings: OperatorError[]): void {
  const [first, ...others] = findings;
  if (!first) return;
  if (others.length === 0) throw first;
  throw new OperatorError(first.code, first.message, {
    exitCode: first.exitCode,
    details: [
      ...first.details,
      ...others.map(({ message, hint }) => (hint ? `${message}: ${hint}` : message)),
    ],
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    cause: first,
  });
}
