// What the types allow and refuse. Compiled by `npm run check`, never run.
import { expectTypeOf } from 'vitest';
import type { Generated, Insert, Stored, TandemClient } from '../src/index.js';

interface Schema {
  users: { id: Generated<string>; name: string; age?: number; tags: string[] };
  posts: { id: number; author: string };
}

declare const client: TandemClient<Schema>;

export async function whatMayBeWrittenAndWhatIsRead(): Promise<void> {
  const users = client.bucket('users');
  expectTypeOf(await users.get('a')).toEqualTypeOf<Stored<Schema['users']> | null>();
  expectTypeOf<Stored<Schema['users']>['id']>().toEqualTypeOf<string>();
  expectTypeOf<Insert<Schema['posts']>>().toEqualTypeOf<{ id: number; author: string }>();
  await users.insert({ name: 'a', tags: [] });
  await users.insert({ id: 'x', name: 'a', tags: [], age: 1 });
  // @ts-expect-error: a field is missing
  await users.insert({ name: 'a' });
  // @ts-expect-error: no such bucket
  client.bucket('nobody');
  // @ts-expect-error: the wrong type
  await users.update('a', { age: 'old' });
  await users.update('a', { age: null });
  await users.update('a', { $inc: { age: 1 } });
  await users.find({ age: { $gte: 3 }, tags: 'x', 'address.city': 'Rome', $or: [{ name: 'a' }] });
  // @ts-expect-error: the wrong type
  await users.find({ age: { $gte: 'x' } });
  // @ts-expect-error: no such field
  await users.find({ aeg: 3 });
  // @ts-expect-error: no such field
  await users.find({}, { sort: '-aeg' });
  expectTypeOf(await users.select(['name'])).toEqualTypeOf<{ name: string }[]>();
  const result = await client.transaction(async (tx) => (await tx.bucket('posts').get(1))?.author);
  expectTypeOf(result).toEqualTypeOf<string | undefined>();
  for await (const event of await client.changes({ bucket: 'posts' })) {
    if (event.type !== 'commit') continue;
    expectTypeOf(event.changes[0]!.after!.author).toEqualTypeOf<string>();
  }
  const live = await client.live('users', { age: { $gte: 3 }, $or: [{ name: 'a' }, { tags: 'x' }] });
  expectTypeOf(live.get('a')).toEqualTypeOf<Stored<Schema['users']> | undefined>();
  // @ts-expect-error: no such field
  await client.live('users', { aeg: { $gte: 3 } });
  const ages = await users.aggregate<{ _id: string; age: number }>([
    { $match: { tags: 'x', 'address.city': 'Rome' } },
    { $group: { _id: '$name', age: { $avg: '$age' } } },
    { $lookup: { from: 'posts', localField: '_id', foreignField: 'author', as: 'posts' } },
    { $facet: { some: [{ $limit: 3 }], all: [{ $count: 'n' }] } },
  ]);
  expectTypeOf(ages[0]!.age).toEqualTypeOf<number>();
  // @ts-expect-error: no such stage
  await users.aggregate([{ $mach: { name: 'a' } }]);
  // @ts-expect-error: the wrong operand
  await users.aggregate([{ $limit: '3' }]);
  // @ts-expect-error: nothing to group by
  await users.aggregate([{ $group: { n: { $sum: 1 } } }]);
  // @ts-expect-error: the wrong direction
  await users.aggregate([{ $sort: { age: 'desc' } }]);
  await client.batch([{ op: 'insert', bucket: 'posts', data: { id: 1, author: 'a' } }]);
  // @ts-expect-error: the data of another bucket
  await client.batch([{ op: 'insert', bucket: 'posts', data: { name: 'a' } }]);
}
