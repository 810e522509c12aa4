// ESM under jest: https://jestjs.io/docs/ecmascript-modules; node runs jest with --experimental-vm-modules (package.json "jest").
/** @type {import('jest').Config} */
const base = {
  extensionsToTreatAsEsm: ['.ts', '.tsx'],
  transform: {
    '^.+\\.tsx?$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript', tsx: false } }, module: { type: 'es6' } },
    ],
  },
  setupFiles: ['<rootDir>/test/jest-console.js'],
};

/** unit: no I/O, or an embedded database; integration and e2e: see CONTRIBUTING.md. */
export default {
  // An embedded database takes seconds to open, on a busy machine more; a test that hangs still ends.
  testTimeout: 60_000,
  globalSetup: '<rootDir>/test/jest-temporary.js',
  projects: [
    { ...base, displayName: 'unit', testMatch: ['<rootDir>/packages/*/test/unit/**/*.test.ts'] },
    {
      ...base,
      displayName: 'integration',
      testMatch: ['<rootDir>/packages/*/test/integration/**/*.test.ts'],
    },
    { ...base, displayName: 'shell', testMatch: ['<rootDir>/test/shell/**/*.test.ts'] },
    { ...base, displayName: 'e2e', testMatch: ['<rootDir>/test/e2e/**/*.test.ts'] },
  ],
};
