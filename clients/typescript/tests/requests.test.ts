import { expect, test } from 'vitest';
import type { Stage } from '../src/index.js';
import { open, type Schema } from './support/client.js';
import { config, Server } from './support/server.js';

async function demo() {
  const server = await Server.start();
  return open(server.url);
}

const ids = (records: { id?: unknown }[]) => records.map((record) => record.id);

test('records are written', async () => {
  const items = (await demo()).bucket('items');
  expect(await items.insert({ id: 1, n: 5 })).toMatchObject({ id: 1, n: 5, _version: 1 });
  expect(ids(await items.insertMany([{ id: 2, n: 7 }, { id: 3 }]))).toEqual([2, 3]);
  expect((await items.update(1, { n: 6 }))._version).toBe(2);
  expect((await items.update(1, { n: 7 }, { expectedVersion: 2 }))._version).toBe(3);
  expect(await items.updateMany({ n: 7 }, { group: 'a' })).toBe(2);
  expect(await items.replace(1, { n: 8 })).not.toHaveProperty('group');
  expect((await items.upsert({ id: 4, n: 1 }))._version).toBe(1);
  expect((await items.upsert({ id: 4, n: 2 }, { expectedVersion: 1 }))._version).toBe(2);
  await items.delete(4, { expectedVersion: 2 });
  await items.delete(4);
  expect(await items.deleteMany({ n: { $gte: 8 } })).toBe(1);
  expect(await items.count()).toBe(2);
  await items.clear();
  expect(await items.count()).toBe(0);
});

test('records are read', async () => {
  const items = (await demo()).bucket('items');
  const record = (id: number) => ({ id, n: id % 4, group: id % 2 ? 'odd' : 'even' });
  await items.insertMany(Array.from({ length: 10 }, (_, id) => record(id)));
  expect(await items.get(3)).toMatchObject(record(3));
  expect(await items.get(30)).toBeNull();
  expect(ids(await items.find({ n: { $in: [1, 3] } }, { sort: ['-n', 'id'] }))).toEqual([
    3, 7, 1, 5, 9,
  ]);
  expect(ids(await items.find({ group: 'odd' }, { limit: 2, offset: 1 }))).toEqual([3, 5]);
  expect(ids(await items.find({ $or: [{ id: 1 }, { id: { $gt: 8 } }] }))).toEqual([1, 9]);
  expect(await items.select(['id'], { n: 0 })).toEqual([{ id: 0 }, { id: 4 }, { id: 8 }]);
  expect((await items.findOne({ n: 3 }, { sort: { id: 'desc' } }))?.id).toBe(7);
  expect(await items.findOne({ n: 9 })).toBeNull();
  expect(await items.count({ group: 'odd' })).toBe(5);
  expect(ids(await items.first(2))).toEqual([0, 1]);
  expect(ids(await items.last(2, { group: 'odd' }))).toEqual([7, 9]);
  expect(await items.sum('n')).toBe(13);
  expect(await items.avg('n', { group: 'odd' })).toBe(1.8);
  expect(await items.min('n', { group: 'odd' })).toBe(1);
  expect(await items.max('none')).toBeNull();
  expect(await items.groupBy('group', { function: 'sum', field: 'n' })).toEqual([
    { key: { group: 'even' }, value: 4 },
    { key: { group: 'odd' }, value: 9 },
  ]);
  expect((await items.explain({ id: 1 })).rowsReturned).toBe(1);
});

test('a pipeline answers its documents, also inside a transaction', async () => {
  const client = await demo();
  const items = client.bucket('items');
  await items.insertMany([{ id: 1, n: 2, group: 'a' }, { id: 2, n: 3, group: 'a' }, { id: 3, n: 5 }]);
  const pipeline: Stage[] = [
    { $match: { n: { $gt: 1 } } },
    { $group: { _id: '$group', count: { $sum: 1 }, most: { $max: { $multiply: ['$n', 10] } } } },
    { $sort: { count: -1 } },
  ];
  const of = (id: string | null, count: number, most: number) => ({ _id: id, count, most });
  const read = await items.aggregate<{ _id: string | null; count: number; most: number }>(pipeline);
  expect(read).toEqual([of('a', 2, 30), of(null, 1, 50)]);
  await client.transaction(async (tx) => {
    await tx.bucket('items').delete(1);
    expect(await tx.bucket('items').aggregate(pipeline)).toEqual([of(null, 1, 50), of('a', 1, 30)]);
  });
});

