import { Bucket, type Door } from './bucket.js';
import type { Connection } from './connection.js';
import { ConnectionLostError, isTandemError, TandemError } from './errors.js';
import { growing, type RetryPolicy, sleep, uniqueName } from './options.js';
import { type SqlAnswer, type SqlParameters, type SqlValue, sql } from './sql.js';
import type { BucketName, Durability, Isolation, Key, SchemaMap, Stored } from './types.js';

/** How a transaction is begun. */
export interface BeginOptions {
  /** Serializable unless given. */
  isolation?: Isolation;
  readOnly?: boolean;
  /** How long it may be open; the server's default is 30 s. */
  timeoutMs?: number;
}

/** How it is committed. */
export interface CommitOptions {
  /** The config's unless given. */
  durability?: Durability;
  /** The same key within 24 hours answers the first result and changes nothing. */
  idempotencyKey?: string;
}

/** What a commit answered. */
export interface Receipt {
  /** The commit's number. */
  revision: number;
  /** How many records it changed. */
  changes: number;
}

/** How a transaction closure is run. */
export interface TransactionOptions extends BeginOptions {
  durability?: Durability;
  retry?: Partial<RetryPolicy>;
  /**
   * Whether the commit is named, so that its outcome can be found out after a
   * lost connection. True; it costs the server an entry for 24 hours.
   */
  named?: boolean;
}

/** A bucket inside a transaction. */
export class TransactionBucket<T extends object> extends Bucket<T> {
  /**
   * The record or null, locked to the transaction's end: other writers wait.
   * The requests of one client are carried out in order, so one that waits for
   * a lock holds up the others: who locks should have a client of their own.
   */
  lock(key: Key, options: { waitMs?: number } = {}): Promise<Stored<T> | null> {
    return this.request('store.lock', { key, ...options });
  }
}

/** An open transaction. It ends with its connection: rolled back. */
export class Transaction<S extends SchemaMap> implements Door {
  private constructor(
    private readonly connection: Connection,
    private readonly session: number,
    private readonly handle: string,
    /** The revision that it reads. */
    readonly revision: number,
    readonly isolation: Isolation,
    /** When it is rolled back at the latest, by the server's clock, in ms. */
    readonly expiresAt: number,
  ) {}

  static async begin<S extends SchemaMap>(
    connection: Connection,
    options: BeginOptions = {},
  ): Promise<Transaction<S>> {
    const { isolation, readOnly, timeoutMs } = options;
    const { data, session } = await connection.request('store.begin', {
      isolation,
      readOnly,
      timeoutMs,
    });
    const begun = data as {
      transaction: string;
      isolation: Isolation;
      revision: number;
      expiresAt: number;
    };
    const { transaction, revision, expiresAt } = begun;
    return new Transaction(connection, session, transaction, revision, begun.isolation, expiresAt);
  }

  /** Any request by its type and fields, as part of the transaction. */
  async request(type: string, fields: Record<string, unknown> = {}): Promise<unknown> {
    const inside = { ...fields, transaction: this.handle };
    return (await this.connection.request(type, inside, this.session)).data;
  }

  /** The requests of one bucket, as part of the transaction. */
  bucket<B extends BucketName<S>>(name: B): TransactionBucket<S[B] & object> {
    return new TransactionBucket(this, name);
  }

  /**
   * One statement of SQL, as part of the transaction. `BEGIN`, `COMMIT` and so on
   * are refused: the transaction has methods for them.
   */
  sql<Row extends unknown[] = SqlValue[]>(
    text: string,
    params?: SqlParameters,
  ): Promise<SqlAnswer<Row>> {
    return sql(this, text, params);
  }

  /** Marks the present state under a name. */
  async savepoint(name: string): Promise<void> {
    await this.request('store.savepoint', { name });
  }

  /** Undoes what happened since a savepoint, which stays. */
  async rollbackTo(name: string): Promise<void> {
    await this.request('store.rollbackTo', { name });
  }

  /** Forgets a savepoint and keeps what happened since. */
  async release(name: string): Promise<void> {
    await this.request('store.release', { name });
  }

  /**
   * Runs `work`; if it throws, what it has done is undone, the transaction goes
   * on, and the error is thrown on.
   */
  async attempt<R>(work: () => Promise<R>): Promise<R> {
    const name = `attempt-${uniqueName()}`;
    await this.savepoint(name);
    let result: R;
    try {
      result = await work();
    } catch (error) {
      // Not after a conflict, when only the whole can be rolled back.
      await this.rollbackTo(name).then(() => this.release(name)).catch(() => {});
      throw error;
    }
    await this.release(name);
    return result;
  }

  /** Commits. A retryable error: nothing was committed, run all of it again. */
  async commit(options: CommitOptions = {}): Promise<Receipt> {
    const { revision, changes } = (await this.request('store.commit', { ...options })) as Receipt;
    return { revision, changes };
  }

  /** Rolls back. */
  async rollback(): Promise<void> {
    await this.request('store.rollback');
  }
}

/**
 * Runs `work` in a transaction and commits it; all of it again after a
 * retryable error.
 */
export async function run<S extends SchemaMap, R>(
  connection: Connection,
  work: (tx: Transaction<S>) => Promise<R>,
  options: TransactionOptions,
): Promise<R> {
  const policy = { ...connection.settings.retry, ...options.retry };
  for (let made = 1; ; made++) {
    try {
      return await attempt(connection, work, options, policy);
    } catch (error) {
      if (!isTandemError(error) || !error.retryable || made >= policy.attempts) throw error;
      await sleep(growing(policy.firstWaitMs, policy.longestWaitMs, made));
    }
  }
}

async function attempt<S extends SchemaMap, R>(
  connection: Connection,
  work: (tx: Transaction<S>) => Promise<R>,
  options: TransactionOptions,
  policy: RetryPolicy,
): Promise<R> {
  const tx = await Transaction.begin<S>(connection, options);
  let value: R;
  try {
    value = await work(tx);
  } catch (error) {
    // Waited for, so that the next attempt meets none of its locks.
    await tx.rollback().catch(() => {});
    throw error;
  }
  // Nothing that a read-only transaction has done could be in doubt.
  const isNamed = (options.named ?? true) && options.readOnly !== true;
  const idempotencyKey = isNamed ? uniqueName() : undefined;
  const { durability } = options;
  try {
    await tx.commit({
      ...(durability !== undefined && { durability }),
      ...(idempotencyKey !== undefined && { idempotencyKey }),
    });
    return value;
  } catch (error) {
    if (idempotencyKey !== undefined && error instanceof TandemError && error.outcome === 'unknown') {
      if (await hasCommitted(connection, idempotencyKey, policy)) return value;
      throw ConnectionLostError.rolledBack();
    }
    await tx.rollback().catch(() => {});
    throw error;
  }
}

/**
 * Whether the commit of that name happened. It is asked by committing nothing
 * under the same name, so that afterwards it cannot happen any more: a server
 * that still has the first request before it answers that one with the result
 * of this.
 */
async function hasCommitted(
  connection: Connection,
  idempotencyKey: string,
  policy: RetryPolicy,
): Promise<boolean> {
  for (let asked = 1; ; asked++) {
    try {
      const tx = await Transaction.begin(connection);
      return (await tx.commit({ idempotencyKey })).changes > 0;
    } catch (error) {
      const again =
        isTandemError(error) && (error.retryable || error.outcome === 'unknown');
      // Nobody knows; the first reason says so.
      if (!again || asked >= policy.attempts) throw ConnectionLostError.unanswered();
      await sleep(growing(policy.firstWaitMs, policy.longestWaitMs, asked));
    }
  }
}
