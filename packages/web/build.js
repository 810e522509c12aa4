// Builds the web app into dist/: index.html and assets named by their content.
//   node packages/web/build.js                        once, minified
//   node packages/web/build.js --watch --serve 3000   development server on all interfaces, reloads the page on change
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, dirname, extname, join } from 'node:path';
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

/** Pages that wait for the next build. */
const listeners = new Set();

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
      for (const listener of listeners) listener.write('event: change\ndata: \n\n');
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
  banner: dev
    ? { js: "new EventSource('/reload').addEventListener('change', () => location.reload());" }
    : {},
  plugins: [page],
});

if (!dev) {
  await build.rebuild();
  await build.dispose();
} else {
  await build.watch();
  if (values.serve) serve(Number(values.serve));
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit(0));
}

/**
 * The development server. Not esbuild's own: that answers 403 to host names it does not know, and behind the gateway the name is whatever
 * the user typed.
 */
function serve(port) {
  const types = {
    '.html': 'text/html',
    '.js': 'text/javascript',
    '.css': 'text/css',
    '.svg': 'image/svg+xml',
  };
  createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/reload') {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      response.write('retry: 500\n\n');
      listeners.add(response);
      response.on('close', () => listeners.delete(response));
      return;
    }
    const isAsset = /^\/assets\/[\w.-]+$/.test(pathname);
    const file = join(outdir, isAsset ? pathname : 'index.html');
    try {
      const content = await readFile(file);
      response.writeHead(200, {
        'content-type': `${types[extname(file)] ?? 'application/octet-stream'}; charset=utf-8`,
        'cache-control': 'no-store',
      });
      response.end(content);
    } catch {
      response.writeHead(isAsset ? 404 : 503, { 'content-type': 'text/plain' });
      response.end(isAsset ? 'not found' : 'not built yet; see the log of the web container');
    }
  }).listen(port, '0.0.0.0', () => console.log(`serving on port ${port}`));
}
