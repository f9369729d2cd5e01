import { expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import type { ChangeEvent, WebSocketConstructor } from '../src/index.js';
import { failure, open, type Schema, until, Watched } from './support/client.js';
import { Network } from './support/network.js';
import { afterTest, config, Server } from './support/server.js';

/** The next commits: their changes' keys. */
async function commits(
  changes: AsyncIterator<ChangeEvent<Schema>>,
  count: number,
): Promise<unknown[][]> {
  const keys: unknown[][] = [];
  while (keys.length < count) {
    const { value, done } = await changes.next();
    if (done) throw new Error('it has ended');
    if (value.type === 'commit') keys.push(value.changes.map((change: { key: unknown }) => change.key));
    else if (value.type !== 'progress') throw new Error(`unexpected: ${JSON.stringify(value)}`);
  }
  return keys;
}

test('a query gives its result, and every new one', async () => {
  const server = await Server.start();
  const client = await open(server.url);
  const query = await client.subscribe<{ id: number }[]>('all');
  expect((await query.next()).value).toEqual({ type: 'result', result: [] });
  await client.bucket('items').insert({ id: 1, n: 1 });
  expect((await query.next()).value).toEqual({ type: 'result', result: [{ id: 1, n: 1 }] });
  // Of those that wait, only the newest is kept.
  for (let id = 2; id <= 30; id++) await client.bucket('items').insert({ id, n: id });
  await client.buckets();
  const { value } = await query.next();
  expect(value.type === 'result' && value.result.length).toBe(30);
  await client.dropBucket('items');
  expect((await query.next()).value).toEqual({ type: 'ended', reason: 'bucket_dropped' });
  expect((await query.next()).done).toBe(true);
});

test('parameters are part of a subscription', async () => {
  const server = await Server.start();
  const client = await open(server.url);
  await client.defineQuery('at-least', {
    bucket: 'items',
    filter: { n: { $gte: '{{ params.n }}' } },
    aggregate: { function: 'count' },
  });
  await client.bucket('items').insertMany([{ id: 1, n: 1 }, { id: 2, n: 5 }]);
  const query = await client.subscribe<number>('at-least', { n: 3 });
  expect((await query.next()).value).toEqual({ type: 'result', result: 1 });
  query.close();
  expect((await query.next()).done).toBe(true);
});

test('changes come commit by commit, with before and after', async () => {
  const server = await Server.start();
  const client = await open(server.url);
  const changes = await client.changes({ bucket: 'items', filter: { n: { $lt: 100 } } });
  const start = changes.revision!;
  await client.transaction(async (tx) => {
    await tx.bucket('items').insert({ id: 1, n: 1 });
    await tx.bucket('items').insert({ id: 2, n: 200 });
    await tx.bucket('items').insert({ id: 3, n: 3 });
  });
  await client.bucket('items').update(1, { n: 2 });
  await client.bucket('items').delete(1);
  const iterator = changes[Symbol.asyncIterator]();
  expect(await commits(iterator, 1)).toEqual([[1, 3]]);
  const update = (await iterator.next()).value;
  if (update.type !== 'commit') throw new Error('a commit');
  expect(update.revision).toBeGreaterThan(start);
  expect(update.changes[0]).toMatchObject({ type: 'update', before: { n: 1 }, after: { n: 2 } });
  const remove = (await iterator.next()).value;
  expect(remove.type === 'commit' && remove.changes[0]).not.toHaveProperty('after');
  // Once more from the start.
  const again = await client.changes({ bucket: 'items', from: start });
  expect(await commits(again[Symbol.asyncIterator](), 3)).toEqual([[1, 2, 3], [1], [1]]);
  const gone = await client.changes({ topic: 'bucket.*.deleted', from: start });
  expect(await commits(gone[Symbol.asyncIterator](), 1)).toEqual([[1]]);
  await client.dropBucket('items');
  expect((await iterator.next()).value).toMatchObject({ type: 'bucketDropped', bucket: 'items' });
  expect((await failure(client.changes({ bucket: 'none' as never }))).code).toBe(
    'BUCKET_NOT_DEFINED',
  );
});

test('the records that there are may come first', async () => {
  const server = await Server.start();
  const client = await open(server.url);
  await client.bucket('items').insertMany([{ id: 1, n: 1 }, { id: 2, n: 200 }]);
  const filter = { n: { $lt: 100 } };
  const changes = await client.changes({ bucket: 'items', filter, includeInitial: true });
  await client.bucket('items').insert({ id: 3, n: 3 });
  const events: ChangeEvent<Schema>[] = [];
  for await (const event of changes) {
    events.push(event);
    if (event.type === 'commit') break;
  }
  const initial = events.filter((event) => event.type === 'initial');
  expect(initial.flatMap((event) => event.changes.map(({ key }) => key))).toEqual([1]);
  expect(initial.map(({ last }) => last).indexOf(true)).toBe(initial.length - 1);
  expect(events.at(-1)).toMatchObject({ type: 'commit', changes: [{ key: 3 }] });
  const both = client.changes({ from: 1, includeInitial: true });
  expect((await failure(both)).code).toBe('VALIDATION_ERROR');
});

test('a lost connection loses no commit and repeats none', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const [client, writer] = [await open(network.url), await open(server.url)];
  const changes = (await client.changes({ bucket: 'items' }))[Symbol.asyncIterator]();
  const writing = (async () => {
    for (let id = 0; id < 150; id++) await writer.bucket('items').insert({ id });
  })();
  const keys: unknown[] = [];
  for (let id = 0; id < 150; id++) {
    if (id % 20 === 7) network.cut();
    keys.push(...(await commits(changes, 1)).flat());
  }
  await writing;
  expect(keys).toEqual(Array.from({ length: 150 }, (_, id) => id));
});

