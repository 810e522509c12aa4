// Bundles the API server into dist/main.js: `node packages/api/build.js`. KG_VERSION (default: the package's) is what /health reports.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const { version } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));

const { metafile } = await build({
  entryPoints: [join(here, 'src/main.ts')],
  outfile: join(here, 'dist/main.js'),
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  minify: true,
  keepNames: true, // names of error classes are part of log lines
  legalComments: 'external',
  metafile: true,
  logLevel: 'warning',
  mainFields: ['module', 'main'],
  external: ['pg-native'],
  define: { KG_VERSION: JSON.stringify(process.env.KG_VERSION || version) },
  // CommonJS packages inside the bundle call require() for Node's own modules.
  banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
});
for (const [file, { bytes }] of Object.entries(metafile.outputs)) console.log(`${file}  ${bytes} bytes`);
if (process.argv.includes('--analyze')) {
  const { analyzeMetafile } = await import('esbuild');
  console.log(await analyzeMetafile(metafile));
}
