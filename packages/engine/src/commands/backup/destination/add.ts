import { stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import type { Secret } from '@kg-operator/config';
import { Args, Flags } from '@oclif/core';
import { existing } from '../../../backup/destination.ts';
import { addDestination } from '../../../backup/destinations.ts';
import { openDestination } from '../../../backup/installation.ts';
import { s3Destination } from '../../../backup/s3.ts';
import type { DestinationSettings } from '../../../backup/settings.ts';
import { tryDestination } from '../../../backup/try-destination.ts';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { askSecret, asValidation } from '../../../cli/prompts.ts';
import { givenSecret, mustBeGiven, secretFlags, secretSource } from '../../../cli/secret-input.ts';
import { checkBaseUrl } from '../../../config/ai-provider.ts';
import { checkApiKey } from '../../../config/api-key.ts';
import { EXIT, OperatorError } from '../../../model/errors.ts';
import type { RunContext } from '../../../run/context.ts';

export default class BackupDestinationAdd extends ConfigCommand {
  static override summary =
    'Copy every backup to another place as well: a folder, or a bucket of any S3 server';
  static override description =
    'A file is written, read and removed there before it is stored. Backups of before are not copied.';
  static override examples = [
    '<%= config.bin %> backup destination add disk --directory /mnt/backups',
    'KG_BACKUP_SECRET_KEY=… <%= config.bin %> backup destination add offsite --s3 https://s3.example.org --bucket kg-backups --access-key-id AKIA…',
  ];
  static override args = { name: Args.string({ description: 'name of your choice', required: true }) };
  static override flags = {
    directory: Flags.string({
      description: 'a folder; beneath the installation, or mounted into the operator',
      helpValue: 'PATH',
      exclusive: ['s3'],
    }),
    s3: Flags.string({
      description: 'address of an S3 server',
      helpValue: 'URL',
      dependsOn: ['bucket', 'access-key-id'],
    }),
    bucket: Flags.string({ description: 'its bucket', helpValue: 'NAME' }),
    prefix: Flags.string({
      description: 'what names of files begin with, such as kg/',
      helpValue: 'TEXT',
      default: '',
    }),
    region: Flags.string({ description: 'its region', helpValue: 'NAME', default: 'us-east-1' }),
    'access-key-id': Flags.string({ description: 'the access key', helpValue: 'ID' }),
    ...secretFlags('secret key', 'key'),
  };

  async run(): Promise<{ destination: DestinationSettings; changed: boolean }> {
    const { args, flags } = await this.parse(BackupDestinationAdd);
    const { name } = args;
    if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(name) || name === 'local') throw badName(name);
    const db = await this.database();
    const destination = destinationOf(name, flags);
    const key = destination.type === 's3' ? await this.#secretKey(destination, flags) : null;
    if (destination.type === 'directory') await assertLasting(this.context, destination.path);
    await tryDestination(
      key && destination.type === 's3'
        ? s3Destination(name, { ...destination, secretAccessKey: key }, destination.prefix)
        : await openDestination(this.context, destination),
    );
    const { actor, encryptionKey } = this;
    const { changed } = await addDestination(db, { destination, key, encryptionKey, actor });
    this.report(changed, `Backups go to ${name}, too`);
    return { destination, changed };
  }

  async #secretKey(
    { accessKeyId }: { accessKeyId: string },
    flags: Parameters<typeof secretSource>[2],
  ): Promise<Secret> {
    const source = secretSource('secret key', 'KG_BACKUP_SECRET_KEY', flags);
    const given = await givenSecret(source);
    if (!given && !this.interactive) throw mustBeGiven(source);
    return given?.secret ?? (await askSecret(`Secret key of ${accessKeyId}`, asValidation(checkApiKey)));
  }
}

interface DestinationFlags {
  directory: string | undefined;
  s3: string | undefined;
  bucket: string | undefined;
  'access-key-id': string | undefined;
  region: string;
  prefix: string;
}

function destinationOf(name: string, flags: DestinationFlags): DestinationSettings {
  const { directory, s3, bucket = '', 'access-key-id': accessKeyId = '', region, prefix } = flags;
  if (directory) return { name, type: 'directory', path: directory };
  if (!s3) {
    throw new OperatorError('USAGE', 'give --directory PATH or --s3 URL', {
      exitCode: EXIT.usage,
      hint: 'see ./operator.sh backup destination add --help',
    });
  }
  checkBaseUrl(s3);
  return { name, type: 's3', endpoint: s3, region, bucket, prefix, accessKeyId };
}

/** In the operator's container, a folder that is neither the installation's nor mounted ends with the container. */
async function assertLasting({ settings }: RunContext, path: string): Promise<void> {
  if (settings.mode !== 'containers' || !isAbsolute(path)) return;
  const device = async (of: string) => (await stat(of)).dev;
  const [own, ...passing] = await Promise.all([device(await existing(path)), device('/'), device('/tmp')]);
  if (!passing.includes(own)) return;
  throw new OperatorError(
    'DESTINATION_UNUSABLE',
    `the operator's container does not see ${path} of the host`,
    {
      exitCode: EXIT.precondition,
      hint: 'name a folder beneath the installation, or mount it at the same path into service operator in docker-compose.override.yml',
    },
  );
}

function badName(name: string): OperatorError {
  return new OperatorError('NAME_INVALID', `a destination can't be called ${name}`, {
    exitCode: EXIT.usage,
    hint: 'use 1 to 32 of a-z, 0-9 and "-"; local is the folder backups/ of the installation',
  });
}
