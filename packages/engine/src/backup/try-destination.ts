import { randomBytes } from 'node:crypto';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Destination, readText } from './destination.ts';

/** Writes, reads, lists and removes a small file. @throws OperatorError DESTINATION_UNUSABLE */
export async function tryDestination(destination: Destination): Promise<void> {
  const name = `.kg-operator-${randomBytes(6).toString('hex')}`;
  const text = `${randomBytes(16).toString('hex')}\n`;
  await destination.put(name, text);
  try {
    const back = await readText(destination, name);
    const listed = (await destination.list()).some((file) => file.name === name);
    if (back === text && listed) return;
    throw new OperatorError(
      'DESTINATION_UNUSABLE',
      `${destination.address} does not give back what was written to it`,
      {
        exitCode: EXIT.unhealthy,
        hint: 'check who else writes there',
      },
    );
  } finally {
    await destination.remove(name);
  }
}
