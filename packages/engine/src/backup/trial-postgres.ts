import type { ConnectionSettings } from '@kg-operator/config';
import { withScratchPostgres } from '../adapters/scratch-postgres.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { RunContext } from '../run/context.ts';

/** An empty PostgreSQL of the image that runs, for as long as `use` takes. @throws OperatorError NOT_VERIFIABLE, SCRATCH_FAILED */
export async function withTrialPostgres<T>(
  { settings, signal, runtime }: RunContext,
  use: (connection: ConnectionSettings) => Promise<T>,
): Promise<T> {
  const containers = await runtime.listContainers(settings.project);
  const postgres = containers.find(({ service }) => service === 'postgres');
  if (!postgres) {
    throw new OperatorError(
      'NOT_VERIFIABLE',
      'there is no postgres container whose image a trial could use',
      {
        exitCode: EXIT.precondition,
        hint: 'run it on the installation: ./operator.sh backup verify',
      },
    );
  }
  const { project } = settings;
  return withScratchPostgres(
    { project, image: postgres.imageId, network: `${project}_backend`, signal },
    use,
  );
}
