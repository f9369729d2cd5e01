/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [field: string]: Json };

/** A record's key: `1` and `"1"` are different keys. */
export type Key = string | number | boolean;

declare const generated: unique symbol;

/**
 * A field that the server fills in when an insert leaves it out, because the
 * bucket's schema has `generated` or `default` for it.
 */
export interface Generated<T> {
  readonly [generated]: T;
}

type Plain<V> = V extends Generated<infer T> ? T : V;

type GeneratedFields<T> = {
  [F in keyof T]-?: T[F] extends Generated<unknown> ? F : never;
}[keyof T];

/** What the store adds to every record. */
export interface Metadata {
  /** 1 at insert, 1 more at each committed update. */
  readonly _version: number;
  /** Milliseconds since 1970. */
  readonly _createdAt: number;
  /** Milliseconds since 1970. */
  readonly _updatedAt: number;
  /** Milliseconds since 1970, in a bucket with a time to live. */
  readonly _expiresAt?: number;
}

/** A record's own fields, as they are read. */
export type Fields<T> = { [F in keyof T]: Plain<T[F]> };

/** A record as it is read. */
export type Stored<T> = Fields<T> & Metadata;

/** A record as it is inserted: generated fields may be left out. */
export type Insert<T> = Flat<
  Omit<Fields<T>, GeneratedFields<T>> & Partial<Pick<Fields<T>, GeneratedFields<T>>>
>;

type Flat<T> = { [F in keyof T]: T[F] };

/** The fields that an update changes; the others stay. */
export type Merge<T> = { [F in keyof T]?: Plain<T[F]> | null };

/** An update expression: `{$inc: {n: 1}}`, for servers that have them. */
export interface UpdateExpression {
  [operator: `$${string}`]: unknown;
}

/** What an update takes. */
export type Update<T> = Merge<T> | UpdateExpression;

/** The conditions on one field. */
export interface Operators<V> {
  $eq?: V | null;
  $ne?: V | null;
  $gt?: V;
  $gte?: V;
  $lt?: V;
  $lte?: V;
  $between?: [V, V];
  $in?: (V | null)[];
  $nin?: (V | null)[];
  $contains?: unknown;
  $startsWith?: string;
  $endsWith?: string;
  $regex?: string;
  $options?: string;
  $exists?: boolean;
  $type?: string | string[];
  $size?: number;
  $mod?: [number, number];
  $all?: unknown[];
  $elemMatch?: Record<string, unknown>;
  $not?: Operators<V>;
  [operator: `$${string}`]: unknown;
}

type Element<V> = V extends readonly (infer E)[] ? E : never;

/** A value, or conditions; a value also matches an array that has it. */
export type Condition<V> = V | Element<V> | null | Operators<V>;

/** Which records: all conditions must hold. Dotted paths go into objects. */
export type Filter<T> = {
  [F in keyof T]?: Condition<Plain<T[F]>>;
} & {
  $and?: Filter<T>[];
  $or?: Filter<T>[];
  $nor?: Filter<T>[];
  $not?: Filter<T>;
  $expr?: unknown;
  [path: `${string}.${string}`]: unknown;
} & { [F in keyof Metadata]?: Condition<Metadata[F]> };

/** `'name'`, `'-age'`, several of them, or `{age: 'desc', name: 'asc'}`. */
export type Sort<T> =
  | SortField<T>
  | SortField<T>[]
  | Partial<Record<(keyof T & string) | keyof Metadata, 'asc' | 'desc' | 1 | -1>>;

type Named<T> = (keyof T & string) | keyof Metadata;
type SortField<T> = Named<T> | `-${Named<T>}` | `${string}.${string}`;

/** What reads take besides a filter. */
export interface ReadOptions<T> {
  sort?: Sort<T>;
  /** 0 is no limit. */
  limit?: number;
  offset?: number;
}

/** One page of records. */
export interface Page<R> {
  records: R[];
  hasMore: boolean;
  /** What `after` takes to go on; opaque. */
  nextCursor?: unknown;
}

/** What is computed over a group of records. */
export interface Aggregate {
  function: 'count' | 'sum' | 'avg' | 'min' | 'max';
  field?: string;
}

/**
 * A value computed of a document: `'$field'`, `'$$variable'`, `{$operator: …}`, or
 * itself. The operators are in `docs/protocol.md`.
 */
