import type { Connection } from './connection.js';
import { TandemError } from './errors.js';
import { Interest } from './interest.js';
import type { BucketName, Change, Filter, Key, SchemaMap } from './types.js';

type Fields = Record<string, unknown>;

/** What a query subscription has to say. */
export type QueryEvent<R> =
  /** The whole result, as it is now. Of results that wait, only the newest is kept. */
  | { type: 'result'; result: R }
  /**
   * The query or its bucket is gone, or the server refuses to go on, such as with
   * `LIMIT_EXCEEDED` when the result is more than a read may answer; the end.
   */
  | { type: 'ended'; reason?: string; error?: TandemError };

/** What a changes subscription has to say. */
export type ChangeEvent<S extends SchemaMap, B extends BucketName<S> = BucketName<S>> =
  /** One commit, with the net change of each record. */
  | { type: 'commit'; revision: number; changes: Change<S, B>[] }
  /**
   * Records that there were at `revision`, as inserts, with `includeInitial`;
   * `last` ends them.
   */
  | { type: 'initial'; revision: number; changes: Change<S, B>[]; last: boolean }
  /** Nothing matched up to here. */
  | { type: 'progress'; revision: number }
  /** A bucket of the subscription was dropped; the others go on. */
  | { type: 'bucketDropped'; bucket: string; revision: number }
  /**
   * Commits up to `revision` are missing: the change log did not reach back to
   * where the subscription stood. Read the data anew; what follows are the
   * commits after `revision`. With `includeInitial`, also when the connection was
   * lost before the last record: forget what came, the records come again.
   */
  | { type: 'resync'; revision: number }
  /** The server refuses to go on, for this reason; the end. */
  | { type: 'ended'; error: TandemError };

/** Which changes are followed, and from where. */
export interface ChangesOptions<S extends SchemaMap, B extends BucketName<S>> {
  /** Every bucket unless given. */
  bucket?: B;
  buckets?: B[];
  /**
   * Changes that it covers, such as `bucket.users.inserted` or `bucket.*.deleted`;
   * instead of buckets, and not with `includeInitial`.
   */
  topic?: `bucket.${string}.${'inserted' | 'updated' | 'deleted' | '*'}`;
  /** Changes of records that match before or after. */
  filter?: Filter<S[B]>;
  /** Every commit after this revision; from now on unless given. */
  from?: number;
  /**
   * First the records that there are, then every later commit, without gap or
   * overlap. Not with `from`. What is not taken yet waits in memory.
   */
  includeInitial?: boolean;
}

/** Something that is followed: an async iterator of its events. */
export class Subscription<E> implements AsyncIterable<E> {
  constructor(protected readonly interest: Interest<E>) {}

  /** The next event; `done` after the end. */
  next(): Promise<IteratorResult<E>> {
    return this.interest.stream.next();
  }

  /** Calls `listener` with each event, until the end; resolves then. */
  async each(listener: (event: E) => void | Promise<void>): Promise<void> {
    for await (const event of this) await listener(event);
  }

  /** Ends it; what is not taken yet is dropped. */
  close(): void {
    void this.interest.stream.return();
  }

  /** Leaving a `for await` loop ends the subscription. */
  [Symbol.asyncIterator](): AsyncIterator<E> {
    return this.interest.stream;
  }
}

/** The result of a stored query: the one of now, and whenever it changes. */
export class QuerySubscription<R> extends Subscription<QueryEvent<R>> {}

/** The changes of buckets, each commit once and in order. */
export class ChangesSubscription<
  S extends SchemaMap,
  B extends BucketName<S> = BucketName<S>,
> extends Subscription<ChangeEvent<S, B>> {
  /**
   * Up to which revision events were handed to the subscription's buffer;
   * before the first event, where it started. Undefined until the last of the
   * initial records.
   */
  get revision(): number | undefined {
    return (this.interest as unknown as { from: number | undefined }).from;
  }
}

