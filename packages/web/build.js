// Builds the web app into dist/: index.html and assets named by their content.
//   node packages/web/build.js                        once, minified
//   node packages/web/build.js --watch --serve 3000   development server on all interfaces, reloads the page on change
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { context } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    watch: { type: 'boolean', default: false },
    serve: { type: 'string' },
    outdir: { type: 'string' },
  },
});
const outdir = values.outdir ?? join(here, 'dist');
const assets = join(outdir, 'assets');
const dev = values.watch;

/** Writes index.html for the assets of this build, and deletes those of the build before. */
const page = {
  name: 'page',
  setup(build) {
    build.onEnd(async ({ errors, metafile }) => {
      if (errors.length > 0) return;
      const names = Object.keys(metafile.outputs).map((path) => basename(path));
      const named = (pattern) => `/assets/${names.find((name) => pattern.test(name))}`;
      const template = await readFile(join(here, 'src/index.html'), 'utf8');
      const html = template
        .replace('/main.css', named(/\.css$/))
        .replace('/main.js', named(/\.js$/))
        .replace('/icon.svg', named(/\.svg$/));
      await writeFile(join(outdir, 'index.html'), html);
      for (const name of await readdir(assets)) if (!names.includes(name)) await rm(join(assets, name));
      if (!dev)
        for (const [file, { bytes }] of Object.entries(metafile.outputs))
          console.log(`${file}  ${bytes} bytes`);
    });
  },
};

await mkdir(assets, { recursive: true });
const build = await context({
  entryPoints: [
    { in: join(here, 'src/main.tsx'), out: 'main' },
    { in: join(here, 'src/icon.svg'), out: 'icon' },
  ],
  outdir: assets,
  entryNames: '[name]-[hash]',
  bundle: true,
  format: 'esm',
  target: ['es2022', 'chrome110', 'firefox115', 'safari16'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  loader: { '.svg': 'copy' },
  minify: !dev,
  sourcemap: dev ? 'inline' : false,
  legalComments: 'none',
  metafile: true,
  logLevel: dev ? 'info' : 'warning',
  // https://esbuild.github.io/api/#live-reload
  banner: dev
    ? { js: "new EventSource('/esbuild').addEventListener('change', () => location.reload());" }
    : {},
  plugins: [page],
});

if (!dev) {
  await build.rebuild();
  await build.dispose();
} else {
  await build.watch();
  if (values.serve) {
    await build.serve({ host: '0.0.0.0', port: Number(values.serve), servedir: outdir });
  }
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit(0));
}