export type Expression = Json | readonly Expression[] | { readonly [field: string]: Expression };

/** Which documents of a pipeline, whatever it has made of them by then. */
export type DocumentFilter = Filter<Record<string, unknown>>;

/** One stage of a pipeline; what each does is in `docs/protocol.md`. */
export type Stage =
  | { $match: DocumentFilter }
  | { $project: Record<string, Expression> }
  | { $addFields: Record<string, Expression> }
  | { $set: Record<string, Expression> }
  | { $unset: string | string[] }
  | { $replaceRoot: { newRoot: Expression } }
  | { $replaceWith: Expression }
  | { $group: Group }
  | { $sort: Record<string, 1 | -1> }
  | { $sortByCount: Expression }
  | { $limit: number }
  | { $skip: number }
  | { $unwind: string | { path: string; includeArrayIndex?: string; preserveNullAndEmptyArrays?: boolean } }
  | { $count: string }
  | { $lookup: Lookup }
  | { $facet: Record<string, Stage[]> };

/** By what to group (`_id`), and what to compute of each group: `{$sum: '$n'}`. */
export type Group = { _id: Expression } & { [name: string]: Expression };

/** The documents of another bucket that belong to each one. */
export interface Lookup {
  from: string;
  localField?: string;
  foreignField?: string;
  let?: Record<string, Expression>;
  pipeline?: Stage[];
  as: string;
}

/** Bucket → the type of its records. */
export type SchemaMap = object;

/** The names of the buckets. */
export type BucketName<S extends SchemaMap> = keyof S & string;

/** How durable a commit is when it is answered. */
export type Durability = 'sync' | 'buffered';

/** Which anomalies a transaction admits; see `docs/isolation.md`. */
export type Isolation = 'read committed' | 'snapshot' | 'serializable';

/** What happened to a record. */
export type ChangeType = 'insert' | 'update' | 'delete';

/** The net change of one record in one commit. */
export interface Change<S extends SchemaMap, B extends BucketName<S> = BucketName<S>> {
  type: ChangeType;
  bucket: B;
  key: Key;
  /** The record before; not of an insert. */
  before?: Stored<S[B]>;
  /** The record after; not of a delete. */
  after?: Stored<S[B]>;
  /**
   * It is still there, but no longer matches the subscription's filter: for who
   * keeps the records that match, it has gone.
   */
  left?: true;
}

/** A bucket's definition; see `docs/protocol.md`. */
export interface BucketConfig {
  key: string;
  schema: Record<string, FieldConfig>;
  indexes?: (string | IndexConfig)[];
  ttl?: number | string;
  maxSize?: number;
  etsType?: 'set' | 'ordered_set' | 'bag' | 'duplicate_bag';
}

/** A field's definition. */
export interface FieldConfig {
  type?: 'string' | 'number' | 'boolean' | 'object' | 'array' | 'date';
  required?: boolean;
  default?: unknown;
  generated?: 'uuid' | 'cuid' | 'autoincrement' | 'timestamp';
  enum?: unknown[];
  format?: 'email' | 'url' | 'iso-date';
  min?: number;
  max?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  unique?: boolean;
  ref?: string;
  onDelete?: 'restrict' | 'cascade' | 'set_null';
  properties?: Record<string, FieldConfig>;
  items?: FieldConfig;
}

/** An index's definition. */
export interface IndexConfig {
  name?: string;
  fields: string[];
  unique?: boolean;
  multi?: boolean;
  filter?: Record<string, unknown>;
}

/** What a server says of an index. */
export interface IndexInfo {
  name: string;
  fields: string[];
  unique: boolean;
  multi: boolean;
  filter?: Record<string, unknown>;
  state: 'building' | 'ready';
  progress: number;
  entries: number;
  approximate: boolean;
}

/** A stored query's definition. */
export interface QueryConfig {
  bucket: string;
  filter?: Record<string, unknown>;
  sort?: unknown;
  limit?: number;
  offset?: number;
  fields?: string[];
  aggregate?: Aggregate & { groupBy?: string | string[] };
}

/** What `check` has compared and found. */
export interface CheckReport {
  revision: number;
  buckets: number;
  rows: number;
  entries: number;
  missing: number;
  dangling: number;
  wrongCounts: number;
  repaired: number;
  problems: unknown[];
}
