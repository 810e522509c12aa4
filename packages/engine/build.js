// Bundles the engine: every command an entry point, shared code in chunks, so that a command loads only what it needs.
import { execFileSync } from 'node:child_process';
import { globSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('.', import.meta.url)));
rmSync('dist', { recursive: true, force: true });

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

const result = await build({
  entryPoints: ['src/main.ts', 'src/cli/help.ts', ...globSync('src/commands/**/*.ts')],
  outbase: 'src',
  outdir: 'dist',
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
  metafile: true,
  // CommonJS inside an ES module bundle wants these.
  banner: {
    js: "import{createRequire as __cr}from'node:module';import{fileURLToPath as __fp}from'node:url';import{dirname as __dn}from'node:path';const require=__cr(import.meta.url);const __filename=__fp(import.meta.url);const __dirname=__dn(__filename);",
  },
});
execFileSync('oclif', ['manifest'], { stdio: ['ignore', 'ignore', 'inherit'] });
const bytes = Object.values(result.metafile.outputs).reduce((sum, { bytes }) => sum + bytes, 0);
console.log(`engine: dist ${(bytes / 1e6).toFixed(1)} MB`);
