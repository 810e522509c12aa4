/** The platform's API, as the gateway offers it to this page. */
const BASE = '/api';
const TOKEN = 'kg.token';

export interface Concept {
  id: string;
  name: string;
  description: string | null;
}

export interface Relation {
  id: string;
  from: string;
  to: string;
  type: string;
}

export interface Graph {
  nodes: Concept[];
  edges: Relation[];
  truncated: boolean;
}

/** What the platform is called and accepts, for anyone. */
export interface Site {
  title: string;
  /** Of a text as UTF-8. */
  maxDocumentBytes: number;
}

export interface DocumentInfo {
  id: string;
  title: string;
  bytes: number;
  createdBy: string;
  createdAt: string;
}

export interface Extracted {
  document: DocumentInfo;
  concepts: Concept[];
  relations: Relation[];
  newConcepts: number;
  newRelations: number;
}

/** A call that did not succeed; the message can be shown as it is. */
export class ApiFailure extends Error {
  readonly status: number;
  /** The document that was stored although the call failed. */
  readonly documentId: string | undefined;

  constructor(status: number, message: string, documentId?: string) {
    super(message);
    this.status = status;
    this.documentId = documentId;
  }
}

export const session = {
  get token(): string | null {
    return sessionStorage.getItem(TOKEN);
  },
  clear() {
    sessionStorage.removeItem(TOKEN);
  },
};

/**
 * Logs in and keeps the token for this tab.
 * @throws ApiFailure
 */
export async function login(username: string, password: string): Promise<void> {
  const body = new URLSearchParams({ grant_type: 'password', username, password });
  const response = await send('/oauth/token', { method: 'POST', body });
  const answer = await bodyOf(response);
  if (!response.ok) throw failure(response.status, answer, 'Logging in failed.');
  keepToken(answer);
}

/**
 * Sets the user's own password. Every token until then ends; this tab goes on with a new one.
 * @throws ApiFailure
 */
export async function changePassword(current: string, next: string): Promise<void> {
  keepToken(await call('POST', '/password', { current, new: next }));
}

/**
 * Makes the first admin with the token of the host's terminal, and logs in.
 * @throws ApiFailure
 */
export async function claim(token: string, username: string, password: string): Promise<void> {
  const response = await send('/claim', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, username, password }),
  });
  const answer = await bodyOf(response);
  if (!response.ok) throw failure(response.status, answer, 'Claiming failed.');
  keepToken(answer);
}

function keepToken(answer: unknown): void {
  sessionStorage.setItem(TOKEN, String((answer as { access_token: string }).access_token));
}

/** @throws ApiFailure; status 401 means that the session is over. */
export async function call<Answer>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<Answer> {
  const headers: Record<string, string> = { authorization: `Bearer ${session.token}` };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await send(path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = await bodyOf(response);
  if (!response.ok) throw failure(response.status, answer, 'The server could not do that.');
  return answer as Answer;
}

/** Without login. @throws ApiFailure */
export async function site(): Promise<Site> {
  const response = await send('/site', { method: 'GET' });
  const answer = await bodyOf(response);
  if (!response.ok) throw failure(response.status, answer, 'The server could not do that.');
  return answer as Site;
}

export const api = {
  graph: () => call<Graph>('GET', '/graph'),
  documents: () => call<{ documents: DocumentInfo[] }>('GET', '/documents'),
  document: (id: string) => call<DocumentInfo & { text: string }>('GET', `/documents/${id}`),
  extract: (body: { text: string; title?: string } | { documentId: string }) =>
    call<Extracted>('POST', '/extract', body),
  addConcept: (body: { name: string; description?: string }) => call<Concept>('POST', '/concepts', body),
  addRelation: (body: { from: string; to: string; type: string }) =>
    call<Relation>('POST', '/relations', body),
};

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(`${BASE}${path}`, init);
  } catch {
    throw new ApiFailure(0, 'The server cannot be reached. Check your connection, then try again.');
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

interface ErrorDocument {
  error?: string | { message?: string; documentId?: string };
  error_description?: string;
}

/** An error answer of the API, of its token endpoint (RFC 6749 §5.2), or of a gateway in between, as a readable failure. */
export function failure(status: number, answer: unknown, fallback: string): ApiFailure {
  const { error, error_description } = (answer ?? {}) as ErrorDocument;
  if (typeof error === 'object') {
    return new ApiFailure(status, error.message ?? fallback, error.documentId);
  }
  if (error_description) return new ApiFailure(status, error_description);
  if (status >= 502 && status <= 504) {
    return new ApiFailure(status, 'The server is not ready. It may be starting; try again in a moment.');
  }
  return new ApiFailure(status, fallback);
}
