import type { ObjectStoreSettings, Secret } from '@kg-operator/config';

/** Whether the store accepts these credentials for the bucket, asked over S3. @throws Error when it can't be asked */
export async function opensBucket(settings: ObjectStoreSettings, secretAccessKey: Secret): Promise<boolean> {
  const { configuredObjects } = await import('@kg-operator/api');
  const objects = await configuredObjects({ ...settings, secretAccessKey }, null);
  try {
    await objects.check();
    return true;
  } catch (error) {
    const { cause } = error as { cause?: { $metadata?: { httpStatusCode?: number } } };
    const status = cause?.$metadata?.httpStatusCode;
    if (status === 401 || status === 403) return false;
    throw error;
  } finally {
    objects.close();
  }
}
