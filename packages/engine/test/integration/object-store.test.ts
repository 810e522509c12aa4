import { objectStoreContract } from '../contract/object-store.ts';
import { fakeGarage } from '../fake-garage.ts';

// The same on a real Garage: test/e2e/garage-contract.test.ts.
objectStoreContract('the fake Garage', async () => {
  const { admin, state } = fakeGarage();
  return {
    admin,
    secretOf: async (accessKeyId) => state.keys.get(accessKeyId)?.secret,
    close: async () => undefined,
  };
});
