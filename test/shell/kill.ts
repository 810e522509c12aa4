import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Install, Result } from './shim.ts';

/** The Nth run of a wrapped program, before or after its work: KILL ends the whole process group, TERM is sent to the shim. */
export interface Moment {
  step: number;
  when: 'before' | 'after';
  signal: 'KILL' | 'TERM';
}

// In sh, for wrappers and for fake engines. All are in the group of the shim, which run() made a session leader.
const COUNT = `n=0; [ ! -e "$FAKE_DOCKER/step" ] || read -r n <"$FAKE_DOCKER/step"; n=$((n + 1)); echo $n >"$FAKE_DOCKER/step"`;
const KILL = { KILL: 'kill -KILL 0', TERM: 'read -r shim <"$FAKE_DOCKER/shim"; kill -TERM $shim' };

/** Around `work`, lines of sh: counts as a step, and kills if it is the one. */
export function step(work: string, { step, when, signal }: Moment): string {
  return `${COUNT}
[ $n != ${step} ] || [ ${when} = after ] || { ${KILL[signal]}; }
code=0
${work} || code=$?
[ $n != ${step} ] || [ ${when} = before ] || { ${KILL[signal]}; }
`;
}

/** Puts wrappers of these programs first on PATH. */
export function killAt(install: Install, programs: string[], moment: Moment): void {
  for (const name of programs) {
    rmSync(join(install.bin, name), { force: true });
    const script = `#!/bin/dash\n${step(`PATH=\${PATH#*:} ${name} "$@"`, moment)}exit $code\n`;
    writeFileSync(join(install.bin, name), script, { mode: 0o755 });
  }
}

export function unwrap(install: Install, programs: string[]): void {
  for (const name of programs) rmSync(join(install.bin, name));
}

/** Runs the shim where wrappers can find it. */
export function runKillable(install: Install, args: string[]): Promise<Result> {
  return install.run(args, { onStart: (pid) => void install.given('shim', `${pid}\n`) });
}