test('a cursor goes through all records, page by page', async () => {
  const items = (await demo()).bucket('items');
  await items.insertMany(Array.from({ length: 25 }, (_, id) => ({ id, n: 25 - id })));
  const page = await items.page(10, { sort: 'n' });
  expect(page.hasMore).toBe(true);
  const next = await items.page(10, { sort: 'n', after: page.nextCursor });
  expect(ids(next.records)[0]).toBe(14);
  const seen = [];
  for await (const { id } of items.each({ n: { $gt: 5 } }, { sort: '-n', pageSize: 3 })) {
    seen.push(id);
    // What is written meanwhile does not disturb it.
    if (id === 7) await items.delete(12);
  }
  const rest = Array.from({ length: 20 }, (_, id) => id).filter((id) => id !== 12);
  expect(seen).toEqual(rest);
  for await (const { id } of items.each()) if (id === 3) break;
});

test('a batch is one transaction, carried out once', async () => {
  const client = await demo();
  const operations = [
    { op: 'insert', bucket: 'items', data: { id: 1, n: 1 } },
    { op: 'update', bucket: 'items', key: 1, data: { n: 2 }, expectedVersion: 1 },
    { op: 'get', bucket: 'items', key: 1 },
    { op: 'where', bucket: 'items', filter: { n: 2 } },
    { op: 'count', bucket: 'items' },
    { op: 'delete', bucket: 'items', key: 9 },
  ] satisfies Parameters<typeof client.batch>[0];
  const first = await client.batch(operations, { idempotencyKey: 'k', isolation: 'snapshot' });
  expect(first.results[2]).toMatchObject({ id: 1, n: 2 });
  expect(first.results[4]).toBe(1);
  const again = await client.batch(operations, { idempotencyKey: 'k' });
  expect(again.revision).toBe(first.revision);
});

test('buckets, indexes and queries are defined', async () => {
  interface More extends Schema {
    more: { id: string; x?: number };
  }
  const server = await Server.start(config());
  const client = await open<More>(server.url);
  await client.defineBucket('more', { key: 'id', schema: { id: { type: 'string' } } });
  await client.updateBucket('more', { addFields: { x: { type: 'number' } } });
  expect(await client.buckets()).toEqual(['items', 'more']);
  const more = client.bucket('more');
  expect((await more.config()).schema.x?.type).toBe('number');
  expect(await more.createIndex({ name: 'by-x', fields: ['x'] })).toEqual({
    name: 'by-x',
    state: 'ready',
  });
  expect((await more.indexes()).map(({ name }) => name)).toContain('by-x');
  await more.dropIndex('by-x');
  await client.defineQuery('q', { bucket: 'more', aggregate: { function: 'count' } });
  expect((await client.queries()).map(({ name }) => name)).toContain('q');
  await client.undefineQuery('q');
  expect(await client.check({ bucket: 'more' })).toMatchObject({ missing: 0, dangling: 0 });
  await client.dropBucket('more');
  expect(await client.buckets()).toEqual(['items']);
  expect(await client.stats()).toMatchObject({ connectionCount: 1 });
});

test('requests are pipelined and answered each for itself', async () => {
  const items = (await demo()).bucket('items');
  const numbers = Array.from({ length: 300 }, (_, id) => id);
  await Promise.all(numbers.map((id) => items.insert({ id })));
  const read = await Promise.all(numbers.map((id) => items.get(id)));
  expect(read.map((record) => record?.id)).toEqual(numbers);
});
