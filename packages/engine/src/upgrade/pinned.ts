import { dirname, join, relative } from 'node:path';
import type { ServiceObservation } from '../model/observation.ts';
import type { RunContext } from '../run/context.ts';

/** How a person changes the version of a service that upgrades leave alone; docs of the ADR, with this installation's own names. */
export interface PinnedGuide {
  service: string;
  /** That it runs now; null: it has no container. */
  image: string | null;
  /** Compose files, in the order in which they count; the last may not be there yet. Relative to the installation. */
  files: string[];
  volumes: string[];
  steps: { text: string; command: string | null }[];
  warnings: string[];
}

export async function pinnedGuide(
  { runtime, settings }: RunContext,
  { name, containers: [container] }: ServiceObservation,
  env: NodeJS.ProcessEnv = process.env,
): Promise<PinnedGuide> {
  const paths = (env.COMPOSE_FILE ?? join(settings.root, 'docker-compose.yml')).split(':');
  const override = join(dirname(paths[0] as string), 'docker-compose.override.yml');
  const files = [...new Set([...paths, override])].map((path) => relative(settings.root, path));
  const volumes = container ? await runtime.volumesOf(container.id) : [];
  return guide({ service: name, image: container?.image ?? null, files, volumes });
}

/** Pure. */
export function guide({
  service,
  image,
  files,
  volumes,
}: Pick<PinnedGuide, 'service' | 'image' | 'files' | 'volumes'>): PinnedGuide {
  const override = files.at(-1) as string;
  const data = volumes.length > 0 ? volumes.join(' and ') : 'its volumes';
  return {
    ...{ service, image, files, volumes },
    steps: [
      { text: 'Save everything, and see that it can be restored', command: './operator.sh backup' },
      {
        text: `Name the new image in ${override}, which no release replaces: services: {${service}: {image: NAME:VERSION}}${image ? `; now it is ${image}` : ''}`,
        command: null,
      },
      {
        text: 'Fetch it while the old one still runs',
        command: `eval "$(./operator.sh env)" && docker compose pull ${service}`,
      },
      { text: `Start it: ${service} is replaced, ${data} stay`, command: './operator.sh start' },
      { text: 'Look at it', command: './operator.sh status' },
      { text: `To go back, take the line out of ${override} again`, command: './operator.sh start' },
    ],
    warnings: WARNINGS[service]?.(data) ?? [
      `whether another version reads ${data}, its release notes say; the way back without them is the backup`,
    ],
  };
}

const WARNINGS: Record<string, (data: string) => string[]> = {
  postgres: (data) => [
    `another major version of PostgreSQL does not read ${data}: for that make the backup, begin a new installation with the new image, and bring the data there with ./operator.sh up --restore FILE`,
    'the image must have Apache AGE built for its PostgreSQL, as docker/postgres/Dockerfile does it; restores and trials of backups run in it, too',
  ],
  garage: (data) => [
    `Garage changes the format of ${data} between major versions: read its release notes, and go through every major version`,
  ],
};
