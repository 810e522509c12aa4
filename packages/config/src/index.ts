export * from './claim-token.ts';
export * from './config-state.ts';
export * from './database.ts';
export {
  credentialFingerprint,
  keyIdOf,
  openCredential,
  type SealedCredential,
  sealCredential,
} from './encryption.ts';
export {
  type CredentialCheck,
  finishRotation,
  openEveryCredential,
  resolveEncryptionKey,
  rotateEncryptionKey,
} from './encryption-key.ts';
export * from './environment.ts';
export * from './errors.ts';
export * from './history.ts';
export {
  type LoadOptions,
  type LocalAi,
  loadConfig,
  type PlatformConfig,
  type PlatformUser,
  PREVIOUS_SIGNING_KEY,
  type RemoteAi,
} from './load-config.ts';
export * from './nearest.ts';
export { isFileStore, type ObjectStoreSettings } from './object-store.ts';
export * from './password-rules.ts';
export * from './passwords.ts';
export * from './providers.ts';
export * from './secret.ts';
export * from './settings.ts';
export * from './tables.ts';
export * from './usernames.ts';
export * from './watch-config.ts';
