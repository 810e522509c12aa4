import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { REPOSITORY } from './images.ts';

/**
 * What a page of docs/ has marked, by name: `run` blocks are commands, `says` what they print, `file` the content of a file. The mark is a
 * comment on the line before the block: `<!-- run: backup -->`.
 */
export async function markedBlocks(
  page: string,
  kind: 'run' | 'says' | 'file',
): Promise<Map<string, string>> {
  const text = await readFile(join(REPOSITORY, 'docs', page), 'utf8');
  const blocks = text.matchAll(
    new RegExp(`^<!-- ${kind}: ([\\w.-]+) -->\\n\`\`\`\\w*\\n(.*?)^\`\`\``, 'gms'),
  );
  return new Map([...blocks].map(([, name = '', block = '']) => [name, block]));
}

/** Every `from` in a text as its `to`; each must be in it, or the page is no longer what the test takes it for. */
export function replaceAll(text: string, pairs: readonly (readonly [from: string, to: string])[]): string {
  return pairs.reduce((changed, [from, to]) => {
    if (!changed.includes(from)) throw new Error(`there is no ${from} in\n${text}`);
    return changed.replaceAll(from, to);
  }, text);
}

/** What is another at each run, alike: numbers, ids, the schema's newest migration, widths of columns. */
function alike(text: string): string[] {
  return stripVTControlCharacters(text)
    .replace(/\b\d{4}_\w+/g, 'SCHEMA')
    .replace(/\b(?=[0-9a-f-]*\d)[0-9a-f]{6,64}(-[0-9a-f]{4,12})*\b/g, 'ID')
    .replace(/-[0-9a-f]{6}\b/g, '-ID')
    .replace(/_[0-9a-f]{8}\b/g, '_ID')
    .replace(/\d+(\.\d+)?/g, 'N')
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim());
}

/**
 * The lines of `says` that are not among those of the outputs (stdout and stderr), in this order in each; `…` stands for any lines. Two
 * runs are the same where they differ in nothing but numbers, ids and blanks.
 */
export function notSaid(says: string, outputs: readonly string[]): string[] {
  const texts = outputs.map((output) => ({ lines: alike(output), from: 0 }));
  return alike(says.trimEnd()).filter((line) => {
    if (line === '…' || line === '') return false;
    for (const text of texts) {
      const at = text.lines.indexOf(line, text.from);
      if (at < 0) continue;
      text.from = at + 1;
      return false;
    }
    return true;
  });
}
