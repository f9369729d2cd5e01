import { expect, test } from 'vitest';
import type { LiveCollection, LiveEvent } from '../src/index.js';
import { type Item, open, statusAfter, until } from './support/client.js';
import { Network } from './support/network.js';
import { Server } from './support/server.js';

const sorted = (live: LiveCollection<Item>) =>
  live.getSnapshot().map(({ id }) => id).sort((one, two) => one - two);

test('a live collection is what the bucket holds', async () => {
  const server = await Server.start();
  const [client, writer] = [await open(server.url), await open(server.url)];
  const items = writer.bucket('items');
  await items.insertMany([{ id: 1, n: 1 }, { id: 2, n: 2 }]);
  const live = await client.live('items');
  expect(sorted(live)).toEqual([1, 2]);
  const before = live.getSnapshot();
  expect(live.getSnapshot()).toBe(before);
  const events: LiveEvent<Item>[] = [];
  const stop = live.subscribe((event) => events.push(event));
  await writer.transaction(async (tx) => {
    await tx.bucket('items').delete(1);
    await tx.bucket('items').update(2, { n: 3 });
    await tx.bucket('items').insert({ id: 3 });
  });
  await until(() => events.length > 0);
  expect(events).toHaveLength(1);
  expect(events[0]).toMatchObject({
    type: 'commit',
    changes: [{ key: 1 }, { key: 2, before: { n: 2 }, after: { n: 3 } }, { key: 3 }],
  });
  expect(sorted(live)).toEqual([2, 3]);
  expect(live.getSnapshot()).not.toBe(before);
  expect(live.get(2)?.n).toBe(3);
  stop();
  let ended: LiveEvent<Item> | undefined;
  live.subscribe((event) => (ended = event));
  await writer.dropBucket('items');
  await until(() => live.size === 0);
  expect(ended).toBeDefined();
});

test('one with conditions follows what comes and goes', async () => {
  const server = await Server.start();
  const client = await open(server.url);
  const items = client.bucket('items');
  await items.insertMany([{ id: 1, group: 'a' }, { id: 2, group: 'b' }]);
  const live = await client.live('items', { group: 'a' });
  expect(sorted(live)).toEqual([1]);
  await items.update(2, { group: 'a' });
  await until(() => live.size === 2);
  await items.update(1, { group: 'b' });
  await until(() => live.size === 1);
  expect(sorted(live)).toEqual([2]);
  live.close();
});

test('the conditions are any that the server knows', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const [client, writer] = [await open(network.url), await open(server.url)];
  const items = writer.bucket('items');
  await items.insertMany([{ id: 1, n: 1 }, { id: 2, n: 5 }, { id: 3, n: 9, group: 'a' }]);
  const filter = { $or: [{ n: { $gte: 5, $lt: 9 } }, { group: { $regex: '^a' } }] };
  const live = await client.live('items', filter);
  expect(sorted(live)).toEqual([2, 3]);
  const events: LiveEvent<Item>[] = [];
  live.subscribe((event) => events.push(event));
  await items.update(1, { n: 6 });
  await items.update(2, { n: 4 });
  await until(() => events.length === 2);
  expect(sorted(live)).toEqual([1, 3]);
  const left = events[1]!;
  expect(left.type === 'commit' && left.changes).toMatchObject([{ key: 2, before: { n: 5 } }]);
  expect(left.type === 'commit' && left.changes[0]).not.toHaveProperty('after');
  // What happens while there is no connection is made up for.
  network.leadsTo(undefined);
  network.cut();
  await statusAfter(client, 'connected');
  await items.update(3, { group: 'b' });
  await items.update(2, { n: 7 });
  await items.delete(1);
  network.leadsTo(server);
  await until(() => live.get(1) === undefined);
  expect(sorted(live)).toEqual([2]);
  expect(sorted(live)).toEqual((await items.find(filter)).map(({ id }) => id));
  live.close();
});

// Many writers, many cuts: no commit falls between reading and following.
test('it has neither gap nor overlap, whenever it begins', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const [client, writer] = [await open(network.url), await open(server.url)];
  let isDone = false;
  const writing = (async () => {
    for (let n = 0; n < 200; n++) {
      const id = n % 10;
      if (n % 3 === 2) await writer.bucket('items').delete(id);
      else await writer.bucket('items').upsert({ id, n });
    }
    isDone = true;
  })();
  const started: LiveCollection<Item>[] = [];
  while (!isDone) {
    const live = await client.live('items');
    started.push(live);
    let last = live.revision;
    live.subscribe((event) => {
      if (event.type === 'commit') {
        for (const { before, after } of event.changes) {
          // Each change fits the state before it.
          if (before && after) expect(after._version).toBe(before._version + 1);
        }
        expect(event.revision).toBeGreaterThan(last);
        last = event.revision;
      }
    });
    if (started.length % 5 === 0) network.cut();
  }
  await writing;
  const stored = await writer.bucket('items').find();
  const byId = (one: { id: number }, two: { id: number }) => one.id - two.id;
  for (const live of started) {
    await until(() => JSON.stringify([...live.getSnapshot()].sort(byId)) === JSON.stringify([...stored].sort(byId)));
  }
});

test('it goes on after the server was killed and started again', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const client = await open(network.url);
  await client.bucket('items').insert({ id: 1 });
  const live = await client.live('items');
  network.leadsTo(undefined);
  await server.kill();
  await statusAfter(client, 'connected');
  expect(sorted(live)).toEqual([1]);
  await server.start();
  await (await open(server.url)).bucket('items').insert({ id: 2 });
  network.leadsTo(server);
  await until(() => live.size === 2);
});
