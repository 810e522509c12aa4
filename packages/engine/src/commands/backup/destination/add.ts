import { Args, Flags } from '@oclif/core';
import { directoryDestination } from '../../../backup/destination.ts';
import { s3Destination } from '../../../backup/s3.ts';
import { changeBackupSettings, type DestinationSettings } from '../../../backup/settings.ts';
import { tryDestination } from '../../../backup/try-destination.ts';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { askSecret, asValidation } from '../../../cli/prompts.ts';
import { givenSecret, mustBeGiven, secretFlags, secretSource } from '../../../cli/secret-input.ts';
import { commandActor } from '../../../config/actor.ts';
import { checkBaseUrl } from '../../../config/ai-provider.ts';
import { checkApiKey, setApiKey } from '../../../config/api-key.ts';
import { EXIT, OperatorError } from '../../../model/errors.ts';

export default class BackupDestinationAdd extends ConfigCommand {
  static override summary =
    'Keep copies of backups in another place as well: a folder, or a bucket of any S3 server';
  static override description = 'A file is written, read and removed there before it is stored.';
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
    bucket: Flags.string({ description: 'its bucket' }),
    prefix: Flags.string({ description: 'what names of files begin with, such as kg/', default: '' }),
    region: Flags.string({ description: 'its region', default: 'us-east-1' }),
    'access-key-id': Flags.string({ description: 'the access key' }),
    ...secretFlags('secret key', 'key'),
  };

  async run(): Promise<{ destination: DestinationSettings; changed: boolean }> {
    const { args, flags } = await this.parse(BackupDestinationAdd);
    const { name } = args;
    if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(name) || name === 'local') throw badName(name);
    const db = await this.database();
    let destination: DestinationSettings;
    if (flags.directory) {
      destination = { name, type: 'directory', path: flags.directory };
      await tryDestination(directoryDestination(name, flags.directory));
    } else if (flags.s3) {
      checkBaseUrl(flags.s3);
      const { bucket = '', 'access-key-id': accessKeyId = '', region, prefix } = flags;
      destination = { name, type: 's3', endpoint: flags.s3, region, bucket, prefix, accessKeyId };
      const source = secretSource('secret key', 'KG_BACKUP_SECRET_KEY', flags);
      const given = await givenSecret(source);
      if (!given && !this.interactive) throw mustBeGiven(source);
      const key =
        given?.secret ?? (await askSecret(`Secret key of ${accessKeyId}`, asValidation(checkApiKey)));
      await tryDestination(s3Destination(name, { ...destination, secretAccessKey: key }, prefix));
      await setApiKey(db, {
        provider: `backup/${name}`,
        key,
        encryptionKey: this.encryptionKey,
        actor: commandActor(),
      });
    } else {
      throw new OperatorError('USAGE', 'give --directory PATH or --s3 URL', {
        exitCode: EXIT.usage,
        hint: 'see ./operator.sh backup destination add --help',
      });
    }
    const { changed } = await changeBackupSettings(
      db,
      { actor: commandActor() },
      'destinations',
      (settings) => ({
        ...settings,
        destinations: [...settings.destinations.filter((other) => other.name !== name), destination],
      }),
    );
    this.report(changed, `Backups go to ${name}, too`);
    return { destination, changed };
  }
}

function badName(name: string): OperatorError {
  return new OperatorError('NAME_INVALID', `a destination can't be called ${name}`, {
    exitCode: EXIT.usage,
    hint: 'use 1 to 32 of a-z, 0-9 and "-"; local is the folder backups/ of the installation',
  });
}
