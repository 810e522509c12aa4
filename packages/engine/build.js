// Bundles the engine: every command an entry point, shared code in chunks, so that a command loads only what it needs.
//   node packages/engine/build.js [FOLDER]   into FOLDER instead of here, with the package's own files beside it
import { execFileSync } from 'node:child_process';
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const target = resolve(process.argv[2] ?? here);
process.chdir(here);
rmSync(join(target, 'dist'), { recursive: true, force: true });
if (target !== resolve(here))
  for (const path of ['package.json', 'bin', 'demo', 'migrate.d.ts'])
    cpSync(path, join(target, path), { recursive: true });

// dockerode can reach Docker over SSH and serve BuildKit sessions over gRPC. The engine does neither, and both would be loaded
// at every start: in their place stands a module that says so if it is ever used.
const unused = {
  name: 'unused-transports',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(ssh2|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs.*)$/ }, ({ path }) => ({
      path,
      namespace: 'unused',
    }));
    onLoad({ filter: /.*/, namespace: 'unused' }, ({ path }) => ({
      contents: `function unused() { throw new Error('${path} is not part of kg-operator'); }
        module.exports = new Proxy(unused, { get: (target, name) => (name === '__esModule' ? undefined : name === 'prototype' ? target.prototype : module.exports) });`,
    }));
  },
};

const postgresParser = dirname(fileURLToPath(import.meta.resolve('libpg-query')));

const result = await build({
  entryPoints: ['src/main.ts', 'src/library.ts', 'src/cli/help.ts', ...globSync('src/commands/**/*.ts')],
  absWorkingDir: here,
  outbase: 'src',
  outdir: join(target, 'dist'),
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'linked',
  // PGlite finds its WebAssembly and data beside its own modules.
  external: ['pg-native', 'cpu-features', '@electric-sql/*'],
  plugins: [unused],
  // Of its CommonJS form a dynamic import would have no named exports.
  alias: { 'libpg-query': join(postgresParser, 'index.js') },
  metafile: true,
  // CommonJS inside an ES module bundle wants these.
  banner: {
    js: "import{createRequire as __cr}from'node:module';import{fileURLToPath as __fp}from'node:url';import{dirname as __dn}from'node:path';const require=__cr(import.meta.url);const __filename=__fp(import.meta.url);const __dirname=__dn(__filename);",
  },
});
// It looks for its WebAssembly beside the module it was bundled into.
cpSync(join(postgresParser, 'libpg-query.wasm'), join(target, 'dist/libpg-query.wasm'));
execFileSync('oclif', ['manifest'], { cwd: target, stdio: ['ignore', 'ignore', 'inherit'] });
// It writes commands as they come in; the same sources are to give the same bytes.
const manifestPath = join(target, 'oclif.manifest.json');
const manifest = JSON.parse(readFileSync(manifestPath, 'utf8'));
manifest.commands = Object.fromEntries(
  Object.entries(manifest.commands).sort(([a], [b]) => (a < b ? -1 : 1)),
);
writeFileSync(manifestPath, JSON.stringify(manifest, null, 2));
const bytes = Object.values(result.metafile.outputs).reduce((sum, { bytes }) => sum + bytes, 0);
console.log(`engine: dist ${(bytes / 1e6).toFixed(1)} MB`);
