import type { Statement } from '../migrations/statements.ts';

/** `error`: lint fails. `warning`: it fails with --strict. `advice`: never. */
export type Severity = 'error' | 'warning' | 'advice';

export interface Site {
  /** 1-based. */
  line: number;
  column: number;
}

/** A file as the rules see it. */
export interface LintFile {
  /** As findings name it: the path that was given, or inside the folder. */
  name: string;
  kind: 'expand' | 'contract' | undefined;
  /** `runner`: one transaction around the whole file, made by the runner. `none` and `own` as the header says. */
  transaction: 'whole' | 'none' | 'own';
  statements: Statement[];
  /** Names of the AGE graphs that the linted files create. */
  graphs: ReadonlySet<string>;
  /** The place of a parse tree's `location`, which counts bytes from the start of the file. */
  placeAt(byte: number | undefined, otherwise: Site): Site;
}

/** What a rule found. */
export interface Problem {
  at: Site;
  /** The case at hand, such as `drops kg_api.users.name`. */
  message: string;
  /** Where it differs from the rule's own. */
  severity?: Severity;
}

/** One thing that is looked for. Names are those of squawk (https://squawkhq.com/docs/rules) where it has the rule. */
export interface Rule {
  name: string;
  severity: Severity;
  /** What it finds, as a row of docs/migrations.md. */
  finds: string;
  /** Why that is dangerous. */
  why: string;
  /** The safe way. */
  instead: string;
  check(file: LintFile): Iterable<Problem>;
}
