import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, OperatorError } from '../model/errors.ts';
import { readEnvFile } from '../model/settings.ts';
import type { ConfigurationFile } from './document-parse.ts';

/** The `host` section as lines of `.operator.conf`, in the order of the file. */
function hostLines({ document }: ConfigurationFile): string[] {
  return Object.entries(document.host ?? {}).map(([key, value]) => `${key}=${value}`);
}

/**
 * The same, checked: operator.sh itself reads them, so that there is one set of rules. @param script operator.sh, of an installation
 * without the repository
 * @throws OperatorError FILE_INVALID with everything that is wrong, each with its place in the file
 */
export function checkedHostLines(file: ConfigurationFile, script: string): string[] {
  const lines = hostLines(file);
  const keys = Object.keys(file.document.host ?? {});
  const details = complaints(lines, script).map(({ line, message }) => {
    const key = keys[line - 1];
    return `${file.at(key === undefined ? ['host'] : ['host', key])}: host: ${message}`;
  });
  if (details.length === 0) return lines;
  throw new OperatorError('FILE_INVALID', `${file.name} is not a valid configuration file`, {
    exitCode: EXIT.configuration,
    details,
    hint: 'correct the file; nothing was changed',
  });
}

/** What operator.sh says of an `.operator.conf` of these lines. `line` counts from 1; 0 where it is about something that is not there. */
function complaints(lines: string[], script: string): { line: number; message: string }[] {
  const root = mkdtempSync(join(tmpdir(), 'kg-host-'));
  try {
    copyFileSync(script, join(root, 'operator.sh'));
    writeFileSync(join(root, 'docker-compose.yml'), '');
    writeFileSync(join(root, '.operator.conf'), lines.map((line) => `${line}\n`).join(''));
    return findings(root).flatMap((finding) => {
      const [, line, message] = /^\.operator\.conf:(\d+): (.*)$/.exec(finding) ?? [];
      // The other one is that there is no .env yet.
      return message === undefined ? [] : [{ line: Number(line), message }];
    });
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** The findings of `operator.sh env`, which looks at the settings and nothing else. */
function findings(root: string): string[] {
  let stdout: string;
  try {
    const stdio: 'pipe'[] = ['pipe', 'pipe', 'pipe'];
    stdout = execFileSync('sh', [join(root, 'operator.sh'), 'env', '--json'], { encoding: 'utf8', stdio });
  } catch (error) {
    // Exit 3: there is always something, since there is no .env.
    stdout = (error as { stdout?: string }).stdout ?? '';
  }
  const { error } = JSON.parse(stdout) as { error?: { code: string; message: string } };
  if (error?.code !== 'CHECKS_FAILED') throw new Error(`operator.sh env said ${stdout}`);
  return error.message.split('\n');
}

/** operator.sh: of the image, or of the repository. @throws OperatorError where this is neither */
export function findScript(packageRoot: string): string {
  for (const path of [join(packageRoot, 'standalone/operator.sh'), join(packageRoot, '../../operator.sh')])
    if (existsSync(path)) return path;
  throw new OperatorError('ON_THE_HOST', 'the host section is for installations with containers', {
    exitCode: EXIT.precondition,
    hint: 'install.sh --config FILE reads it',
  });
}

/** A sentence for each line that `.operator.conf` at the root has otherwise: that file counts, and nothing here changes it. */
export function hostDifferences(file: ConfigurationFile, root: string): string[] {
  const conf = readEnvFile(join(root, '.operator.conf'));
  return Object.entries(file.document.host ?? {}).flatMap(([key, value]) => {
    const is = conf.get(key);
    if (is === String(value)) return [];
    const has = is === undefined ? `no ${key}` : `${key}=${is}`;
    return [`host.${key} of ${file.name} is not used: .operator.conf has ${has}, and stays as it is`];
  });
}
