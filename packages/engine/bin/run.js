#!/usr/bin/env node
// What an old Node needs to be told must be said before anything modern is loaded.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 22)) {
  process.stderr.write(
    `Error: kg-operator needs Node.js 22.22 or newer; this is ${process.versions.node}\nNext: install a current Node.js from https://nodejs.org\n`,
  );
  process.exit(3);
}
const { enableCompileCache } = await import('node:module');
enableCompileCache();
const { main } = await import('../dist/main.js');
await main(import.meta.url);
