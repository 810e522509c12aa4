import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A way to damage the file of a bundle; returns what was done. `random(n)` is a number below n. */
export type Damage = (bundle: Buffer, random: (below: number) => number) => { bytes: Buffer; what: string };

/** Damages of the file as whoever holds it can do them without a key. */
export const FILE_DAMAGES: Damage[] = [
  (bundle, random) => {
    const [at, bit] = [random(bundle.length), random(8)];
    const bytes = Buffer.from(bundle);
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at);
    return { bytes, what: `bit ${bit} of byte ${at} of ${bundle.length} flipped` };
  },
  (bundle, random) => {
    const length = random(bundle.length);
    return { bytes: bundle.subarray(0, length), what: `cut to ${length} of ${bundle.length} bytes` };
  },
  (bundle, random) => {
    const more = Buffer.alloc(1 + random(100_000), random(256));
    return { bytes: Buffer.concat([bundle, more]), what: `${more.length} bytes appended` };
  },
];

/**
 * Damages that need a key: what is inside is another bundle's, or gone. Made with the stock programs alone, encrypted to the kit.
 * @param members in their order; what comes back is what the new bundle has
 */
export const MEMBER_DAMAGES: ((
  members: string[],
  random: (below: number) => number,
  folder: string,
) => Promise<{ members: string[]; what: string }>)[] = [
  async (members, random) => {
    const gone = random(members.length);
    return { members: members.filter((_, at) => at !== gone), what: `${members[gone]} removed` };
  },
  async (members, random, folder) => {
    // Contents change places, names stay.
    const one = random(members.length);
    const other = (one + 1 + random(members.length - 1)) % members.length;
    const [a, b] = [join(folder, members[one] ?? ''), join(folder, members[other] ?? '')];
    await copyFile(a, join(folder, 'swap'));
    await copyFile(b, a);
    await copyFile(join(folder, 'swap'), b);
    return { members, what: `${members[one]} and ${members[other]} swapped` };
  },
  async (members, random) => {
    const twice = random(members.length);
    return {
      members: members.flatMap((name, at) => (at === twice ? [name, name] : [name])),
      what: `${members[twice]} twice`,
    };
  },
  async (members, random, folder) => {
    const name = members[random(members.length)] ?? '';
    const bytes = Buffer.from(await readFile(join(folder, name)));
    await writeFile(join(folder, name), Buffer.concat([bytes, Buffer.from('x')]));
    return { members, what: `${name} with a byte more` };
  },
];

/** Opens a bundle with age and tar, damages its members in one of the ways, and seals them again to the kit. */
export async function resealed(
  bundle: string,
  kit: string,
  folder: string,
  way: number,
  random: (below: number) => number,
): Promise<{ bytes: Buffer; what: string }> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const shell = (script: string, ...args: string[]) =>
    execFileSync('sh', ['-ec', script, 'sh', ...args], { cwd: folder, maxBuffer: 1 << 28 });
  const list = shell('age -d -i "$1" "$2" | tar xv', kit, bundle).toString();
  const members = list.trim().split('\n');
  const damage = MEMBER_DAMAGES[way % MEMBER_DAMAGES.length];
  if (!damage) throw new Error('there are no damages');
  const { members: left, what } = await damage(members, random, folder);
  await writeFile(join(folder, 'members'), `${left.join('\n')}\n`);
  const sealed = shell(
    'tar c --format=ustar --hard-dereference --no-recursion -T members | age -r "$(age-keygen -y "$1")"',
    kit,
  );
  await rm(folder, { recursive: true });
  return { bytes: sealed, what };
}
