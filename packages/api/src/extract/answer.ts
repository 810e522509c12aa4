import type * as z from 'zod';
import { extractionSchema } from './extractor.ts';

/**
 * The graph in a model's answer, or null. Servers that can't enforce a format answer with more than the JSON: the thoughts of a reasoning
 * model before it, a Markdown fence or a sentence around it.
 */
export function readAnswer(content: string | null | undefined): z.infer<typeof extractionSchema> | null {
  const answer = (content ?? '').replace(/^[\s\S]*<\/think>/, '');
  const json = answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1);
  const result = extractionSchema.safeParse(parse(json));
  return result.success ? result.data : null;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // No JSON is no graph, which the caller says.
    return undefined;
  }
}
