import { objectStoreContract } from '../contract/object-store.ts';
import { fakeGarage } from '../fake-garage.ts';

// The same on a real Garage: test/e2e/garage-contract.test.ts.
objectStoreContract('the fake Garage', async () => {
  const { admin, state } = fakeGarage();
  return {
    admin,
    secretOf: async (accessKeyId) => state.keys.get(accessKeyId)?.secret,
    keyIds: async () => [...state.keys.keys()],
    opensBucket: async ({ accessKeyId, bucket }, secret) =>
      state.keys.get(accessKeyId)?.secret === secret.reveal() &&
      (state.buckets.get(bucket)?.has(accessKeyId) ?? false),
    close: async () => undefined,
  };
});
