import { Bucket, type Door } from './bucket.js';
import { Connection, type Status } from './connection.js';
import { TandemError } from './errors.js';
import { LiveCollection } from './live.js';
import { type Options, settings, uniqueName } from './options.js';
import { type SqlAnswer, type SqlParameters, type SqlValue, sql } from './sql.js';
import {
  ChangesInterest,
  type ChangesOptions,
  ChangesSubscription,
  QueryInterest,
  QuerySubscription,
} from './subscriptions.js';
import {
  type BeginOptions,
  type CommitOptions,
  run,
  Transaction,
  type TransactionOptions,
} from './transaction.js';
import type {
  BucketConfig,
  BucketName,
  CheckReport,
  FieldConfig,
  Filter,
  IndexConfig,
  Insert,
  Isolation,
  Key,
  QueryConfig,
  SchemaMap,
  Update,
} from './types.js';

/** One operation of a batch. */
export type Operation<S extends SchemaMap> = {
  [B in BucketName<S>]:
    | { op: 'get'; bucket: B; key: Key }
    | { op: 'insert'; bucket: B; data: Insert<S[B]> }
    | { op: 'update'; bucket: B; key: Key; data: Update<S[B]>; expectedVersion?: number }
    | { op: 'delete'; bucket: B; key: Key; expectedVersion?: number }
    | { op: 'where'; bucket: B; filter: Filter<S[B]> }
    | { op: 'findOne'; bucket: B; filter: Filter<S[B]> }
    | { op: 'count'; bucket: B; filter?: Filter<S[B]> };
}[BucketName<S>];

/**
 * A connection to a server, which is made again when it is lost. `S` maps the
 * buckets to the types of their records.
 */
