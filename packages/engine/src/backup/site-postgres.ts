import { basename } from 'node:path';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { RunContext } from '../run/context.ts';
import { onEmbeddedTrial } from './embedded-trial.ts';
import { PREFIXES } from './restore-names.ts';
import type { Site } from './site.ts';

/** A PostgreSQL of the user's own: it is backed up, and trials are made in an embedded one; what is in it is for its owner to replace. */
export function postgresSite(context: RunContext): Site {
  const refuse = async () => {
    throw new OperatorError(
      'RESTORE_ELSEWHERE',
      'a PostgreSQL of your own is not replaced by a restore: others may use it, and there is nothing that could stop them',
      {
        exitCode: EXIT.precondition,
        hint: 'nothing was changed: restore into containers, through their operator.sh, or into an embedded database, in a folder without DATABASE_URL',
      },
    );
  };
  return {
    name: basename(context.settings.dataDirectory),
    prefixes: PREFIXES,
    assertReplaceable: refuse,
    loadBeside: refuse,
    withLoaded: refuse,
    swap: refuse,
    answers: async () => undefined,
    previous: async () => [],
    examinePrevious: refuse,
    dropPrevious: refuse,
    onTrial: (use) => onEmbeddedTrial(context, use),
  };
}
