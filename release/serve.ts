// Serves a folder on loopback, for smoke.sh: prints its address, and two free ports besides, then goes on until it is ended.
//   node release/serve.ts FOLDER
import { createReadStream } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

const [folder = ''] = process.argv.slice(2);

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const site = createServer((request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://site').pathname));
  createReadStream(join(folder, path))
    .on('error', () => response.writeHead(404).end())
    .pipe(response);
});
const port = await listen(site);
// Both at once, so that they differ.
const spare = [createServer(), createServer()];
const free = await Promise.all(spare.map(listen));
await Promise.all(spare.map((server) => new Promise((resolve) => server.close(resolve))));
console.log(`http://127.0.0.1:${port} ${free.join(' ')}`);
