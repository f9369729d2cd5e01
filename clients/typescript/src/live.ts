import type { Connection } from './connection.js';
import { type TandemError, isTandemError } from './errors.js';
import { growing, sleep } from './options.js';
import { ChangesInterest, ChangesSubscription } from './subscriptions.js';
import { Transaction } from './transaction.js';
import type { Change, Fields, Key, SchemaMap, Stored } from './types.js';

/** Records whose fields have these values; null also means missing. */
export type Equalities<T> = {
  [F in keyof T]?: Fields<T>[F] & (string | number | boolean | null);
};

/** What a live collection has to say. */
export type LiveEvent<T> =
  /** The records were read: at first, and when the change log did not reach back. */
  | { type: 'reset' }
  /** A commit has changed them. */
  | { type: 'commit'; revision: number; changes: LiveChange<T>[] }
  /** It is over: its bucket is gone, the client is closed. */
  | { type: 'ended'; error?: TandemError };

/** One record that came, changed or went. */
export interface LiveChange<T> {
  key: Key;
  before?: Stored<T>;
  after?: Stored<T>;
}

/**
 * The records of a bucket, kept as the server has them: read once, then changed
 * commit by commit. At any time it is the state of one revision, whole; it goes
 * on across lost connections and restarts of the server.
 *
 * `subscribe` and `getSnapshot` fit React's `useSyncExternalStore`.
 */
export class LiveCollection<T extends object> {
  private byKey = new Map<Key, Stored<T>>();
  private snapshot: readonly Stored<T>[] | undefined;
  private readonly listeners = new Set<(event: LiveEvent<T>) => void>();
  private changes: ChangesSubscription<Record<string, T>> | undefined;
  private isOver = false;
  /** The revision whose state this is. */
  revision = 0;

  private constructor(
    private readonly connection: Connection,
    private readonly bucket: string,
    private readonly keyField: string,
    private readonly where: Equalities<T>,
  ) {}

  static async start<T extends object>(
    connection: Connection,
    bucket: string,
    where: Equalities<T>,
  ): Promise<LiveCollection<T>> {
    const { data } = await connection.request('store.getBucketSchema', { name: bucket });
    const { key } = (data as { config: { key: string } }).config;
    const live = new LiveCollection<T>(connection, bucket, key, where);
    await live.read();
    return live;
  }

  /** The records, in no particular order; the same array until they change. */
  getSnapshot = (): readonly Stored<T>[] => (this.snapshot ??= [...this.byKey.values()]);

  /** The record of a key. */
  get(key: Key): Stored<T> | undefined {
    return this.byKey.get(key);
  }

  get size(): number {
    return this.byKey.size;
  }

  /** Calls `listener` after each change; the answer ends that. */
  subscribe = (listener: (event: LiveEvent<T>) => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Ends it. */
  close(): void {
    this.isOver = true;
    this.changes?.close();
  }

  /**
   * Reads the records at one revision and follows the commits after it: no
   * commit is missed between the two, and none comes twice.
   */
  private async read(): Promise<void> {
    this.changes?.close();
    const tx = await Transaction.begin<Record<string, T>>(this.connection, {
      isolation: 'snapshot',
      readOnly: true,
    });
    try {
      const filter = this.where;
      const records = (await tx.request('store.where', {
        bucket: this.bucket,
        filter,
      })) as Stored<T>[];
      const fields = { bucket: this.bucket, filter };
      const interest = new ChangesInterest<Record<string, T>, string>(
        this.connection,
        fields,
        tx.revision,
      );
      await interest.start();
      const changes = new ChangesSubscription(interest);
      this.changes = changes;
      if (this.isOver) return changes.close();
      this.byKey = new Map(
        records.map((record) => [(record as Record<string, unknown>)[this.keyField] as Key, record]),
      );
      this.revision = tx.revision;
      this.tell({ type: 'reset' });
      void this.follow(changes);
    } finally {
      await tx.rollback().catch(() => {});
    }
  }

  private async follow(changes: ChangesSubscription<Record<string, T>>): Promise<void> {
    for await (const event of changes) {
      if (changes !== this.changes) return;
      if (event.type === 'commit') {
        this.apply(event.revision, event.changes);
      } else if (event.type === 'progress') {
        this.revision = event.revision;
      } else if (event.type === 'bucketDropped') {
        this.byKey.clear();
        return this.end(undefined);
      } else if (event.type === 'ended') {
        return this.end(event.error);
      } else {
        // Inside the loop that it ends: not waited for.
        void this.readAgain();
        return;
      }
    }
    if (!this.isOver) this.end(undefined);
  }

  private async readAgain(): Promise<void> {
    const { firstWaitMs, longestWaitMs } = this.connection.settings;
    for (let failures = 1; !this.isOver; failures++) {
      try {
        return await this.read();
      } catch (error) {
        const lost = isTandemError(error) && error.code === 'CONNECTION_LOST';
        const outrun = isTandemError(error, 'RESYNC_REQUIRED');
        if (!lost && !outrun && !(isTandemError(error) && error.retryable)) {
          return this.end(isTandemError(error) ? error : undefined);
        }
        await sleep(growing(firstWaitMs, longestWaitMs, failures));
      }
    }
  }

  private apply(revision: number, changes: Change<Record<string, T>>[]): void {
    const applied: LiveChange<T>[] = [];
    for (const { key, after: written } of changes) {
      const before = this.byKey.get(key);
      const after = written !== undefined && this.matches(written) ? written : undefined;
      if (after === undefined) {
        this.byKey.delete(key);
      } else {
        this.byKey.set(key, after);
      }
      if (before !== undefined || after !== undefined) {
        applied.push({ key, ...(before && { before }), ...(after && { after }) });
      }
    }
    this.revision = revision;
    this.tell({ type: 'commit', revision, changes: applied });
  }

  private matches(record: Stored<T>): boolean {
    return Object.entries(this.where).every(([field, wanted]) => {
      const value = (record as Record<string, unknown>)[field] ?? null;
      return value === (wanted ?? null) || (Array.isArray(value) && value.includes(wanted));
    });
  }

  private end(error: TandemError | undefined): void {
    if (this.isOver) return;
    this.isOver = true;
    this.tell({ type: 'ended', ...(error && { error }) });
  }

  private tell(event: LiveEvent<T>): void {
    this.snapshot = undefined;
    for (const listener of [...this.listeners]) listener(event);
  }
}

export type { SchemaMap };
