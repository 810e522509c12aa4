import type { ContainerDetails } from '../adapters/docker.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { RunContext } from '../run/context.ts';

/** A copy of a service and whether it is what is wanted. */
export interface Copies {
  old: ContainerDetails[];
  fresh: ContainerDetails[];
}

/**
 * The containers of a service, told apart by what they were created from. The reference must be the same and not only the image: Compose
 * compares references, and would make a container anew that names the same image otherwise.
 */
export async function copiesOf(
  context: RunContext,
  service: string,
  image: string,
  imageId: string,
): Promise<Copies> {
  const all = await inspectService(context, service);
  const isFresh = (copy: ContainerDetails) => copy.reference === image && copy.imageId === imageId;
  return { old: all.filter((copy) => !isFresh(copy)), fresh: all.filter(isFresh) };
}

/** Every container of a service, running or not. */
export async function inspectService(context: RunContext, service: string): Promise<ContainerDetails[]> {
  const { runtime, settings } = context;
  const listed = await runtime.listContainers(settings.project);
  const own = listed.filter((container) => container.service === service);
  const details = await Promise.all(own.map(({ id }) => runtime.inspectContainer(id)));
  return details.filter((one) => one !== null);
}

/** The id of an image that must be on this host. @throws OperatorError IMAGE_MISSING */
export async function imageIdOf(context: RunContext, image: string): Promise<string> {
  const found = await context.images.find(image);
  if (found) return found.id;
  throw new OperatorError('IMAGE_MISSING', `${image} is not on this host any more`, {
    exitCode: EXIT.docker,
    hint: 'run the same command again; it pulls what is missing',
  });
}

/** Whether a container serves: it runs, and is healthy if its image can say so. */
export function isWell({ state, health }: Pick<ContainerDetails, 'state' | 'health'>): boolean {
  return state === 'running' && (health === 'healthy' || health === 'none');
}

/** Networks on which the gateway looks for the application. */
export async function gatewayNetworks(context: RunContext): Promise<string[]> {
  const gateways = await inspectService(context, GATEWAY);
  return [...new Set(gateways.flatMap(({ networks }) => Object.keys(networks)))];
}

const GATEWAY = 'gateway';

/**
 * Takes a copy that does not run yet out of the gateway's sight: it keeps its networks, but the name of its service leads nobody to it.
 * Otherwise requests would go to it from the moment it starts, long before it listens.
 */
export async function hide(
  { runtime }: RunContext,
  copy: ContainerDetails,
  networks: string[],
): Promise<void> {
  for (const network of networks.filter((name) => copy.networks[name]?.length))
    await runtime.renameOnNetwork(copy.id, network, []);
}

/** Puts a copy under the name of its service where the gateway looks. Does nothing where it is there already. */
export async function show(
  { runtime }: RunContext,
  service: string,
  copy: ContainerDetails,
  networks: string[],
  old: ContainerDetails[],
): Promise<void> {
  for (const network of networks) {
    if (copy.networks[network]?.includes(service)) continue;
    const shown = old.find((one) => one.networks[network]?.includes(service));
    // Names that an override gives to the service are those of the old copy, its own left out.
    const names = shown ? others(shown, network) : [service];
    await runtime.renameOnNetwork(copy.id, network, [copy.name, ...names]);
  }
}

function others({ networks, name, id }: ContainerDetails, network: string): string[] {
  return (networks[network] ?? []).filter((alias) => alias !== name && !id.startsWith(alias));
}
