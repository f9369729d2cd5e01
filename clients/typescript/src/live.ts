import type { Connection } from './connection.js';
import { ClosedError, type TandemError } from './errors.js';
import { ChangesInterest, ChangesSubscription } from './subscriptions.js';
import type { Change, Filter, Key, Stored } from './types.js';

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
 * The records of a bucket that match a filter, kept as the server has them: read
 * once, then changed commit by commit. At any time it is the state of one revision, whole; it goes
 * on across lost connections and restarts of the server.
 *
 * `subscribe` and `getSnapshot` fit React's `useSyncExternalStore`.
 */
export class LiveCollection<T extends object> {
  private byKey = new Map<Key, Stored<T>>();
  /** What is being read, until it is whole. */
  private incoming = new Map<Key, Stored<T>>();
  private snapshot: readonly Stored<T>[] | undefined;
  private readonly listeners = new Set<(event: LiveEvent<T>) => void>();
  private isOver = false;
  /** The revision whose state this is. */
  revision = 0;

  private constructor(private readonly changes: ChangesSubscription<Record<string, T>, string>) {}

  static async start<T extends object>(
    connection: Connection,
    bucket: string,
    filter: Filter<T>,
  ): Promise<LiveCollection<T>> {
    const fields = { bucket, filter };
    const interest = new ChangesInterest<Record<string, T>, string>(
      connection,
      fields,
      undefined,
      true,
    );
    await interest.start();
    const live = new LiveCollection<T>(new ChangesSubscription(interest));
    await new Promise<void>((resolve, reject) => {
      const stop = live.subscribe((event) => {
        stop();
        if (event.type === 'ended') reject(event.error ?? new ClosedError());
        else resolve();
      });
      void live.follow();
    });
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
    this.changes.close();
  }

  private async follow(): Promise<void> {
    for await (const event of this.changes) {
      switch (event.type) {
        case 'initial':
          this.read(event.revision, event.changes, event.last);
          break;
        case 'commit':
          this.apply(event.revision, event.changes);
          break;
        case 'progress':
          this.revision = event.revision;
          break;
        case 'resync':
          // The old state stands until the new one is whole.
          this.incoming.clear();
          break;
        case 'bucketDropped':
          this.byKey.clear();
          return this.end(undefined);
        case 'ended':
          return this.end(event.error);
      }
    }
    this.end(undefined);
  }

  private read(revision: number, changes: Change<Record<string, T>>[], last: boolean): void {
    for (const { key, after } of changes) if (after) this.incoming.set(key, after);
    if (!last) return;
    this.byKey = this.incoming;
    this.incoming = new Map();
    this.revision = revision;
    this.tell({ type: 'reset' });
  }

  private apply(revision: number, changes: Change<Record<string, T>>[]): void {
    const applied: LiveChange<T>[] = [];
    for (const { key, after: written, left } of changes) {
      const before = this.byKey.get(key);
      const after = left ? undefined : written;
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
