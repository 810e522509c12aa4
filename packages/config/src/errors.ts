/** Items are missing; the message names each with its command. */
export class ConfigurationIncomplete extends Error {
  readonly missing: { item: string; command: string }[];

  constructor(missing: { item: string; command: string }[]) {
    const lines = missing.map(({ item, command }) => `  - ${item}: ${command}`);
    super(`configuration is incomplete:\n${lines.join('\n')}`);
    this.name = 'ConfigurationIncomplete';
    this.missing = missing;
  }
}

/** The configuration tables are not there, or not those of this version: migrations have not run. */
export class SchemaMissing extends Error {
  constructor(cause?: unknown) {
    super('the database schema is not there yet: run ./operator.sh migrate', { cause });
    this.name = 'SchemaMissing';
  }
}

/** `ENCRYPTION_KEY` is not the key the stored credentials were encrypted with. */
export class WrongEncryptionKey extends Error {
  readonly storedKeyId: string;
  readonly givenKeyId: string;

  constructor(storedKeyId: string, givenKeyId: string) {
    super(
      `ENCRYPTION_KEY is key ${givenKeyId}, but this database's credentials are encrypted with key ${storedKeyId}: restore the .env that belongs to this database`,
    );
    this.name = 'WrongEncryptionKey';
    this.storedKeyId = storedKeyId;
    this.givenKeyId = givenKeyId;
  }
}

/** Another rotation of ENCRYPTION_KEY was begun and not finished. */
export class RotationUnfinished extends Error {
  readonly previousKeyId: string;
  readonly keyId: string;

  constructor(previousKeyId: string, keyId: string) {
    super(
      `the rotation of ENCRYPTION_KEY from key ${previousKeyId} to key ${keyId} is not finished: run ./operator.sh rotate encryption-key to finish it`,
    );
    this.name = 'RotationUnfinished';
    this.previousKeyId = previousKeyId;
    this.keyId = keyId;
  }
}

/** A stored credential that does not open; `reason` never holds secret bytes. */
export class CredentialUnreadable extends Error {
  readonly row: string;
  readonly reason: string;

  constructor(row: string, reason: string) {
    super(`the stored credential "${row}" can't be decrypted: ${reason}`);
    this.name = 'CredentialUnreadable';
    this.row = row;
    this.reason = reason;
  }
}

/** `ENCRYPTION_KEY` is not 64 hexadecimal digits. */
export class InvalidEncryptionKey extends Error {
  constructor() {
    super('ENCRYPTION_KEY must be 64 hexadecimal digits (32 bytes)');
    this.name = 'InvalidEncryptionKey';
  }
}
