import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { ClosedError, connect, ERROR_CODES, isTandemError, ServerError } from '../src/index.js';
import { failure, open, quick } from './support/client.js';
import { afterTest, config, Server } from './support/server.js';

test('the codes are the documented ones', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../docs/errors.md'), 'utf8');
  const documented = [...text.matchAll(/^\| `([A-Z_]+)` \|/gm)].map((match) => match[1]);
  expect(ERROR_CODES).toEqual(documented);
});

interface Schema {
  users: { id: string; email?: string; age?: number };
  posts: { id: string; author?: string };
}

async function demo(more: Record<string, unknown> = {}) {
  const users = {
    key: 'id',
    schema: {
      id: { type: 'string' },
      email: { type: 'string', unique: true },
      age: { type: 'number', min: 0 },
    },
  };
  const posts = { key: 'id', schema: { id: {}, author: { type: 'string', ref: 'users' } } };
  const server = await Server.start(config({ ...more, buckets: { users, posts } }));
  return { server, client: await open<Schema>(server.url) };
}

test('the server says what is wrong, in code, message and details', async () => {
  const { client } = await demo();
  const users = client.bucket('users');
  await users.insert({ id: 'a', email: 'a@example.com' });

  const taken = await failure(users.insert({ id: 'a' }));
  expect(taken).toBeInstanceOf(ServerError);
  expect(taken).toMatchObject({ code: 'ALREADY_EXISTS', retryable: false, outcome: 'nothing' });
  expect(taken.details).toEqual({ bucket: 'users', key: 'a' });
  expect(isTandemError(taken, 'ALREADY_EXISTS')).toBe(true);
  expect(isTandemError(taken, 'CONFLICT')).toBe(false);
  const unique = await failure(users.insert({ id: 'b', email: 'a@example.com' }));
  expect(unique.code).toBe('ALREADY_EXISTS');
  expect(unique.detail('field')).toBe('email');

  const stale = await failure(users.update('a', { age: 1 }, { expectedVersion: 7 }));
  expect(stale).toMatchObject({ code: 'CONFLICT', retryable: false });
  expect(stale.details).toMatchObject({ expectedVersion: 7, actualVersion: 1 });

  for (const [work, code] of [
    [() => users.insert({ id: 'b', age: -1 }), 'VALIDATION_ERROR'],
    [() => users.find({ age: { $nonsense: 1 } }), 'VALIDATION_ERROR'],
    [() => users.update('z', {}), 'NOT_FOUND'],
    [() => users.dropIndex('none'), 'NOT_FOUND'],
    [() => client.bucket('posts').insert({ id: '1', author: 'z' }), 'REFERENCE_VIOLATION'],
    [() => client.request('store.get', { bucket: 'none', key: 1 }), 'BUCKET_NOT_DEFINED'],
    [() => client.subscribe('none'), 'QUERY_NOT_DEFINED'],
    [() => client.request('store.nothing'), 'UNKNOWN_OPERATION'],
    [() => client.request('rules.emit'), 'RULES_NOT_AVAILABLE'],
    [() => client.request('store.unsubscribe', { subscriptionId: 'sub-99' }), 'NOT_FOUND'],
    [() => client.request('store.rollback', { transaction: 'tx-99' }), 'TRANSACTION_NOT_FOUND'],
    [() => users.insert({ id: 'big', bad: 10n } as never), 'VALIDATION_ERROR'],
  ] as const) {
    const error = await failure(work());
    expect(error.code).toBe(code);
    expect(error.retryable).toBe(false);
    expect(error.message).not.toBe('');
  }
});

