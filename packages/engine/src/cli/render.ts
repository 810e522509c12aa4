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
    const tasks = plan.steps.map((step) => ({
      title: describeStep(step),
      task: (_context: unknown, task: { output: string }) =>
        runStep(step, (line) => {
          task.output = line;
        }),
    }));
    await new Listr(tasks, {
      renderer,
      registerSignalListeners: false,
      exitOnError: true,
      rendererOptions: { logger, processOutput, showErrorMessage: false, collapseErrors: false } as object,
    }).run();
  };
}
