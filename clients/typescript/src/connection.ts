import { ClosedError, ConnectionLostError, ServerError, TandemError } from './errors.js';
import type { Followed } from './interest.js';
import { growing, type Settings, type WebSocketLike } from './options.js';

/**
 * `connected`: requests are sent at once. `connecting`: there is no connection
 * yet, or it was lost; the client goes on trying. `closed`: there will be no
 * other; the client was closed, or the server refused it for good.
 */
export type Status = 'connecting' | 'connected' | 'closed';

type Fields = Record<string, unknown>;

/** A request on its way. */
interface Call {
  type: string;
  fields: Fields;
  /** The connection on which it means something: it names a transaction. */
  session: number | undefined;
  sent: boolean;
  resolve(reply: Reply): void;
  reject(error: TandemError): void;
  timer?: ReturnType<typeof setTimeout>;
}

/** A successful answer, and the connection that it came from. */
export interface Reply {
  data: unknown;
  session: number;
}

type Pending = Call | { resolve(reply: Reply): void; reject(error: TandemError): void };

/** Requests that change nothing: sending one twice does no harm. */
const READS = new Set([
  'store.get',
  'store.all',
  'store.where',
  'store.findOne',
  'store.count',
  'store.first',
  'store.last',
  'store.paginate',
  'store.sum',
  'store.avg',
  'store.min',
  'store.max',
  'store.groupBy',
  'store.aggregate',
  'store.explain',
  'store.getBucketSchema',
  'store.buckets',
  'store.indexes',
  'store.listQueries',
  'store.stats',
  'server.stats',
  'server.connections',
]);

/** Close codes after which another attempt would fail alike. */
const FINAL = new Set([1003, 4002, 4003]);

/** A connection that lasted this long was a good one: the next wait is short. */
const GOOD_MS = 5_000;

/**
 * One socket at a time, and what outlives it: requests that wait, and
 * subscriptions.
 */
export class Connection {
  status: Status = 'connecting';
  /** Counts connections: a transaction means something on its own only. */
  session = 0;
  private socket: WebSocketLike | undefined;
  private nextId = 1;
  private readonly pending = new Map<number, Pending>();
  private waiting: Call[] = [];
  private readonly interests = new Set<Followed>();
  private readonly byRemote = new Map<string, Followed>();
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private probed = false;
  private end: TandemError | undefined;
  private readonly listeners = new Set<(status: Status) => void>();
  /** Why the last attempt to connect failed. */
  lastError: TandemError | undefined;
  /** Told of each attempt that failed. */
  onFailure: (() => void) | undefined;

  constructor(
    readonly url: string,
    readonly settings: Settings,
  ) {
    this.connect();
  }