export class TandemClient<S extends SchemaMap = Record<string, Record<string, unknown>>>
  implements Door
{
  private readonly connection: Connection;

  /** Begins to connect, and goes on until it succeeds or is closed. */
  constructor(url: string, options: Options = {}) {
    this.connection = new Connection(url, settings(options));
  }

  /** Whether there is a connection now. */
  get status(): Status {
    return this.connection.status;
  }

  /** Calls `listener` with each new status; the answer ends that. */
  onStatus(listener: (status: Status) => void): () => void {
    return this.connection.onStatus(listener);
  }

  /** Resolves when there is a connection; rejects when there will be none. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (status: Status) => {
        if (status === 'connecting') return;
        stop();
        if (status === 'connected') resolve();
        else reject(this.connection.lastError ?? new TandemError('CLOSED', 'The client is closed'));
      };
      const stop = this.connection.onStatus(look);
      look(this.connection.status);
    });
  }

  /** As `ready`, but the first attempt that fails closes the client. */
  async firstConnection(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.connection.onFailure = () => {
        this.connection.onFailure = undefined;
        const reason = this.connection.lastError;
        this.close();
        reject(reason);
      };
      this.ready().then(resolve, reject);
    });
    this.connection.onFailure = undefined;
  }

  /**
   * Closes the connection: what is not answered is rejected, subscriptions end,
   * open transactions are rolled back by the server.
   */
  close(): void {
    this.connection.close();
  }

  /** The requests of one bucket, each a transaction of its own. */
  bucket<B extends BucketName<S>>(name: B): Bucket<S[B] & object> {
    return new Bucket(this, name);
  }

  /**
   * Any request by its type and fields. Not with a `transaction`: a handle means
   * nothing on a later connection, as `Transaction.request` knows.
   */
  async request(type: string, fields: Record<string, unknown> = {}): Promise<unknown> {
    return (await this.connection.request(type, fields)).data;
  }

  /**
   * One statement of SQL, as a transaction of its own. Buckets are tables;
   * parameters are a list for `?`, an object for `:name`.
   */
  sql<Row extends unknown[] = SqlValue[]>(
    text: string,
    params?: SqlParameters,
  ): Promise<SqlAnswer<Row>> {
    return sql(this, text, params);
  }

  // Transactions.

  /** Begins a transaction, which the caller commits. */
  begin(options: BeginOptions = {}): Promise<Transaction<S>> {
    return Transaction.begin(this.connection, options);
  }

  /**
   * Runs `work` in a serializable transaction and commits it. After a retryable
   * error (a conflict, a deadlock, a lost connection) all of it is rolled back
   * and `work` is run again, after a random wait that grows, a bounded number of
   * times; so `work` should have no effects outside the transaction. Anything
   * that `work` throws rolls back.
   *
   * A connection that is lost while the commit is on its way leaves no doubt:
   * the commit has a name, under which the client asks on the next connection
   * whether it happened, and makes sure that it does not happen later if it has
   * not.
   */
  transaction<R>(
    work: (tx: Transaction<S>) => Promise<R>,
    options: TransactionOptions = {},
  ): Promise<R> {
    return run(this.connection, work, options);
  }

  /**
   * Runs operations in one request and one transaction. The server runs it again
   * on a conflict; the client sends it again, under the same name, when the
   * connection is lost before the answer: it is carried out once.
   */
  async batch(
    operations: Operation<S>[],
    options: CommitOptions & { isolation?: Isolation } = {},
  ): Promise<{ results: unknown[]; revision: number }> {
    const fields = { idempotencyKey: uniqueName(), ...options, operations };
    for (let sent = 1; ; sent++) {
      try {
        const answer = (await this.request('store.transaction', fields)) as {
          results: { data: unknown }[];
          revision: number;
        };
        const results = answer.results.map(({ data }) => data);
        return { results, revision: answer.revision };
      } catch (error) {
        const lost = error instanceof TandemError && error.outcome === 'unknown';
        if (!lost || sent >= this.connection.settings.retry.attempts) throw error;
      }
    }
  }

  // Following.

  /** Follows a stored query: its result now, and whenever it changes. */
  async subscribe<R = unknown>(
    query: string,
    params?: Record<string, unknown>,
  ): Promise<QuerySubscription<R>> {
    const interest = new QueryInterest<R>(this.connection, { query, params });
    await interest.start();
    return new QuerySubscription(interest);
  }

  /** Follows the changes of buckets, commit by commit, each once and in order. */
  async changes<B extends BucketName<S>>(
    options: ChangesOptions<S, B> = {},
  ): Promise<ChangesSubscription<S, B>> {
    const { from, includeInitial = false, ...fields } = options;
    if (from !== undefined && includeInitial) {
      throw new TandemError('VALIDATION_ERROR', '"from" and "includeInitial" exclude each other');
    }
    const interest = new ChangesInterest<S, B>(this.connection, fields, from, includeInitial);
    await interest.start();
    return new ChangesSubscription(interest);
  }

  /** The records of a bucket, or those that match a filter, kept up to date. */
  live<B extends BucketName<S>>(
    bucket: B,
    filter: Filter<S[B] & object> = {} as Filter<S[B] & object>,
  ): Promise<LiveCollection<S[B] & object>> {
    return LiveCollection.start(this.connection, bucket, filter);
  }

  // Definitions.

  /** Defines a bucket. */
  async defineBucket(name: BucketName<S>, config: BucketConfig): Promise<void> {
    await this.request('store.defineBucket', { name, config });
  }

  /** Adds to a bucket's definition. */
  async updateBucket(
    name: BucketName<S>,
    updates: {
      addFields?: Record<string, FieldConfig>;
      addIndexes?: (string | IndexConfig)[];
      ttl?: number | string | null;
    },
  ): Promise<void> {
    await this.request('store.updateBucket', { name, updates });
  }

  /** Drops a bucket with its records. */
  async dropBucket(name: BucketName<S>): Promise<void> {
    await this.request('store.dropBucket', { name });
  }

  /** The names of the buckets, in the order of their definition. */
  async buckets(): Promise<string[]> {
    return ((await this.request('store.buckets')) as { names: string[] }).names;
  }

  /** Defines a query. */
  async defineQuery(name: string, config: QueryConfig): Promise<void> {
    await this.request('store.defineQuery', { name, config });
  }

  /** Removes a query. */
  async undefineQuery(name: string): Promise<void> {
    await this.request('store.undefineQuery', { name });
  }

  /** The stored queries. */
  async queries(): Promise<
    { name: string; type: string; activeSubscriptions: number; config: QueryConfig }[]
  > {
    const answer = await this.request('store.listQueries');
    return (answer as { queries: Awaited<ReturnType<TandemClient['queries']>> }).queries;
  }

  /** Compares every index with its rows, of one bucket or of all. */
  async check(
    options: { bucket?: BucketName<S>; repair?: boolean } = {},
  ): Promise<CheckReport> {
    return (await this.request('store.check', options)) as CheckReport;
  }

  /** What `server.stats` says. */
  async stats(): Promise<Record<string, unknown>> {
    return (await this.request('server.stats')) as Record<string, unknown>;
  }
}

/** Connects; rejects when the first attempt fails. */
export async function connect<S extends SchemaMap = Record<string, Record<string, unknown>>>(
  url: string,
  options: Options = {},
): Promise<TandemClient<S>> {
  const client = new TandemClient<S>(url, options);
  await client.firstConnection();
  return client;
}
