import { join } from 'node:path';
import type { ObjectStoreSettings } from '@kg-operator/config';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { configureFileStore, FILE_STORE } from '../../../config/file-store.ts';
import { configureObjectStore } from '../../../config/garage.ts';

export default class ConfigGarage extends ConfigCommand {
  static override summary =
    'Bootstrap the single-node Garage: layout, key, bucket, permission (done by start, too); files without containers';
  static override examples = ['<%= config.bin %> config garage', '<%= config.bin %> config garage --json'];

  async run(): Promise<ObjectStoreSettings & { changed: boolean }> {
    await this.parse(ConfigGarage);
    const db = await this.database();
    if (this.context.settings.mode !== 'containers' && !process.env.GARAGE_ADMIN_URL) {
      const { changed, ...store } = await configureFileStore(db, { actor: this.actor });
      this.report(
        changed,
        `There is no Garage here: documents are files in ${join(this.context.settings.dataDirectory, FILE_STORE.folder)}`,
      );
      return { ...store, changed };
    }
    const { endpoint, region, bucket, accessKeyId, changed } = await configureObjectStore(
      db,
      this.context.garage(),
      {
        encryptionKey: this.encryptionKey,
        endpoint: this.context.settings.garageS3Url,
        actor: this.actor,
      },
    );
    this.report(changed, `Object storage is bucket ${bucket} at ${endpoint}`);
    return { endpoint, region, bucket, accessKeyId, changed };
  }
}
