export * from './database.ts';
export * from './encryption.ts';
export * from './environment.ts';
export * from './load-config.ts';
export * from './passwords.ts';
export * from './secret.ts';
export * from './tables.ts';
