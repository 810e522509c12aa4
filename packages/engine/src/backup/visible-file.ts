import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { Settings } from '../model/settings.ts';

/** @throws OperatorError FILE_MISSING; with containers it says how a file of the host gets where the operator sees it */
export async function assertVisible(path: string, { mode, root }: Settings): Promise<void> {
  try {
    await stat(path);
  } catch (error) {
    throw new OperatorError('FILE_MISSING', `${path} can't be read: ${messageOf(error)}`, {
      exitCode: EXIT.precondition,
      hint:
        mode === 'containers'
          ? `the operator sees only files beneath ${root}: copy it there (cp FILE '${root}'/) and name it ./${basename(path)}`
          : 'check its name; ./operator.sh backup list shows the backups that are known',
      cause: error,
    });
  }
}