export class QueryInterest<R> extends Interest<QueryEvent<R>> {
  constructor(
    connection: Connection,
    private readonly fields: Fields,
  ) {
    // Bounded by replacement.
    super(connection, 2);
  }

  request(): [string, Fields] {
    return ['store.subscribe', this.fields];
  }

  protected first(data: Fields): void {
    this.result(data.data as R);
  }

  pushed(data: unknown): void {
    const { event, reason } = (data ?? {}) as { event?: string; reason?: string };
    if (event === 'resync') {
      this.again();
    } else if (event === 'ended') {
      const error = reason === 'limit_exceeded' ? limitExceeded(data) : undefined;
      this.stream.push({
        type: 'ended',
        ...(reason !== undefined && { reason }),
        ...(error && { error }),
      });
      this.connection.forget(this.remote);
      this.remote = undefined;
      this.over();
      this.stream.end();
    } else {
      this.result(data as R);
    }
  }

  private result(result: R): void {
    this.stream.replace({ type: 'result', result }, (waiting) => waiting.type === 'result');
  }

  protected recovers(): boolean {
    return false;
  }

  protected ended(error: TandemError | undefined): void {
    this.stream.push({ type: 'ended', ...(error && { error }) });
  }
}

function limitExceeded(details: unknown): TandemError {
  const message = 'The result of the query is more than the server answers at once';
  return new TandemError('LIMIT_EXCEEDED', message, false, details);
}

interface ChangesPush {
  event?: string;
  initial?: boolean;
  last?: boolean;
  revision: number;
  bucket?: string;
  changes?: { type: 'insert' | 'update' | 'delete'; bucket: string; key: Key }[];
}

export class ChangesInterest<
  S extends SchemaMap,
  B extends BucketName<S>,
> extends Interest<ChangeEvent<S, B>> {
  /** Where it goes on; undefined before it has a position. */
  from: number | undefined;
  /** What came before is not continued: that is said first. */
  private resync = false;

  constructor(
    connection: Connection,
    private readonly fields: Fields,
    from: number | undefined,
    private readonly includeInitial: boolean,
  ) {
    super(connection, connection.settings.bufferedEvents);
    this.from = from;
  }

  request(): [string, Fields] {
    const position =
      this.from !== undefined
        ? { from: this.from }
        : this.includeInitial && { includeInitial: true };
    return ['store.subscribeChanges', { ...this.fields, ...position }];
  }

  protected first(data: Fields): void {
    const revision = data.revision as number;
    if (this.resync) {
      this.resync = false;
      this.stream.push({ type: 'resync', revision });
    }
    if (!this.includeInitial) this.from ??= revision;
  }

  pushed(data: unknown): void {
    const push = data as ChangesPush;
    const { event, revision } = push;
    if (event === 'resync') {
      // Cut, or too far behind: asking again from the last revision tells which.
      this.again();
    } else if (push.initial === true) {
      // Beyond the buffer's bound: half-way there is no position to go on from.
      const { changes = [], last = false } = push;
      this.resync = !last;
      if (last) this.from = revision;
      this.stream.push({ type: 'initial', revision, changes: changes as Change<S, B>[], last });
    } else if (event === 'progress') {
      // Only news: what comes next says it again.
      if (this.stream.isFull) return;
      this.from = revision;
      this.stream.push({ type: 'progress', revision });
    } else if (this.stream.isFull) {
      this.pause();
    } else if (event === 'bucketDropped') {
      this.from = revision;
      this.stream.push({ type: 'bucketDropped', bucket: push.bucket ?? '', revision });
    } else if (event === undefined) {
      this.from = revision;
      this.stream.push({ type: 'commit', revision, changes: (push.changes ?? []) as Change<S, B>[] });
    }
  }

  protected recovers(error: TandemError): boolean {
    if (error.code !== 'RESYNC_REQUIRED' || this.from === undefined) return false;
    this.from = undefined;
    this.resync = true;
    return true;
  }

  protected ended(error: TandemError | undefined): void {
    if (error) this.stream.push({ type: 'ended', error });
  }
}