test('transactions say what has become of them', async () => {
  const { server, client } = await demo({ connectionLimits: { maxTransactionsPerConnection: 3 } });
  const other = await open<Schema>(server.url);
  await client.bucket('users').insert({ id: 'a', age: 1 });

  const readOnly = await client.begin({ readOnly: true });
  expect((await failure(readOnly.bucket('users').insert({ id: 'z' }))).code).toBe('READ_ONLY');
  await readOnly.rollback();
  expect((await failure(readOnly.rollback())).code).toBe('TRANSACTION_NOT_FOUND');

  const tx = await client.begin();
  expect((await failure(tx.rollbackTo('none'))).code).toBe('SAVEPOINT_NOT_FOUND');
  await tx.bucket('users').update('a', { age: 2 });
  await other.bucket('users').update('a', { age: 3 });
  expect(await failure(tx.commit())).toMatchObject({ code: 'CONFLICT', retryable: true });
  expect(await failure(tx.bucket('users').get('a'))).toMatchObject({
    code: 'TRANSACTION_ABORTED',
    retryable: true,
  });
  await tx.rollback();

  const short = await client.begin({ timeoutMs: 1 });
  let expired;
  do {
    expired = await short.bucket('users').count().then(() => undefined, (error) => error);
  } while (expired === undefined);
  expect(expired).toMatchObject({ code: 'TRANSACTION_EXPIRED', retryable: true });

  const [one, two] = [await client.begin(), await other.begin()];
  await client.bucket('users').insert({ id: 'b' });
  await one.bucket('users').lock('a');
  const refused = await failure(two.bucket('users').lock('a', { waitMs: 1 }));
  expect(refused).toMatchObject({ code: 'LOCK_TIMEOUT', retryable: true });
  await two.bucket('users').lock('b');
  const waits = [one.bucket('users').lock('b'), two.bucket('users').lock('a')];
  const deadlock = await failure(Promise.all(waits));
  expect(deadlock).toMatchObject({ code: 'DEADLOCK', retryable: true });
  await Promise.allSettled([one.rollback(), two.rollback()]);
  await Promise.allSettled(waits);

  await Promise.all([client.begin(), client.begin(), client.begin()]);
  const limit = await failure(client.begin());
  expect(limit.code).toBe('LIMIT_EXCEEDED');
  expect(limit.details).toEqual({ limit: 'maxTransactionsPerConnection', max: 3, actual: 3 });
});

test('a rate limit says when to come again', async () => {
  const { client } = await demo({ rateLimit: { maxRequests: 2, windowMs: 60_000 } });
  await client.buckets();
  await client.buckets();
  const error = await failure(client.buckets());
  expect(error.code).toBe('RATE_LIMITED');
  expect(error.detail('retryAfterMs')).toBeGreaterThan(0);
});

test('what the client itself refuses', async () => {
  const { server, client } = await demo();
  const busy = await open<Schema>(server.url, { maxRequests: 2 });
  const requests = Promise.allSettled([busy.buckets(), busy.buckets(), busy.buckets()]);
  const third = (await requests)[2];
  expect(third).toMatchObject({ status: 'rejected', reason: { code: 'BACKPRESSURE' } });

  client.close();
  expect(client.status).toBe('closed');
  const closed = await failure(client.buckets());
  expect(closed).toBeInstanceOf(ClosedError);
  expect((await failure(client.subscribe('none'))).code).toBe('CLOSED');
  await expect(client.ready()).rejects.toThrow();

  // Nobody is ever given that port by chance.
  const unreachable = await failure(connect('ws://127.0.0.1:1/', quick));
  expect(unreachable).toMatchObject({ code: 'CONNECTION_LOST', outcome: 'nothing' });
  const { WebSocket: _, ...without } = quick;
  if (!('WebSocket' in globalThis)) {
    await expect(connect(server.url, without)).rejects.toThrow(/global WebSocket/);
  }
});

test('a server that refuses for good is not asked again', async () => {
  const server = await Server.start(config({ maxConnectionsPerIp: 1 }));
  const client = await open(server.url);
  const refused = await failure(connect(server.url, quick));
  expect(refused).toBeInstanceOf(ClosedError);
  expect(refused.message).toContain('4003');
  expect(await client.buckets()).toEqual(['items']);
});

test('what is no server of Tandem is left alone', async () => {
  const other = new WebSocketServer({ port: 0 });
  afterTest(() => other.close());
  other.on('connection', (socket) => socket.send('hello'));
  const { port } = other.address() as { port: number };
  const error = await failure(connect(`ws://127.0.0.1:${port}/`, quick));
  expect(error.code).toBe('CONNECTION_LOST');
});