test('a slow reader is bounded and misses nothing', async () => {
  const server = await Server.start();
  const client = await open(server.url, { bufferedEvents: 4 });
  const changes = (await client.changes({ bucket: 'items' }))[Symbol.asyncIterator]();
  for (let id = 0; id < 100; id++) await client.bucket('items').insert({ id });
  // The server holds no subscription for it meanwhile.
  await until(async () => ((await client.stats()) as any).connections.totalStoreSubscriptions === 0);
  expect((await commits(changes, 100)).flat()).toEqual(Array.from({ length: 100 }, (_, id) => id));
});

// The client's process does not read its socket. The server holds a bounded
// amount for it, then cuts its subscriptions; they go on where they were.
test('back-pressure cuts the subscriptions, and they go on', async () => {
  const server = await Server.start(
    config({ backpressure: { maxBufferedBytes: 65_536, highWaterMark: 0.5 } }),
  );
  const writer = await open(server.url);
  await writer.defineQuery('whole', { bucket: 'items', sort: 'id' });
  const WebSocket = Watched as unknown as WebSocketConstructor;
  const client = await open(server.url, { WebSocket });
  const socket = Watched.all.at(-1)!;
  const changes = (await client.changes({ bucket: 'items' }))[Symbol.asyncIterator]();
  const query = await client.subscribe<{ id: number }[]>('whole');
  socket.pause();
  const group = 'x'.repeat(500_000);
  let written = 0;
  while ((await server.metric('tandem_resyncs_total')) === 0) {
    await writer.bucket('items').insert({ id: written++, group });
  }
  socket.resume();
  const keys = (await commits(changes, written)).flat();
  expect(keys).toEqual(Array.from({ length: written }, (_, id) => id));
  const cut = (frame: string) => frame.includes('"resync"');
  await until(() => socket.received.some(cut));
  await writer.bucket('items').insert({ id: written });
  expect(await commits(changes, 1)).toEqual([[written]]);
  await until(async () => {
    const { value } = await query.next();
    return value.type === 'result' && value.result.length === written + 1;
  });
});

/** A server that answers what it is told to. */
function scripted(answer: (request: any, send: (frame: object) => void) => object): string {
  const server = new WebSocketServer({ port: 0 });
  afterTest(() => server.close());
  server.on('connection', (socket) => {
    socket.send(JSON.stringify({ type: 'welcome', version: '1.0.0' }));
    socket.on('message', (text) => {
      const request = JSON.parse(String(text));
      const send = (frame: object) => socket.send(JSON.stringify(frame));
      send({ id: request.id, ...answer(request, send) });
      if (request.type === 'test.cut') socket.terminate();
    });
  });
  return `ws://127.0.0.1:${(server.address() as { port: number }).port}/`;
}

