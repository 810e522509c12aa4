import { SETTINGS } from '@kg-operator/config';
import { Hono } from 'hono';
import type { AppDependencies, Environment } from './app.ts';
import { ApiError } from './errors.ts';
import { ProviderError } from './extract/index.ts';
import {
  checkTextSize,
  conceptBody,
  documentBody,
  extractBody,
  jsonBody,
  limitParameter,
  oneLine,
  relationBody,
} from './input.ts';

/** The graph, documents and extraction. */
export function resources({ graph, log, shutdown }: AppDependencies): Hono<Environment> {
  const app = new Hono<Environment>();

  app.get('/graph', async (c) => {
    const most = c.var.now.config.settings['graph.max-concepts'];
    const asked = limitParameter(c, { fallback: most, max: SETTINGS['graph.max-concepts'].max });
    return c.json(await graph.view(Math.min(asked, most)));
  });
  app.get('/concepts', async (c) =>
    c.json({ concepts: await graph.concepts(limitParameter(c, { fallback: 1000, max: 10_000 })) }),
  );
  app.post('/concepts', async (c) => {
    const { concepts, newConcepts } = await graph.add([await jsonBody(c, conceptBody)], []);
    return c.json(concepts[0], newConcepts > 0 ? 201 : 200);
  });
  app.post('/relations', async (c) => {
    const { relations, newRelations } = await graph.add([], [await jsonBody(c, relationBody)]);
    return c.json(relations[0], newRelations > 0 ? 201 : 200);
  });

  app.get('/documents', async (c) =>
    c.json({
      documents: await c.var.now.documents.list(limitParameter(c, { fallback: 100, max: 1000 })),
    }),
  );
  app.post('/documents', async (c) => {
    const { config, documents } = c.var.now;
    const { title, text } = await jsonBody(c, documentBody);
    checkTextSize(text, config.settings['documents.max-bytes']);
    return c.json(await documents.create(title, text, c.var.identity.username), 201);
  });
  app.get('/documents/:id', async (c) => c.json(await c.var.now.documents.read(c.req.param('id'))));

  app.post('/extract', async (c) => {
    const { config, documents, extractor } = c.var.now;
    const body = await jsonBody(c, extractBody);
    if ('text' in body) checkTextSize(body.text, config.settings['documents.max-bytes']);
    // The text is stored first: an answer of the provider can be had again, the user's text maybe not.
    const document =
      'documentId' in body
        ? await documents.read(body.documentId)
        : {
            ...(await documents.create(body.title ?? titleOf(body.text), body.text, c.var.identity.username)),
            text: body.text,
          };
    const { text, ...stored } = document;
    const signal = AbortSignal.any([c.req.raw.signal, shutdown]);
    try {
      const { concepts, relations } = await extractor.extract(text, signal);
      return c.json({ document: stored, ...(await graph.add(concepts, relations)) });
    } catch (error) {
      if (signal.aborted) {
        throw new ApiError(503, 'cancelled', 'Reading the text was cut short. Try again in a moment.', {
          documentId: stored.id,
        });
      }
      if (error instanceof ProviderError) {
        log('warn', 'provider call failed', { code: error.code, cause: causeOf(error) });
        throw new ApiError(502, error.code, error.message, { documentId: stored.id });
      }
      throw error;
    }
  });
  return app;
}

/** What the log tells of a provider's failure: kind and status. What the provider wrote may quote the key or the text. */
function causeOf({ cause }: ProviderError): string {
  if (!(cause instanceof Error)) return String(cause);
  const { status } = cause as { status?: unknown };
  return status === undefined ? cause.name : `${cause.name} ${status}`;
}

function titleOf(text: string): string {
  const line = oneLine(text);
  return line.length <= 60 ? line : `${line.slice(0, 59).toWellFormed()}…`;
}
