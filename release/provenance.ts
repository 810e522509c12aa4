// The work of provenance.sh. https://in-toto.io/Statement/v1 and https://slsa.dev/spec/v1.0/provenance; without times and numbers of the
// run, so that the same commit gives the same bytes. On GitHub the host attests the run besides (.github/workflows/release.yml).
import { createHash } from 'node:crypto';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { environment } from './environment.ts';

const { BUILD, BUILDER_ID, PLATFORMS, REGISTRY, REVISION, SITE, SOURCE, URL, VERSION } = environment(
  'BUILD',
  'BUILDER_ID',
  'PLATFORMS',
  'REGISTRY',
  'REVISION',
  'SITE',
  'SOURCE',
  'URL',
  'VERSION',
);
const folder = join(SITE, VERSION);
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const hex = (digest: string) => digest.replace(/^sha256:/, '');

interface Resource {
  name?: string;
  uri?: string;
  digest: Record<string, string>;
}
interface Image {
  name: string;
  digest: string | null;
  platforms: Record<string, { digest: string }>;
}

const images: Record<string, Image> = JSON.parse(readFileSync(join(BUILD, 'digests.json'), 'utf8'));
const imageSubjects = Object.values(images).flatMap(({ name, digest, platforms }): Resource[] => [
  ...(digest ? [{ name, digest: { sha256: hex(digest) } }] : []),
  ...Object.entries(platforms).map(([platform, one]) => ({
    name: `${name}#${platform}`,
    digest: { sha256: hex(one.digest) },
  })),
]);

const own = [
  'provenance.json',
  ...['release.json', 'SHA256SUMS', 'provenance.json'].map((name) => `${name}.minisig`),
];
const files = globSync('**', { cwd: folder, withFileTypes: true })
  .filter((entry) => entry.isFile() && !own.includes(entry.name))
  .map((entry) => join(entry.parentPath, entry.name))
  .concat(globSync(join(BUILD, `kg-operator-${VERSION}.tgz`)))
  .sort();
const fileSubjects = files.map((path): Resource => {
  const name = path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : basename(path);
  return { name, digest: { sha256: sha256(path) } };
});

/** Base images, as images.sh found them. */
const found = globSync(join(BUILD, 'images/bases-*.txt')).flatMap((path) =>
  readFileSync(path, 'utf8').split('\n'),
);
const materials = [...new Set(found.filter(Boolean))].sort().map((name): Resource => {
  const [image = '', digest = ''] = name.split('@sha256:');
  return { uri: `docker://${image}`, digest: { sha256: digest } };
});
if (materials.length === 0) throw new Error(`nothing in ${BUILD}/images says what images were built from`);
const lock = { uri: 'package-lock.json', digest: { sha256: sha256('package-lock.json') } };

const statement = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [...imageSubjects, ...fileSubjects],
  predicateType: 'https://slsa.dev/provenance/v1',
  predicate: {
    buildDefinition: {
      buildType: 'urn:kg-operator:release:1',
      externalParameters: { version: VERSION, platforms: PLATFORMS.split(','), registry: REGISTRY, url: URL },
      resolvedDependencies: [
        { uri: `git+${SOURCE}@${REVISION}`, digest: { gitCommit: REVISION } },
        lock,
        ...materials,
      ],
    },
    runDetails: { builder: { id: BUILDER_ID } },
  },
};
writeFileSync(join(folder, 'provenance.json'), `${JSON.stringify(statement, null, 2)}\n`);
// For actions/attest-build-provenance, which attests the same subjects.
const lines = statement.subject.map(({ name, digest }) => `${digest.sha256}  ${name}\n`);
writeFileSync(join(BUILD, 'subjects.sha256'), lines.join(''));