// Once the creator was told that there is no connection, though the next one was
// on its way.
test('a subscription that is asked for as the connection is lost is asked for again', async () => {
  const server = new WebSocketServer({ port: 0 });
  afterTest(() => server.close());
  let asked = 0;
  server.on('connection', (socket) => {
    socket.send(JSON.stringify({ type: 'welcome', version: '1.0.0' }));
    socket.on('message', (text) => {
      const { id } = JSON.parse(String(text));
      asked += 1;
      if (asked === 1) return socket.terminate();
      const data = { subscriptionId: 'sub-1', revision: 5 };
      socket.send(JSON.stringify({ id, type: 'result', data }));
    });
  });
  const client = await open(`ws://127.0.0.1:${(server.address() as { port: number }).port}/`);
  expect((await client.changes()).revision).toBe(5);
  expect(asked).toBe(2);
});

test('a change log that does not reach back is a typed event', async () => {
  const asked: unknown[] = [];
  const client = await open(
    scripted(({ type, from }) => {
      if (type !== 'store.subscribeChanges') return { type: 'result', data: {} };
      asked.push(from);
      return asked.length === 2
        ? { type: 'error', code: 'RESYNC_REQUIRED', message: 'm', retryable: false }
        : { type: 'result', data: { subscriptionId: 'sub-1', revision: asked.length * 10 } };
    }),
  );
  const changes = await client.changes();
  await client.request('test.cut').catch(() => {});
  expect((await changes.next()).value).toEqual({ type: 'resync', revision: 30 });
  expect(asked).toEqual([undefined, 10, undefined]);
  expect(changes.revision).toBe(30);
});

test('initial records that break off come again', async () => {
  const asked: unknown[] = [];
  const push = (data: object) => ({ type: 'push', channel: 'changes', subscriptionId: 's', data });
  const insert = (key: number) => [{ type: 'insert', bucket: 'items', key, after: { id: key } }];
  const url = scripted(({ type, from, includeInitial }, send) => {
    if (type !== 'store.subscribeChanges') return { type: 'result', data: {} };
    asked.push({ from, includeInitial });
    const revision = asked.length * 10;
    const last = asked.length !== 1;
    const refused = asked.length === 3;
    if (refused) return { type: 'error', code: 'RESYNC_REQUIRED', message: 'm', retryable: false };
    setImmediate(() => send(push({ initial: true, revision, changes: insert(revision), last })));
    return { type: 'result', data: { subscriptionId: 's', revision } };
  });
  const client = await open(url);
  const changes = await client.changes({ includeInitial: true });
  const initial = (key: number, last: boolean) =>
    ({ type: 'initial', revision: key, changes: insert(key), last });
  expect((await changes.next()).value).toEqual(initial(10, false));
  expect(changes.revision).toBeUndefined();
  await client.request('test.cut').catch(() => {});
  expect((await changes.next()).value).toEqual({ type: 'resync', revision: 20 });
  expect((await changes.next()).value).toEqual(initial(20, true));
  expect(changes.revision).toBe(20);
  // Refused to go on from there: everything once more.
  await client.request('test.cut').catch(() => {});
  expect((await changes.next()).value).toEqual({ type: 'resync', revision: 40 });
  expect((await changes.next()).value).toEqual(initial(40, true));
  const [first, position] = [{ includeInitial: true }, { from: 20 }];
  expect(asked).toEqual([first, first, position, first]);
});

test('a subscription that cannot be resumed says why', async () => {
  let asked = 0;
  const client = await open(
    scripted(({ type }) => {
      if (!type.startsWith('store.subscribe')) return { type: 'result', data: {} };
      asked += 1;
      return asked <= 2
        ? { type: 'result', data: { subscriptionId: `sub-${asked}`, revision: 1, data: [] } }
        : { type: 'error', code: 'BUCKET_NOT_DEFINED', message: 'm', retryable: false };
    }),
  );
  const [changes, query] = [await client.changes(), await client.subscribe('all')];
  await query.next();
  await client.request('test.cut').catch(() => {});
  for (const following of [changes, query]) {
    expect((await following.next()).value).toMatchObject({
      type: 'ended',
      error: { code: 'BUCKET_NOT_DEFINED' },
    });
    expect((await following.next()).done).toBe(true);
  }
});
