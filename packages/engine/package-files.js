// What the npm package holds besides the bundle: copied in before `npm pack` (prepack) and removed after it (postpack), because a copy
// that stayed would shadow the repository's own migrations.
//   node packages/engine/package-files.js [FOLDER] [--web=FOLDER] [--remove]
import { cpSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const repository = join(here, '../..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { web: { type: 'string' }, remove: { type: 'boolean' } },
});
const folder = resolve(positionals[0] ?? here);
const copies = {
  schema: join(repository, 'schema'),
  web: resolve(values.web ?? join(repository, 'packages/web/dist')),
  LICENSE: join(repository, 'LICENSE'),
  'README.md': join(repository, 'docs/embedded.md'),
};
for (const [to, from] of Object.entries(copies)) {
  rmSync(join(folder, to), { recursive: true, force: true });
  if (!values.remove) cpSync(from, join(folder, to), { recursive: true });
}
