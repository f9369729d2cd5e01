/** A WebSocket as browsers have it; Node from 22 on, and the package `ws`. */
export interface WebSocketLike {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  readonly readyState: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
}

/** What makes one. */
export type WebSocketConstructor = new (url: string) => WebSocketLike;

/** How often, and after which waits, a transaction is run again. */
export interface RetryPolicy {
  /** Attempts in all; at least one is made. 16. */
  attempts: number;
  /** The bound on the wait after the first failure. 2. */
  firstWaitMs: number;
  /** The bound on every wait. 1000. */
  longestWaitMs: number;
}

/** How a client connects, and what it bounds. */
export interface Options {
  /** Needed where there is no global `WebSocket`, as in Node 20. */
  WebSocket?: WebSocketConstructor;
  /** How long one attempt to connect may take. 10 000. */
  connectTimeoutMs?: number;
  /** The bound on the wait before the first attempt to connect again. 100. */
  firstWaitMs?: number;
  /** The bound on every such wait: they double up to here. 10 000. */
  longestWaitMs?: number;
  /** How long a request may wait to be sent while there is no connection. 30 000. */
  requestWaitMs?: number;
  /**
   * After so much silence the server is asked for a sign of life, and given up
   * after as much again. More than the server's `heartbeat.intervalMs`. 45 000.
   */
  silenceMs?: number;
  /** Requests that are not answered yet; one more fails. 10 000. */
  maxRequests?: number;
  /** Events that wait in one changes subscription. 256. */
  bufferedEvents?: number;
  /** How transactions are run again. */
  retry?: Partial<RetryPolicy>;
}

/** The options with their defaults. */
export type Settings = Required<Omit<Options, 'retry'>> & { retry: RetryPolicy };

/** Fills in what is not given. */
export function settings(options: Options): Settings {
  const WebSocket =
    options.WebSocket ??
    (globalThis as unknown as { WebSocket?: WebSocketConstructor }).WebSocket;
  if (WebSocket === undefined) {
    throw new TypeError(
      'There is no global WebSocket: give one in the options, as `{ WebSocket }` of the package "ws"',
    );
  }
  return {
    WebSocket,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    firstWaitMs: options.firstWaitMs ?? 100,
    longestWaitMs: options.longestWaitMs ?? 10_000,
    requestWaitMs: options.requestWaitMs ?? 30_000,
    silenceMs: options.silenceMs ?? 45_000,
    maxRequests: options.maxRequests ?? 10_000,
    bufferedEvents: options.bufferedEvents ?? 256,
    retry: {
      attempts: options.retry?.attempts ?? 16,
      firstWaitMs: options.retry?.firstWaitMs ?? 2,
      longestWaitMs: options.retry?.longestWaitMs ?? 1_000,
    },
  };
}

/**
 * A random part, the upper half, of `first` × 2ⁿ⁻¹, at most `longest`: those who
 * failed together do not come back together.
 */
export function growing(first: number, longest: number, n: number): number {
  const bound = Math.min(first * 2 ** Math.min(Math.max(n - 1, 0), 20), longest);
  return bound / 2 + (Math.random() * bound) / 2;
}

/** Resolves after a time. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A name that nobody has used before. */
export function uniqueName(): string {
  const { crypto } = globalThis as unknown as { crypto?: { randomUUID?: () => string } };
  // Outside secure contexts browsers have no randomUUID.
  if (crypto?.randomUUID) return crypto.randomUUID();
  const word = () => Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, '0');
  return word() + word() + word() + word();
}
