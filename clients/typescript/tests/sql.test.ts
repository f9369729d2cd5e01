import { expect, test } from 'vitest';
import { failure, open } from './support/client.js';
import { Server } from './support/server.js';

test('statements answer rows, changes and keys', async () => {
  const client = await open((await Server.start()).url);
  await client.sql('CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, done BOOLEAN)');
  const inserted = await client.sql('INSERT INTO notes (text, done) VALUES (?, ?)', ['milk', true]);
  expect(inserted).toEqual({ columns: [], rows: [], changes: 1, lastKey: 1 });
  const read = await client.sql<[number, string, number]>(
    'SELECT id, text, done FROM notes WHERE text = :text',
    { text: 'milk' },
  );
  expect(read.rows).toEqual([[1, 'milk', 1]]);
  expect(read.columns[1]).toEqual({ name: 'text', type: 'TEXT' });
  expect(await failure(client.sql('SELECT\n missing FROM notes'))).toMatchObject({
    code: 'SQL_ERROR',
    details: { line: 2, column: 2 },
  });
});

test('SQL and requests of a bucket are one transaction', async () => {
  const server = await Server.start();
  const [client, other] = [await open(server.url), await open(server.url)];
  const n = await client.transaction(async (tx) => {
    await tx.bucket('items').insert({ id: 1, n: 5 });
    const { rows } = await tx.sql<[number]>("SELECT _record ->> 'n' FROM items WHERE id = ?", [1]);
    expect((await other.sql('SELECT count(*) FROM items')).rows).toEqual([[0]]);
    expect(await failure(tx.sql('COMMIT'))).toMatchObject({ code: 'SQL_ERROR' });
    await tx.sql('DELETE FROM items WHERE id = 1');
    await tx.bucket('items').insert({ id: 2 });
    return rows[0]?.[0];
  });
  expect(n).toBe(5);
  expect((await other.bucket('items').find()).map(({ id }) => id)).toEqual([2]);
});
