// The work of sbom.sh: an SPDX document without what depends on the run, which is the time, and a random part of its name.
//   node release/sbom.ts WHAT FROM TO
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { environment } from './environment.ts';

const [what = '', from = '', to = ''] = process.argv.slice(2);
const { SOURCE_DATE_EPOCH } = environment('SOURCE_DATE_EPOCH');

/** Members of https://spdx.github.io/spdx-spec/v2.3/ that matter here. */
interface Spdx {
  name: string;
  documentNamespace: string;
  creationInfo: { created: string };
  packages?: { SPDXID: string }[];
  files?: { SPDXID: string }[];
  relationships?: unknown[];
}

const document: Spdx = JSON.parse(readFileSync(from, 'utf8'));
const order = (items: unknown[] | undefined) =>
  items?.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
order(document.packages);
order(document.files);
order(document.relationships);
document.name = what;
document.creationInfo.created = `${new Date(Number(SOURCE_DATE_EPOCH) * 1000).toISOString().slice(0, 19)}Z`;
// It must be unique to the content: https://spdx.github.io/spdx-spec/v2.3/document-creation-information/#65-spdx-document-namespace-field
document.documentNamespace = '';
const sum = createHash('sha256').update(JSON.stringify(document)).digest('hex');
document.documentNamespace = `https://spdx.org/spdxdocs/kg-operator-${sum}`;
writeFileSync(to, `${JSON.stringify(document, null, 1)}\n`);
