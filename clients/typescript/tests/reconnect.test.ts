import { expect, test } from 'vitest';
import { TandemClient, type WebSocketConstructor } from '../src/index.js';
import { failure, open, quick, type Schema, statusAfter, until, Watched } from './support/client.js';
import { Network } from './support/network.js';
import { afterTest, config, Server } from './support/server.js';

test('requests wait for the next connection', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const client = await open(network.url);
  for (let id = 0; id < 5; id++) {
    network.leadsTo(undefined);
    network.cut();
    await statusAfter(client, 'connected');
    const waiting = client.bucket('items').insert({ id });
    network.leadsTo(server);
    expect(await waiting).toMatchObject({ id });
  }
});

test('they do not wait for ever', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const client = await open(network.url, { requestWaitMs: 20 });
  network.leadsTo(undefined);
  network.cut();
  await statusAfter(client, 'connected');
  const error = await failure(client.bucket('items').insert({ id: 1 }));
  expect(error).toMatchObject({ code: 'CONNECTION_LOST', outcome: 'nothing', retryable: false });
  network.leadsTo(server);
  await client.ready();
  expect(await client.bucket('items').get(1)).toBeNull();
});

test('a read is sent again and a write is not', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const [client, other] = [await open(network.url), await open(server.url)];
  network.weather = 'loses answers';
  const write = failure(client.bucket('items').insert({ id: 1 }));
  const read = client.bucket('items').count();
  await until(() => network.lost > 0);
  expect(await other.bucket('items').get(1)).not.toBeNull();
  network.weather = 'fine';
  network.cut();
  // It may have happened, and it has.
  expect(await write).toMatchObject({
    code: 'CONNECTION_LOST',
    outcome: 'unknown',
    retryable: false,
  });
  expect(await read).toBe(1);
});

// A restarted server gives its handles anew: the old one may name a transaction
// of somebody else's.
test('a transaction of a lost connection touches no other', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const client = await open(network.url);
  const lost = await client.begin();
  network.leadsTo(undefined);
  await server.kill();
  await statusAfter(client, 'connected');
  await server.start();
  network.leadsTo(server);
  const begun = await client.begin();
  const error = await failure(lost.bucket('items').insert({ id: 1 }));
  expect(error).toMatchObject({ code: 'CONNECTION_LOST', outcome: 'nothing', retryable: true });
  expect(await failure(lost.commit())).toMatchObject({ outcome: 'nothing', retryable: true });
  await failure(lost.rollback());
  expect((await begun.commit()).changes).toBe(0);
  expect(await client.bucket('items').get(1)).toBeNull();
});

test('everything goes on after the server was killed and started again', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const client = await open(network.url);
  const changes = await client.changes({ bucket: 'items' });
  const query = await client.subscribe<{ id: number }[]>('all');
  for (let round = 0; round < 3; round++) {
    await client.bucket('items').insert({ id: round * 2 });
    network.leadsTo(undefined);
    await server.kill();
    await statusAfter(client, 'connected');
    await server.start();
    // Before the client is back: the change log tells it.
    await (await open(server.url)).bucket('items').insert({ id: round * 2 + 1 });
    network.leadsTo(server);
    await client.ready();
  }
  const keys: unknown[] = [];
  for await (const event of changes) {
    if (event.type === 'commit') keys.push(...event.changes.map(({ key }) => key));
    if (keys.length === 6) break;
  }
  expect(keys).toEqual([0, 1, 2, 3, 4, 5]);
  let newest: unknown;
  await until(async () => {
    const { value } = await query.next();
    newest = value.type === 'result' && value.result;
    return (newest as unknown[]).length === 6;
  });
  // Leaving the loop has ended the subscription.
  await until(async () => {
    const { connections } = (await client.stats()) as any;
    return connections.totalStoreSubscriptions === 1;
  });
});

test('a client waits for a server that is not there yet', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  network.leadsTo(undefined);
  const client = new TandemClient<Schema>(network.url, quick);
  afterTest(() => client.close());
  const statuses: string[] = [];
  const stop = client.onStatus((status) => statuses.push(status));
  const early = client.bucket('items').insert({ id: 1 });
  network.leadsTo(server);
  await client.ready();
  expect(await early).toMatchObject({ id: 1 });
  client.close();
  expect(statuses).toEqual(['connecting', 'connected', 'closed'].slice(-2));
  stop();
});

test('heartbeats are answered', async () => {
  // A second ping comes only after the first pong.
  const server = await Server.start(config({ heartbeat: { intervalMs: 10, timeoutMs: 30_000 } }));
  const WebSocket = Watched as unknown as WebSocketConstructor;
  const client = await open(server.url, { WebSocket });
  const socket = Watched.all.at(-1)!;
  const pings = () => socket.received.filter((frame) => frame.includes('"ping"')).length;
  await until(() => pings() >= 5);
  expect(client.status).toBe('connected');
  expect(Watched.all.at(-1)).toBe(socket);
});

test('a server that is silent is given up', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const client = await open(network.url, { silenceMs: 100 });
  network.weather = 'silent';
  const waiting = client.bucket('items').count();
  await statusAfter(client, 'connected');
  network.weather = 'fine';
  network.cut();
  expect(await waiting).toBe(0);
});

test('a server that stops tells its clients, who come back', async () => {
  const server = await Server.start();
  const network = await Network.to(server);
  const client = await open(network.url);
  network.leadsTo(undefined);
  await server.kill('SIGTERM');
  await statusAfter(client, 'connected');
  await server.start();
  network.leadsTo(server);
  await client.ready();
  expect(await client.buckets()).toEqual(['items']);
});
