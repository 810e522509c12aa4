/** Statuses the API answers errors with. */
export type ErrorStatus = 400 | 401 | 403 | 404 | 409 | 413 | 415 | 422 | 429 | 500 | 502 | 503;

/** A failure whose code and message are meant for the client. Anything else that is thrown answers 500 `internal`. */
export class ApiError extends Error {
  readonly status: ErrorStatus;
  readonly code: string;
  /** Further members of the error document, such as the id of a document that was stored before the failure. */
  readonly details: Record<string, unknown>;

  constructor(
    status: ErrorStatus,
    code: string,
    message: string,
    details: Record<string, unknown> = {},
    cause?: unknown,
  ) {
    super(message, { cause });
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.details = details;
  }
}
