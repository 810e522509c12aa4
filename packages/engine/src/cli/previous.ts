import { siteOf } from '../backup/site.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { RunContext } from '../run/context.ts';

/**
 * The database that a restore has put aside, by its name, or the newest.
 * @throws OperatorError PREVIOUS_UNKNOWN, WRONG_ENCRYPTION_KEY, PREVIOUS_UNUSABLE
 */
export async function findPrevious(context: RunContext, name: string | undefined): Promise<string> {
  const site = siteOf(context);
  const aside = (await site.previous()).map((one) => one.name);
  const found =
    name === undefined
      ? aside.filter((one) => one.startsWith(site.prefixes.outgoing)).at(-1)
      : aside.find((one) => one === name);
  if (found === undefined)
    throw new OperatorError(
      'PREVIOUS_UNKNOWN',
      name === undefined
        ? 'no restore has put a database aside'
        : `no restore has put aside a database ${name}`,
      {
        exitCode: EXIT.precondition,
        details: aside,
        hint: 'restore a backup: ./operator.sh backup list',
      },
    );
  await site.examinePrevious(found);
  return found;
}
