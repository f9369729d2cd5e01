/**
 * The codes that a server answers, as `docs/errors.md` lists them.
 */
export const ERROR_CODES = [
  'PARSE_ERROR',
  'INVALID_REQUEST',
  'UNKNOWN_OPERATION',
  'VALIDATION_ERROR',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'REFERENCE_VIOLATION',
  'CONSTRAINT_VIOLATION',
  'CONFLICT',
  'TRANSACTION_EXPIRED',
  'TRANSACTION_NOT_FOUND',
  'TRANSACTION_ABORTED',
  'READ_ONLY',
  'SAVEPOINT_NOT_FOUND',
  'LOCK_TIMEOUT',
  'DEADLOCK',
  'LIMIT_EXCEEDED',
  'RATE_LIMITED',
  'BACKPRESSURE',
  'TIMEOUT',
  'RESYNC_REQUIRED',
  'BUCKET_NOT_DEFINED',
  'QUERY_NOT_DEFINED',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'RULES_NOT_AVAILABLE',
  'SQL_ERROR',
  'STORE_FAILED',
  'STORE_LOCKED',
  'FORMAT_UNSUPPORTED',
  'CORRUPTED',
  'STORAGE_ERROR',
  'CLOSED',
  'INTERNAL_ERROR',
] as const;

/** A code of a server of this version. */
export type ServerErrorCode = (typeof ERROR_CODES)[number];

/**
 * Any code: the server's, those of a later server, and the client's own,
 * `CONNECTION_LOST`: the connection was lost, or could not be made, before the
 * answer.
 */
export type ErrorCode = ServerErrorCode | 'CONNECTION_LOST' | (string & {});

/**
 * What has become of a request that failed. `nothing`: it was not carried out.
 * `unknown`: the connection was lost after it was sent; it was carried out
 * whole, or not at all.
 */
export type Outcome = 'nothing' | 'unknown';

/** Why a request failed: the server's reason, or the client's. */
export class TandemError extends Error {
  override readonly name: string = 'TandemError';

  constructor(
    /** Stable: what a program decides by. */
    readonly code: ErrorCode,
    message: string,
    /** Whether running the whole transaction again may succeed. */
    readonly retryable: boolean = false,
    /** Bucket, key, versions, index, limit and so on; see `docs/protocol.md`. */
    readonly details: unknown = undefined,
    readonly outcome: Outcome = 'nothing',
  ) {
    super(message);
  }

  /** One structured field. */
  detail(field: string): unknown {
    const { details } = this;
    return typeof details === 'object' && details !== null
      ? (details as Record<string, unknown>)[field]
      : undefined;
  }
}

/** An error frame of the server. */
export class ServerError extends TandemError {
  override readonly name = 'ServerError';
}

/** The connection was lost, or could not be made, before the answer came. */
export class ConnectionLostError extends TandemError {
  override readonly name = 'ConnectionLostError';

  private constructor(message: string, retryable: boolean, outcome: Outcome) {
    super('CONNECTION_LOST', message, retryable, undefined, outcome);
  }

  /** There was no connection in time: nothing was sent. */
  static notConnected(message = 'There is no connection'): ConnectionLostError {
    return new ConnectionLostError(message, false, 'nothing');
  }

  /** The transaction has ended with the connection that held it. */
  static rolledBack(): ConnectionLostError {
    const message = 'The connection was lost and the transaction rolled back with it';
    return new ConnectionLostError(message, true, 'nothing');
  }

  /** It was sent, and the answer did not come. */
  static unanswered(): ConnectionLostError {
    const message =
      'The connection was lost before the answer: the request may have been carried out';
    return new ConnectionLostError(message, false, 'unknown');
  }
}

/** The client was closed, or the server refused it for good. */
export class ClosedError extends TandemError {
  override readonly name = 'ClosedError';

  constructor(message = 'The client is closed') {
    super('CLOSED', message);
  }
}

/** Whether `error` comes from the client, with this code if one is given. */
export function isTandemError(error: unknown, code?: ErrorCode): error is TandemError {
  return error instanceof TandemError && (code === undefined || error.code === code);
}
