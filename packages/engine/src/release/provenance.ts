import { parseJson, readShape } from './document.ts';
import { version } from './manifest.ts';
import { object, text } from './shape.ts';

/** Beside release.json: what a release was made of, for whoever audits it. release/provenance.sh writes it, nothing here relies on it. */
export const PROVENANCE = 'provenance.json';

/** What is read of an in-toto statement (https://in-toto.io/Statement/v1) with SLSA's provenance (https://slsa.dev/provenance/v1). */
interface Statement {
  _type: string;
  predicateType: string;
  predicate: { buildDefinition: { externalParameters: { version: string } } };
}

const readStatement = object({
  _type: text(/^https:\/\/in-toto\.io\/Statement\/v1$/, 'https://in-toto.io/Statement/v1'),
  predicateType: text(/^https:\/\/slsa\.dev\/provenance\/v1$/, 'https://slsa.dev/provenance/v1'),
  predicate: object({ buildDefinition: object({ externalParameters: object({ version }) }) }),
});

/** The version whose provenance this is. @throws OperatorError MANIFEST_INVALID */
export function parseProvenance(bytes: Uint8Array): { version: string } {
  const statement = readShape<Statement>(parseJson(bytes, PROVENANCE), PROVENANCE, readStatement, () => []);
  return statement.predicate.buildDefinition.externalParameters;
}
