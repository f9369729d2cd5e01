import type {
  Aggregate,
  BucketConfig,
  Fields,
  Filter,
  IndexConfig,
  IndexInfo,
  Insert,
  Key,
  Page,
  ReadOptions,
  Stage,
  Stored,
  Update,
} from './types.js';

/** What requests go through: a client, or a transaction of one. */
export interface Door {
  request(type: string, fields: Record<string, unknown>): Promise<unknown>;
}

/** What a write takes besides its data. */
export interface WriteOptions {
  /** The version that the record must have; another one is `CONFLICT`. */
  expectedVersion?: number;
}

/**
 * The requests of one bucket: each a transaction of its own, or part of the
 * transaction that it comes from. Which errors each may answer is in
 * `docs/protocol.md`.
 */
export class Bucket<T extends object> {
  constructor(
    protected readonly door: Door,
    readonly name: string,
  ) {}

  protected request<R>(type: string, fields: Record<string, unknown> = {}): Promise<R> {
    return this.door.request(type, { ...fields, bucket: this.name }) as Promise<R>;
  }

  // Records.

  /** The record, or null. */
  get(key: Key): Promise<Stored<T> | null> {
    return this.request('store.get', { key });
  }

  /** Stores a new record; answers it as stored. */
  insert(data: Insert<T>): Promise<Stored<T>> {
    return this.request('store.insert', { data });
  }

  /** Stores new records, all or none. */
  insertMany(data: Insert<T>[]): Promise<Stored<T>[]> {
    return this.request('store.insertMany', { data });
  }

  /** Merges `data` into the record. */
  update(key: Key, data: Update<T>, options: WriteOptions = {}): Promise<Stored<T>> {
    return this.request('store.update', { key, data, ...options });
  }

  /** Merges `data` into every record that matches; answers how many. */
  updateMany(filter: Filter<T>, data: Update<T>): Promise<number> {
    return this.request('store.updateMany', { filter, data });
  }

  /** Replaces all fields but the key and generated ones. */
  replace(key: Key, data: Partial<Fields<T>>, options: WriteOptions = {}): Promise<Stored<T>> {
    return this.request('store.replace', { key, data, ...options });
  }

  /** Merges into the record with this key, or stores a new one. */
  upsert(data: Insert<T>, options: WriteOptions = {}): Promise<Stored<T>> {
    return this.request('store.upsert', { data, ...options });
  }

  /** Deletes the record, if there is one. */
  async delete(key: Key, options: WriteOptions = {}): Promise<void> {
    await this.request('store.delete', { key, ...options });
  }

  /** Deletes every record that matches; answers how many. */
  deleteMany(filter: Filter<T>): Promise<number> {
    return this.request('store.deleteMany', { filter });
  }

  /** Deletes every record. */
  async clear(): Promise<void> {
    await this.request('store.clear');
  }

  // Reads.

  /** The records that match; all without a filter. */
  find(filter: Filter<T> = {} as Filter<T>, options: ReadOptions<T> = {}): Promise<Stored<T>[]> {
    return this.request('store.where', { filter, ...options });
  }

  /** As `find`, with these fields of each record only. */
  select<F extends keyof Stored<T> & string>(
    fields: F[],
    filter: Filter<T> = {} as Filter<T>,
    options: ReadOptions<T> = {},
  ): Promise<Pick<Stored<T>, F>[]> {
    return this.request('store.where', { filter, fields, ...options });
  }

  /** The first record that matches, or null. */
  findOne(
    filter: Filter<T>,
    options: Omit<ReadOptions<T>, 'limit'> = {},
  ): Promise<Stored<T> | null> {
    return this.request('store.findOne', { filter, ...options });
  }

  /** How many match. */
  count(filter: Filter<T> = {} as Filter<T>): Promise<number> {
    return this.request('store.count', { filter });
  }

  /** The first `n`. */
  first(n: number, filter?: Filter<T>, sort?: ReadOptions<T>['sort']): Promise<Stored<T>[]> {
    return this.request('store.first', { n, filter, sort });
  }

  /** The last `n`, the very last one last. */
  last(n: number, filter?: Filter<T>, sort?: ReadOptions<T>['sort']): Promise<Stored<T>[]> {
    return this.request('store.last', { n, filter, sort });
  }

  /** At most `limit` records after a cursor, or from the start. */
  page(
    limit: number,
    options: { after?: unknown; filter?: Filter<T>; sort?: ReadOptions<T>['sort'] } = {},
  ): Promise<Page<Stored<T>>> {
    return this.request('store.paginate', { limit, ...options });
  }

  /**
   * Every record that matches, read page by page as the loop goes on. Without a
   * transaction each page sees the newest records: one that is moved by a write
   * meanwhile may be missed or come twice.
   */
  async *each(
    filter: Filter<T> = {} as Filter<T>,
    options: { sort?: ReadOptions<T>['sort']; pageSize?: number } = {},
  ): AsyncGenerator<Stored<T>, void, undefined> {
    const { sort, pageSize = 200 } = options;
    let after: unknown;
    for (;;) {
      const position = after === undefined ? {} : { after };
      const page = await this.page(pageSize, { filter, ...(sort !== undefined && { sort }), ...position });
      yield* page.records;
      if (!page.hasMore || page.nextCursor === undefined) return;
      after = page.nextCursor;
    }
  }

  /** The sum of a field; 0 without any number. */
  sum(field: string, filter?: Filter<T>): Promise<number> {
    return this.request('store.sum', { field, filter });
  }

  /** The average of a field; 0 without any number. */
  avg(field: string, filter?: Filter<T>): Promise<number> {
    return this.request('store.avg', { field, filter });
  }

  /** The least number of a field; null without any. */
  min(field: string, filter?: Filter<T>): Promise<number | null> {
    return this.request('store.min', { field, filter });
  }

  /** The greatest number of a field; null without any. */
  max(field: string, filter?: Filter<T>): Promise<number | null> {
    return this.request('store.max', { field, filter });
  }

  /** One value per group. */
  groupBy(
    field: string | string[],
    aggregate: Aggregate,
    filter?: Filter<T>,
  ): Promise<{ key: Record<string, unknown>; value: number | null }[]> {
    return this.request('store.groupBy', { field, aggregate, filter });
  }

  /** The documents that a pipeline makes of the records; `R` is what they are. */
  aggregate<R = Record<string, unknown>>(pipeline: Stage[]): Promise<R[]> {
    return this.request('store.aggregate', { pipeline });
  }

  /** How `find` would read: access, index, bounds, rows examined. */
  explain(
    filter: Filter<T> = {} as Filter<T>,
    options: ReadOptions<T> = {},
  ): Promise<Record<string, unknown>> {
    const request = { type: 'store.where', bucket: this.name, filter, ...options };
    return this.request('store.explain', { request });
  }

  // Definition.

  /** Its definition, with what was added later. */
  async config(): Promise<BucketConfig> {
    const { config } = await this.request<{ config: BucketConfig }>('store.getBucketSchema', {
      name: this.name,
    });
    return config;
  }

  /** Builds an index; resolves when it is ready, in the background at once. */
  createIndex(
    index: string | IndexConfig,
    options: { background?: boolean } = {},
  ): Promise<{ name: string; state: 'building' | 'ready' }> {
    return this.request('store.createIndex', { index, ...options });
  }

  /** Drops an index. */
  async dropIndex(name: string): Promise<void> {
    await this.request('store.dropIndex', { name });
  }

  /** Its indexes, with their state. */
  indexes(): Promise<IndexInfo[]> {
    return this.request('store.indexes');
  }
}
