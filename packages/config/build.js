// The package for others: JavaScript and type declarations instead of the TypeScript that this repository runs as it is.
//   node packages/config/build.js FOLDER   and then: npm publish FOLDER
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
if (!process.argv[2]) throw new Error('usage: node packages/config/build.js FOLDER');
const folder = resolve(process.argv[2]);
rmSync(join(folder, 'dist'), { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
execFileSync('tsc', ['-p', join(here, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')], {
  stdio: 'inherit',
});
const { private: _, ...manifest } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const exports = { '.': { types: './dist/index.d.ts', default: './dist/index.js' } };
writeFileSync(
  join(folder, 'package.json'),
  `${JSON.stringify({ ...manifest, files: ['dist'], exports }, null, 2)}\n`,
);
copyFileSync(join(here, 'README.md'), join(folder, 'README.md'));
copyFileSync(join(here, '../../LICENSE'), join(folder, 'LICENSE'));