  onStatus(listener: (status: Status) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private become(status: Status): void {
    if (this.status === status) return;
    this.status = status;
    for (const listener of [...this.listeners]) listener(status);
  }

  // Connecting.

  private connect(): void {
    let socket: WebSocketLike;
    try {
      socket = new this.settings.WebSocket(this.url);
    } catch (error) {
      // A malformed address: no other attempt would do better.
      this.finish(new ClosedError(`No connection: ${String(error)}`));
      return;
    }
    this.socket = socket;
    let welcomed = false;
    let since = 0;
    this.timer = setTimeout(() => lost('No connection in time'), this.settings.connectTimeoutMs);
    const lost = (reason: string, final = false) => {
      if (this.socket !== socket) return;
      clearTimeout(this.timer);
      socket.onopen = socket.onmessage = socket.onclose = null;
      // It may still fail while it is being closed; nobody is to hear of it.
      socket.onerror = () => {};
      this.socket = undefined;
      try {
        socket.close();
      } catch {
        // It was not open yet.
      }
      this.lastError = final
        ? new ClosedError(`Refused by the server: ${reason}`)
        : ConnectionLostError.notConnected(reason);
      this.failures = welcomed && Date.now() - since > GOOD_MS ? 0 : this.failures + 1;
      if (welcomed) this.disconnected();
      if (final) {
        this.finish(this.lastError);
      } else {
        this.become('connecting');
        const { firstWaitMs, longestWaitMs } = this.settings;
        const wait = this.failures === 0 ? 0 : growing(firstWaitMs, longestWaitMs, this.failures);
        this.timer = setTimeout(() => this.connect(), wait);
      }
      if (!welcomed) this.onFailure?.();
    };
    socket.onerror = (event: { message?: string }) => {
      this.lastError = ConnectionLostError.notConnected(event.message ?? 'No connection');
      // `close` follows.
    };
    socket.onclose = (event: { code: number; reason: string }) => {
      lost(`${event.code} ${event.reason}`.trim(), FINAL.has(event.code));
    };
    socket.onmessage = (event: { data: unknown }) => {
      const frame = parse(event.data);
      if (frame === undefined) return lost('A frame is not JSON');
      this.heard();
      if (welcomed) return this.read(frame);
      if (frame.type !== 'welcome') return lost('The first frame is not a welcome');
      welcomed = true;
      since = Date.now();
      clearTimeout(this.timer);
      this.connected();
    };
  }

  private connected(): void {
    this.session += 1;
    this.become('connected');
    const waiting = this.waiting;
    this.waiting = [];
    for (const interest of this.interests) this.follow(interest);
    for (const call of waiting) this.post(call);
  }

  /** Nothing of the connection is valid any more. */
  private disconnected(): void {
    clearTimeout(this.silence);
    this.byRemote.clear();
    for (const interest of this.interests) interest.forgotten();
    const pending = [...this.pending.values()];
    this.pending.clear();
    for (const call of pending) {
      // Subscriptions are asked for again on the next connection.
      if (!('type' in call)) continue;
      if (call.session === undefined && READS.has(call.type)) {
        call.sent = false;
        this.wait(call);
      } else {
        call.reject(lostCall(call));
      }
    }
  }

  /** Something came from the server. */
  private heard(): void {
    this.probed = false;
    clearTimeout(this.silence);
    const check = () => {
      if (this.probed) {
        // Closing a dead connection may take long: it is let go at once.
        this.socket?.onclose?.({ code: 1006, reason: 'silent' });
        return;
      }
      this.probed = true;
      // Browsers cannot send a WebSocket ping; any answer is a sign of life.
      this.send('store.buckets', {}, { resolve: () => {}, reject: () => {} });
      this.silence = setTimeout(check, this.settings.silenceMs);
    };
    this.silence = setTimeout(check, this.settings.silenceMs);
  }

  // Requests.

  /** Sends a request; it waits for a connection if there is none. */
  request(type: string, fields: Fields, session?: number): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const call: Call = { type, fields, session, sent: false, resolve, reject };
      if (this.end) {
        reject(this.end);
      } else if (this.pending.size + this.waiting.length >= this.settings.maxRequests) {
        const message = `More than ${this.settings.maxRequests} requests are not answered`;
        reject(new TandemError('BACKPRESSURE', message));
      } else if (session !== undefined && session !== this.currentSession()) {
        reject(ConnectionLostError.rolledBack());
      } else if (this.status === 'connected') {
        this.post(call);
      } else {
        this.wait(call);
      }
    });
  }

  private currentSession(): number | undefined {
    return this.status === 'connected' ? this.session : undefined;
  }

  private wait(call: Call): void {
    this.waiting.push(call);
    call.timer = setTimeout(() => {
      this.waiting = this.waiting.filter((other) => other !== call);
      call.reject(ConnectionLostError.notConnected());
    }, this.settings.requestWaitMs);
  }

  private post(call: Call): void {
    clearTimeout(call.timer);
    call.sent = true;
    this.send(call.type, call.fields, call);
  }

  private send(type: string, fields: Fields, pending: Pending): void {
    const id = this.nextId++;
    this.pending.set(id, pending);
    let text: string;
    try {
      text = JSON.stringify({ ...fields, id, type });
    } catch (error) {
      // A cycle, a BigInt: the caller's mistake.
      this.pending.delete(id);
      pending.reject(new TandemError('VALIDATION_ERROR', `No JSON: ${String(error)}`));
      return;
    }
    try {
      this.socket?.send(text);
    } catch {
      // It is closing: its end rejects what is pending.
    }
  }

  private read(frame: Fields): void {
    switch (frame.type) {
      case 'result':
      case 'error': {
        const id = frame.id as number;
        const pending = this.pending.get(id);
        this.pending.delete(id);
        if (frame.type === 'result') {
          pending?.resolve({ data: frame.data, session: this.session });
        } else {
          pending?.reject(serverError(frame));
        }
        break;
      }
      case 'push':
        this.byRemote.get(frame.subscriptionId as string)?.pushed(frame.data);
        break;
      case 'ping':
        try {
          this.socket?.send(JSON.stringify({ type: 'pong', timestamp: frame.timestamp }));
        } catch {
          // It is closing.
        }
        break;
      default:
      // A later protocol's.
    }
  }

  // Subscriptions.

  /** Keeps a subscription alive across connections until it is dropped. */
  add(interest: Followed): void {
    if (this.end) {
      interest.refused(this.end);
      return;
    }
    this.interests.add(interest);
    if (this.status === 'connected') this.follow(interest);
  }

  /** Asks the server for it. */
  follow(interest: Followed): void {
    if (this.status !== 'connected' || !interest.begin()) return;
    const [type, fields] = interest.request();
    this.send(type, fields, {
      resolve: ({ data }) => {
        const remote = (data as { subscriptionId: string }).subscriptionId;
        if (!this.interests.has(interest)) {
          this.unsubscribe(remote);
          return;
        }
        // Before the first push, which may be in the same turn.
        this.byRemote.set(remote, interest);
        interest.accepted(remote, data as Fields);
      },
      reject: (error) => interest.refused(error),
    });
  }

  /** Ends it with the server; it stays, to be followed again. */
  leave(remote: string | undefined): void {
    if (remote === undefined) return;
    this.byRemote.delete(remote);
    this.unsubscribe(remote);
  }

  /** The server has ended it already. */
  forget(remote: string | undefined): void {
    if (remote !== undefined) this.byRemote.delete(remote);
  }

  /** Ends it for good. */
  drop(interest: Followed, remote: string | undefined): void {
    this.interests.delete(interest);
    this.leave(remote);
  }

  private unsubscribe(subscriptionId: string): void {
    if (this.status !== 'connected') return;
    this.send('store.unsubscribe', { subscriptionId }, { resolve: () => {}, reject: () => {} });
  }

  // The end.

  close(): void {
    const socket = this.socket;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.onerror = () => {};
      this.socket = undefined;
      try {
        socket.close(1000);
      } catch {
        // It was not open yet.
      }
    }
    this.finish(new ClosedError());
  }

  private finish(error: TandemError): void {
    if (this.end) return;
    this.end = error;
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    for (const call of this.pending.values()) {
      if ('type' in call) call.reject(lostCall(call));
    }
    this.pending.clear();
    for (const call of this.waiting) {
      clearTimeout(call.timer);
      call.reject(error);
    }
    this.waiting = [];
    for (const interest of [...this.interests]) interest.closed(error);
    this.interests.clear();
    this.byRemote.clear();
    this.become('closed');
  }
}

/** What became of a request whose connection is lost. */
function lostCall(call: Call): TandemError {
  const endsWithTheSocket = call.session !== undefined || call.type === 'store.begin';
  return endsWithTheSocket && call.type !== 'store.commit'
    ? ConnectionLostError.rolledBack()
    : ConnectionLostError.unanswered();
}

function serverError(frame: Fields): ServerError {
  return new ServerError(
    String(frame.code),
    String(frame.message),
    frame.retryable === true,
    frame.details,
  );
}

function parse(data: unknown): Fields | undefined {
  try {
    const frame: unknown = JSON.parse(String(data));
    return typeof frame === 'object' && frame !== null ? (frame as Fields) : undefined;
  } catch {
    return undefined;
  }
}
