import { WebSocket } from 'ws';
import { connect, type Generated, type Options, type TandemClient } from '../../src/index.js';
import { afterTest } from './server.js';

/** A record of the tests. */
export interface Item {
  id: Generated<number>;
  n?: number;
  group?: string;
}

export interface Schema {
  items: Item;
}

/** The sockets that were made, newest last, with what they have received. */
export class Watched extends WebSocket {
  static readonly all: Watched[] = [];
  readonly received: string[] = [];

  constructor(url: string) {
    super(url);
    Watched.all.push(this);
    this.on('message', (data) => this.received.push(String(data)));
  }
}

/** Options with short waits. */
export const quick: Options = {
  WebSocket: WebSocket as unknown as NonNullable<Options['WebSocket']>,
  firstWaitMs: 2,
  longestWaitMs: 50,
};

export async function open<S extends object = Schema>(
  url: string,
  options: Options = {},
): Promise<TandemClient<S>> {
  const client = await connect<S>(url, { ...quick, ...options });
  afterTest(() => client.close());
  return client;
}

/** Waits until `holds`, looking again after each turn of the event loop. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}

/** The status after this one. */
export function statusAfter(client: TandemClient<any>, status: string): Promise<void> {
  return until(() => client.status !== status);
}

/** What `work` is rejected with. */
export async function failure(work: Promise<unknown>): Promise<any> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error('it should have failed');
}
