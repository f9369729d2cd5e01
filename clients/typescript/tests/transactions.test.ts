import { expect, test } from 'vitest';
import type { TandemClient, Transaction } from '../src/index.js';
import { failure, open, type Schema, until } from './support/client.js';
import { Network } from './support/network.js';
import { Server } from './support/server.js';

/** Adds one to the number of the record 0. */
async function increment(tx: Transaction<Schema>): Promise<number> {
  const items = tx.bucket('items');
  const n = ((await items.get(0))?.n ?? 0) + 1;
  await items.upsert({ id: 0, n });
  return n;
}

async function counted(client: TandemClient<Schema>): Promise<number> {
  return (await client.bucket('items').get(0))?.n ?? 0;
}

test('two clients that conflict both succeed in the end', async () => {
  const server = await Server.start();
  const clients = [await open(server.url), await open(server.url)] as const;
  let attempts = 0;
  let readers = 0;
  const add = (client: TandemClient<Schema>) =>
    client.transaction(async (tx) => {
      attempts += 1;
      await tx.bucket('items').get(0);
      readers += 1;
      // Both have read before either writes: one of them has to be run again.
      await until(() => readers >= 2);
      return increment(tx);
    });
  const seen = await Promise.all(clients.map(add));
  expect(seen.sort()).toEqual([1, 2]);
  expect(attempts).toBe(3);
  expect(await counted(clients[0])).toBe(2);
});

test('attempts are bounded, and only retryable errors are run again', async () => {
  const server = await Server.start();
  const [client, other] = [await open(server.url), await open(server.url)];
  await client.bucket('items').insert({ id: 0, n: 0 });
  let made = 0;
  const always = client.transaction(
    async (tx) => {
      made += 1;
      await tx.bucket('items').get(0);
      await other.bucket('items').update(0, { group: 'x' });
      return increment(tx);
    },
    { retry: { attempts: 3 } },
  );
  expect(await failure(always)).toMatchObject({ code: 'CONFLICT', retryable: true });
  expect(made).toBe(3);

  made = 0;
  const taken = client.transaction(async (tx) => {
    made += 1;
    await tx.bucket('items').insert({ id: 0 });
  });
  expect(await failure(taken)).toMatchObject({ code: 'ALREADY_EXISTS' });
  expect(made).toBe(1);

  const own = new Error('sold out');
  const thrown = client.transaction(async (tx) => {
    await increment(tx);
    throw own;
  });
  expect(await failure(thrown)).toBe(own);
  expect(await counted(client)).toBe(0);
  expect(await client.stats()).toMatchObject({ transactions: { open: 0 } });
});

test('a conflict that the closure swallows is noticed at the commit', async () => {
  const server = await Server.start();
  const [client, other] = [await open(server.url), await open(server.url)];
  await client.bucket('items').insert({ id: 0, n: 0 });
  let made = 0;
  const n = await client.transaction(
    async (tx) => {
      made += 1;
      await tx.bucket('items').get(0);
      if (made === 1) await other.bucket('items').update(0, { n: 10 });
      return increment(tx).catch(() => -1);
    },
    { isolation: 'snapshot' },
  );
  expect([n, made]).toEqual([11, 2]);
});

test('savepoints, parts that may fail, and locks', async () => {
  const server = await Server.start();
  const [client, other] = [await open(server.url), await open(server.url)];
  const items = client.bucket('items');
  await items.insert({ id: 0, n: 0 });
  const receipt = await (async () => {
    const tx = await client.begin({ isolation: 'read committed', timeoutMs: 20_000 });
    expect(tx.isolation).toBe('read committed');
    const inside = tx.bucket('items');
    await inside.insert({ id: 1 });
    await tx.savepoint('s');
    await inside.insert({ id: 2 });
    await tx.rollbackTo('s');
    await inside.insert({ id: 3 });
    await tx.release('s');
    const refused = tx.attempt(async () => {
      await inside.insert({ id: 4 });
      await inside.insert({ id: 1 });
    });
    expect(await failure(refused)).toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(await tx.attempt(() => inside.insert({ id: 5 }))).toMatchObject({ id: 5 });
    expect(await inside.lock(0)).toMatchObject({ n: 0 });
    // Waits for the lock, and then adds to what it finds.
    const waiting = other.bucket('items').update(0, { group: 'later' });
    await inside.update(0, { n: 1 });
    const receipt = await tx.commit({ durability: 'buffered', idempotencyKey: 'k' });
    await waiting;
    return receipt;
  })();
  expect(receipt.changes).toBe(4);
  expect((await items.find()).map(({ id }) => id)).toEqual([0, 1, 3, 5]);
  expect(await items.get(0)).toMatchObject({ n: 1, group: 'later' });
});

test('a cursor inside a transaction sees its writes', async () => {
  const server = await Server.start();
  const client = await open(server.url);
  await client.bucket('items').insertMany([{ id: 1 }, { id: 2 }, { id: 3 }]);
  const seen = await client.transaction(async (tx) => {
    const items = tx.bucket('items');
    await items.delete(2);
    await items.insert({ id: 4 });
    const seen = [];
    for await (const { id } of items.each({}, { sort: 'id', pageSize: 2 })) seen.push(id);
    return seen;
  });
  expect(seen).toEqual([1, 3, 4]);
});

test('a commit whose answer is lost counts once', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const [client, watcher] = [await open(network.url), await open(server.url)];
  let made = 0;
  const transaction = client.transaction(async (tx) => {
    made += 1;
    const n = await increment(tx);
    // From here on answers are lost: that of the commit is the next.
    network.weather = 'loses answers';
    return n;
  });
  await until(() => network.lost > 0);
  expect(await counted(watcher)).toBe(1);
  network.weather = 'fine';
  network.cut();
  expect([await transaction, made]).toEqual([1, 1]);
  expect(await counted(client)).toBe(1);
});

test('a commit that is lost is made once', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const client = await open(network.url);
  let made = 0;
  const transaction = client.transaction(async (tx) => {
    made += 1;
    const n = await increment(tx);
    if (made === 1) network.weather = 'loses requests';
    return n;
  });
  await until(() => network.lost > 0);
  network.weather = 'fine';
  network.cut();
  expect([await transaction, made]).toEqual([1, 2]);
  expect(await counted(client)).toBe(1);
});

// Between two cuts each client gets on, so that none uses up its attempts.
test('what was counted is there however often the network is cut', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const clients = [await open(network.url), await open(network.url)];
  const each = 30;
  const done = clients.map(() => 0);
  let isDone = false;
  const work = Promise.all(
    clients.map(async (client, which) => {
      while (done[which]! < each) {
        await client.transaction(increment);
        done[which]! += 1;
      }
    }),
  ).finally(() => (isDone = true));
  const cuts = (async () => {
    for (let pieces = 0; !isDone; pieces++) {
      const before = [...done];
      await until(() => isDone || done.every((n, which) => n > before[which]! || n === each));
      const carried = network.carried + (pieces % 17);
      await until(() => isDone || network.carried >= carried);
      network.cut();
    }
  })();
  await Promise.all([work, cuts]);
  expect(await counted(await open(server.url))).toBe(2 * each);
});
