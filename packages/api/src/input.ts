import type { Context } from 'hono';
import * as z from 'zod';
import { ApiError } from './errors.ts';

/** Largest request body that carries no document, in bytes. */
export const MAX_BODY = 64 * 1024;
/** The same for a login and a claim: a password of 1024 characters, each of them up to three bytes, each of these `%XX`. */
export const MAX_LOGIN_BODY = 16 * 1024;

/** Largest request body that carries a document of `maxBytes`: JSON may need six bytes for one (`\u0007`). */
export function maxDocumentBody(maxBytes: number): number {
  return 6 * maxBytes + MAX_BODY;
}

/** A line of text without control characters, spaces collapsed, in Unicode's composed form: the same name is written one way. */
export function oneLine(text: string): string {
  return text
    .normalize('NFC')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim();
}

// NUL and lone surrogates can't be stored as PostgreSQL text.
const storable = (text: string) => text.isWellFormed() && !text.includes('\0');
const line = (max: number) =>
  z
    .string()
    .refine(storable, 'contains characters that cannot be stored')
    .transform(oneLine)
    .pipe(z.string().min(1, 'must not be empty').max(max));

const name = line(200);
const title = line(200);
const text = z
  .string()
  .refine(storable, 'contains characters that cannot be stored')
  .refine((value) => value.trim() !== '', 'must not be empty');

export const conceptBody = z.strictObject({ name, description: line(2000).nullish() });
export const relationBody = z.strictObject({ from: name, to: name, type: line(100) });
export const documentBody = z.strictObject({ title, text });
export const extractBody = z.union([
  z.strictObject({ text, title: title.optional() }),
  z.strictObject({ documentId: z.uuid() }),
]);
export const passwordBody = z.strictObject({ current: z.string(), new: z.string() });
export const claimBody = z.strictObject({
  token: z.string(),
  username: z.string().default('admin'),
  password: z.string(),
});

/**
 * The request's JSON body as `schema` has it.
 * @throws ApiError 415 for another content type, 400 for malformed JSON or a wrong shape.
 */
export async function jsonBody<Schema extends z.ZodType>(
  c: Context,
  schema: Schema,
): Promise<z.infer<Schema>> {
  if (!/^application\/json\s*(;|$)/i.test(c.req.header('content-type') ?? '')) {
    throw new ApiError(415, 'unsupported_media_type', 'Send the body as application/json.');
  }
  const body: unknown = await c.req.json().catch((error: unknown) => {
    if (error instanceof SyntaxError) throw new ApiError(400, 'invalid_json', 'The body is not valid JSON.');
    throw error;
  });
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => ({
    path: issue.path.join('.'),
    message: issue.message,
  }));
  const message = issues.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; ');
  throw new ApiError(400, 'invalid_body', message, { issues });
}

/**
 * Query parameter `limit`.
 * @throws ApiError 400 unless it is absent or a whole number from 1 to `max`.
 */
export function limitParameter(c: Context, { fallback, max }: { fallback: number; max: number }): number {
  const given = c.req.query('limit');
  if (given === undefined) return fallback;
  const limit = /^[0-9]{1,6}$/.test(given) ? Number(given) : 0;
  if (limit < 1 || limit > max) {
    throw new ApiError(400, 'invalid_limit', `limit must be a whole number from 1 to ${max}.`);
  }
  return limit;
}

/** @throws ApiError 413 for a text that takes more than `maxBytes` as UTF-8. */
export function checkTextSize(text: string, maxBytes: number): void {
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxBytes) return;
  throw new ApiError(413, 'text_too_long', `The text has ${bytes} bytes; at most ${maxBytes} are accepted.`, {
    limit: maxBytes,
  });
}
