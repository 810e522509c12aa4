import type { BucketSettings, GarageAdmin, GarageNode } from '../src/adapters/garage.ts';

type Method = keyof GarageAdmin;

/** A Garage that remembers: one node without a role, no key, no bucket. `failAt` makes the named call fail once, after it took effect or before. */
export function fakeGarage(options: { failAt?: Method; when?: 'before' | 'after' } = {}) {
  const state = {
    layoutVersion: 0,
    role: false,
    keys: new Map<string, { name: string; secret: string }>(),
    buckets: new Map<string, Set<string>>(),
    settings: new Map<string, Pick<BucketSettings, 'website' | 'quotas'>>(),
    disk: { available: 1e12, total: 2e12 } as GarageNode['disk'],
    writes: 0,
  };
  let failing = options.failAt;
  async function call<T>(method: Method, effect: () => T): Promise<T> {
    const fails = failing === method;
    if (fails) failing = undefined;
    if (fails && options.when !== 'after') throw new Error(`${method} failed`);
    const result = effect();
    if (fails) throw new Error(`${method} failed`);
    return result;
  }
  const keysOf = (alias: string) =>
    [...(state.buckets.get(alias) ?? [])].map((accessKeyId) => ({
      accessKeyId,
      read: true,
      write: true,
      owner: false,
    }));
  const admin: GarageAdmin = {
    clusterStatus: () =>
      call('clusterStatus', () => ({
        layoutVersion: state.layoutVersion,
        nodes: [
          {
            id: 'node1',
            hasRole: state.role,
            isUp: true,
            zone: state.role ? 'local' : null,
            capacity: state.role ? 1e12 : null,
            disk: state.disk,
          },
        ],
      })),
    assignNode: (_node, version) =>
      call('assignNode', () => {
        if (version !== state.layoutVersion + 1)
          throw new Error(`layout version ${version} after ${state.layoutVersion}`);
        Object.assign(state, { layoutVersion: version, role: true, writes: state.writes + 1 });
      }),
    findKey: (id) => call('findKey', () => state.keys.get(id) ?? null),
    importKey: ({ accessKeyId, secretAccessKey, name }) =>
      call('importKey', () => {
        if (state.keys.has(accessKeyId)) throw new Error('key exists');
        state.keys.set(accessKeyId, { name, secret: secretAccessKey.reveal() });
        state.writes += 1;
      }),
    deleteKey: (id) =>
      call('deleteKey', () => {
        state.keys.delete(id);
        for (const allowed of state.buckets.values()) allowed.delete(id);
        state.writes += 1;
      }),
    findBucket: (alias) =>
      call('findBucket', () =>
        state.buckets.has(alias) ? { id: `id-${alias}`, keys: keysOf(alias), objects: 0, bytes: 0 } : null,
      ),
    createBucket: (alias) =>
      call('createBucket', () => {
        state.buckets.set(alias, new Set());
        state.writes += 1;
        return { id: `id-${alias}` };
      }),
    bucketSettings: (alias) =>
      call('bucketSettings', () =>
        state.buckets.has(alias)
          ? {
              globalAliases: [alias],
              ...(state.settings.get(alias) ?? {
                website: null,
                quotas: { maxSize: null, maxObjects: null },
              }),
              keys: keysOf(alias).map(({ accessKeyId, ...permissions }) => ({
                accessKeyId,
                name: state.keys.get(accessKeyId)?.name ?? '',
                permissions,
                localAliases: [],
              })),
            }
          : null,
      ),
    setBucket: (bucketId, { website, quotas }) =>
      call('setBucket', () => {
        state.settings.set(bucketId.slice(3), { website, quotas });
        state.writes += 1;
      }),
    listBuckets: () =>
      call('listBuckets', () => [...state.buckets.keys()].map((alias) => ({ id: `id-${alias}`, alias }))),
    deleteBucket: (id) =>
      call('deleteBucket', () => {
        state.buckets.delete(id.slice(3));
        state.writes += 1;
      }),
    allowKey: (bucketId, accessKeyId) =>
      call('allowKey', () => {
        state.buckets.get(bucketId.slice(3))?.add(accessKeyId);
        state.writes += 1;
      }),
  };
  return { admin, state };
}
