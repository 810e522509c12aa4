import { type SpaceNeed, shortageOf } from '../backup/space.ts';
import { backupNeeds, databaseCopyNeeds } from '../backup/space-needs.ts';
import { asFinding, type Check } from './preflight.ts';
import { notHere } from './preflight-images.ts';

/** Room for images that are not here, for the backup, and for the database as it is kept before a contract migration. */
export const checkSpace: Check = async (context, { hops, images, backup, observed }) => {
  const needs: SpaceNeed[] = [];
  // Layers that releases share are counted in each: it is the publishers' estimate, and better too much than too little.
  if ((await notHere(context, images)).length > 0)
    needs.push({
      what: 'images',
      bytes: hops.reduce((sum, { release }) => sum + release.requires.diskBytes, 0),
      how: `what the ${hops.length === 1 ? 'release says' : 'releases say'} that they take`,
      place: "Docker's image store",
      disk: await context.images.disk(),
    });
  if (observed.database.reachable) {
    const copies = hops.filter(({ contract }) => contract.length > 0).length;
    const copy = copies > 0 ? await databaseCopyNeeds(context, copies) : null;
    const { bundle, trial } = backup ? await backupNeeds(context) : {};
    if (bundle) needs.push(bundle);
    // The trial is gone before the copy is made.
    const larger = [copy, trial].filter((need) => need != null).sort((a, b) => b.bytes - a.bytes)[0];
    if (larger) needs.push(larger);
  }
  const shortage = shortageOf(needs);
  return shortage ? [asFinding(shortage)] : [];
};
