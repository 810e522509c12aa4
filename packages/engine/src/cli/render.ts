import { Listr, ListrLogger, ProcessOutput } from 'listr2';
import { describeStep } from '../model/plan.ts';
import type { Render } from '../run/run-plan.ts';

export type RendererName = 'default' | 'simple' | 'silent';

/** Which of listr2's renderers suits the terminal. Pure. */
export function chooseRenderer(where: {
  json: boolean;
  quiet: boolean;
  isTTY: boolean;
  CI: string | undefined;
  TERM: string | undefined;
}): RendererName {
  if (where.json || where.quiet) return 'silent';
  return where.isTTY && !where.CI && where.TERM !== 'dumb' ? 'default' : 'simple';
}

/** Renders a plan's steps with listr2, on stderr: stdout belongs to the answer. */
export function renderWith(renderer: RendererName): Render {
  const processOutput = new ProcessOutput(process.stderr, process.stderr);
  const logger = new ListrLogger({ processOutput, useIcons: Boolean(process.stderr.isTTY) });
  return async (plan, runStep) => {
    let failure: unknown;
    const tasks = plan.steps.map((step) => ({
      title: describeStep(step),
      async task(_context: unknown, task: { output: string }) {
        try {
          await runStep(step, (line) => {
            task.output = line;
          });
        } catch (error) {
          failure = error;
          // The command explains the failure once, at the end, with the next command; here a mark is enough.
          throw new Error('see below');
        }
      },
    }));
    const options = { logger, processOutput, showErrorMessage: false };
    await new Listr(tasks, { renderer, registerSignalListeners: false, rendererOptions: options as object })
      .run()
      .catch((error) => {
        throw failure ?? error;
      });
  };
}
