import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { docker, dockerLines, run } from './command.ts';
import { ADMIN_PASSWORD, AI_KEY, type Installation } from './installation.ts';

/** Values to look for, by name. */
export type Secrets = Record<string, string>;

/** Names of the secrets that `text` holds. */
export function secretsIn(text: string, secrets: Secrets): string[] {
  return Object.keys(secrets).filter((name) => text.includes(secrets[name] as string));
}

/** Everything that is secret in an installation: `.env`, what was typed, and the key that Garage shows to its administrator only. */
export async function allSecrets(installation: Installation): Promise<Secrets> {
  const secrets = {
    ...(await installation.env()),
    ADMIN_PASSWORD,
    AI_KEY,
    GARAGE_SECRET_KEY: await garageSecret(installation),
  };
  for (const [name, value] of Object.entries(secrets)) {
    if (value.length < 16) throw new Error(`${name} is too short to be looked for`);
  }
  return secrets;
}

/** Garage's admin API inside its container, by the program's own client. */
export async function garageJson<T>(installation: Installation, call: string, body: unknown): Promise<T> {
  const id = (await installation.containers()).garage?.Id ?? 'no garage';
  return JSON.parse(await docker('exec', id, '/garage', 'json-api', call, JSON.stringify(body))) as T;
}

export async function garageKey(
  installation: Installation,
): Promise<{ accessKeyId: string; secretAccessKey: string }> {
  const bucket = await garageJson<{ keys: { accessKeyId: string }[] }>(installation, 'GetBucketInfo', {
    globalAlias: 'kg-documents',
  });
  const id = bucket.keys[0]?.accessKeyId;
  return garageJson(installation, 'GetKeyInfo', { id, showSecretKey: true });
}

async function garageSecret(installation: Installation): Promise<string> {
  return (await garageKey(installation)).secretAccessKey;
}

/** Where a secret was found that must not be there: `place: NAME`. */
export async function findLeaks(installation: Installation, secrets: Secrets): Promise<string[]> {
  const leaks: string[] = [];
  const look = (place: string, text: string) => {
    for (const name of secretsIn(text, secrets)) leaks.push(`${place}: ${name}`);
  };
  for (const { command, stdout, stderr } of installation.results)
    look(`output of ${command}`, stdout + stderr);
  for (const line of installation.processes.seen()) look(`process list: ${line.split(' ')[0]}`, line);
  for (const [service, container] of Object.entries(await installation.containers())) {
    const { stdout, stderr } = await run('docker', ['logs', container.Id]);
    look(`log of ${service}`, stdout + stderr);
  }
  for (const image of await images(installation)) {
    look(`history of ${image}`, await docker('history', '--no-trunc', image));
    look(`inspect of ${image}`, await docker('image', 'inspect', image));
  }
  for (const file of await stateFiles(installation))
    look(file, await readFile(installation.path(file), 'utf8'));
  return [...new Set(leaks)].sort();
}

/** Which secrets `docker inspect` of each service's container shows. */
export async function secretsOfContainers(
  installation: Installation,
  secrets: Secrets,
): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const [service, { Id }] of Object.entries(await installation.containers())) {
    found[service] = secretsIn(await docker('inspect', Id), secrets).sort();
  }
  return found;
}

export async function images(installation: Installation): Promise<string[]> {
  const containers = Object.values(await installation.containers());
  const tags = new Set(containers.map(({ Config }) => Config.Image));
  // Also those that are built and not running: the production images, when the development ones run.
  const tag = [...tags].find((image) => image.startsWith('kg-operator-gateway'))?.split(':')[1];
  if (!tag) throw new Error('no image of the gateway');
  const built = await dockerLines('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}');
  return [
    ...new Set([
      ...tags,
      ...built.filter((image) => new RegExp(`^kg-operator-\\w+:${tag}(-dev)?$`).test(image)),
    ]),
  ];
}

/** Files beneath `.operator/`, as paths from the root. */
export async function stateFiles(installation: Installation): Promise<string[]> {
  const entries = await readdir(installation.path('.operator'), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(installation.root.length + 1));
}
