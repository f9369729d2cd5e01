import type { Door } from './bucket.js';

/** A value of SQL. Booleans are 1 and 0, arrays and objects their JSON text. */
export type SqlValue = string | number | null;

/** The parameters of a statement: a list for `?`, an object for `:name`. */
export type SqlParameters = unknown[] | Record<string, unknown>;

/** What a statement answers. */
export interface SqlAnswer<Row extends unknown[] = SqlValue[]> {
  /** Its columns with their declared types; null for an expression. */
  columns: { name: string; type: string | null }[];
  rows: Row[];
  /** How many records it inserted, updated or deleted. */
  changes: number;
  /** The key of the record that it inserted last. */
  lastKey?: string | number;
}

export async function sql<Row extends unknown[]>(
  door: Door,
  text: string,
  params?: SqlParameters,
): Promise<SqlAnswer<Row>> {
  return (await door.request('sql.execute', { sql: text, params })) as SqlAnswer<Row>;
}
