import { basename } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import { writeOutput } from '../../cli/release-flags.ts';
import { signatureName } from '../../release/document.ts';
import { readInput } from '../../release/published.ts';
import { readSigningKey, signDocument } from '../../release/sign.ts';

export default class ReleaseSign extends OperatorCommand {
  static override summary =
    'Sign release.json, channels.json, SHA256SUMS and provenance.json, for a pipeline that publishes';
  static override description =
    'Writes FILE.minisig beside each, in the format of minisign: minisign -V -m FILE -p KEY.pub checks the first signature in it. With several keys each signs; during a rotation these are the old and the new one.';
  static override examples = [
    '<%= config.bin %> release sign out/channels.json out/1.2.0/release.json --key-file /run/secrets/release.key',
  ];
  static override strict = false;
  static override args = { file: Args.string({ description: 'one or several documents', required: true }) };
  static override flags = {
    'key-file': Flags.string({
      description: "a secret key of minisign's without a password (minisign -G -W); repeatable",
      helpValue: 'FILE',
      multiple: true,
      multipleNonGreedy: true,
      required: true,
    }),
  };

  async run(): Promise<{ signed: { file: string; keys: string[] }[] }> {
    const { argv, flags } = await this.parse(ReleaseSign);
    const keys = await Promise.all(flags['key-file'].map(readSigningKey));
    const documents = await Promise.all(
      (argv as string[]).map(async (file) => ({
        file,
        text: signDocument(basename(file), await readInput(file), keys),
      })),
    );
    // All are checked before the first is written.
    for (const { file, text } of documents) {
      await writeOutput(signatureName(file), Buffer.from(text));
      this.answer(`${signatureName(file)}: signed by ${keys.map(({ id }) => id).join(', ')}`);
    }
    return { signed: documents.map(({ file }) => ({ file, keys: keys.map(({ id }) => id) })) };
  }
}
