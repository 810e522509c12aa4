// What the npm package holds besides the bundle: copied in before `npm pack` (prepack) and removed after it (postpack), because a copy
// that stayed would shadow the repository's own migrations.
import { cpSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('.', import.meta.url)));
const copies = {
  'schema/migrations': '../../schema/migrations',
  web: '../web/dist',
  LICENSE: '../../LICENSE',
  'README.md': '../../docs/embedded.md',
};
for (const path of ['schema', 'web', 'LICENSE', 'README.md']) rmSync(path, { recursive: true, force: true });
if (!process.argv.includes('--remove'))
  for (const [to, from] of Object.entries(copies)) cpSync(from, to, { recursive: true });
