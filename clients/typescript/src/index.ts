export { Bucket, type WriteOptions } from './bucket.js';
export { connect, type Operation, TandemClient } from './client.js';
export type { Status } from './connection.js';
export {
  ClosedError,
  ConnectionLostError,
  ERROR_CODES,
  type ErrorCode,
  isTandemError,
  type Outcome,
  ServerError,
  type ServerErrorCode,
  TandemError,
} from './errors.js';
export type { LiveChange, LiveCollection, LiveEvent } from './live.js';
export type { Options, RetryPolicy, WebSocketConstructor, WebSocketLike } from './options.js';
export type { SqlAnswer, SqlParameters, SqlValue } from './sql.js';
export type {
  ChangeEvent,
  ChangesOptions,
  ChangesSubscription,
  QueryEvent,
  QuerySubscription,
  Subscription,
} from './subscriptions.js';
export type {
  BeginOptions,
  CommitOptions,
  Receipt,
  Transaction,
  TransactionBucket,
  TransactionOptions,
} from './transaction.js';
export type * from './types.js';
