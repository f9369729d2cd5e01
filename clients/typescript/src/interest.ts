import type { Connection } from './connection.js';
import type { TandemError } from './errors.js';
import { growing } from './options.js';
import { Stream } from './stream.js';

type Fields = Record<string, unknown>;

/** A subscription, as far as the connection has to do with it. */
export interface Followed {
  /** Whether it is to be asked for. */
  begin(): boolean;
  request(): [type: string, fields: Fields];
  accepted(remote: string, data: Fields): void;
  refused(error: TandemError): void;
  pushed(data: unknown): void;
  /** Its connection is lost. */
  forgotten(): void;
  /** The client is closed. */
  closed(error: TandemError): void;
}

/**
 * A subscription as the connection keeps it: what it is called on the present
 * connection, and how far it was delivered.
 *
 * ```text
 *   idle ──begin──> asked ──accepted──> active ──pause──> paused
 *    ^                │                    │                 │
 *    └────────────────┴── lost, ended ─────┴──── drained ────┘
 * ```
 */
export abstract class Interest<E> implements Followed {
  protected state: 'idle' | 'asked' | 'active' | 'paused' | 'over' = 'idle';
  protected remote: string | undefined;
  private failures = 0;
  private readonly created: Promise<void>;
  private settle!: { resolve(): void; reject(error: TandemError): void } | undefined;
  readonly stream: Stream<E>;

  constructor(
    protected readonly connection: Connection,
    capacity: number,
  ) {
    this.stream = new Stream<E>(
      capacity,
      () => this.drained(),
      () => this.stop(),
    );
    this.created = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
  }

  /** Resolves when the server has accepted it. */
  start(): Promise<void> {
    this.connection.add(this);
    return this.created;
  }

  abstract request(): [type: string, fields: Fields];
  protected abstract first(data: Fields): void;
  abstract pushed(data: unknown): void;
  /** Whether it goes on after the server has refused to. */
  protected abstract recovers(error: TandemError): boolean;
  protected abstract ended(error: TandemError | undefined): void;

  begin(): boolean {
    if (this.state !== 'idle') return false;
    this.state = 'asked';
    return true;
  }

  accepted(remote: string, data: Fields): void {
    this.remote = remote;
    this.state = 'active';
    this.failures = 0;
    this.first(data);
    this.settle?.resolve();
    this.settle = undefined;
  }

  refused(error: TandemError): void {
    if (this.state === 'over') return;
    this.state = 'idle';
    if (this.settle) {
      const { reject } = this.settle;
      this.settle = undefined;
      this.over();
      reject(error);
    } else if (this.recovers(error)) {
      this.connection.follow(this);
    } else if (['RATE_LIMITED', 'BACKPRESSURE', 'TIMEOUT'].includes(error.code)) {
      // The limits count the lost connection until the server notices.
      this.failures += 1;
      const { firstWaitMs, longestWaitMs } = this.connection.settings;
      const wait = growing(firstWaitMs, longestWaitMs, this.failures);
      setTimeout(() => this.connection.follow(this), wait);
    } else {
      this.over();
      this.ended(error);
      this.stream.end();
    }
  }

  forgotten(): void {
    this.remote = undefined;
    if (this.state === 'asked' || this.state === 'active') this.state = 'idle';
  }

  /** The server has ended it: it is asked for again. */
  protected again(): void {
    this.connection.forget(this.remote);
    this.remote = undefined;
    this.state = 'idle';
    this.connection.follow(this);
  }

  /** There is no room: it is left with the server until there is. */
  protected pause(): void {
    this.state = 'paused';
    this.connection.leave(this.remote);
    this.remote = undefined;
  }

  /** Somebody has taken events out. */
  protected drained(): void {
    if (this.state === 'paused' && this.stream.isHalfEmpty) {
      this.state = 'idle';
      this.connection.follow(this);
    }
  }

  /** Nothing more comes; what is buffered is still delivered. */
  protected over(): void {
    this.state = 'over';
    this.connection.drop(this, this.remote);
    this.remote = undefined;
  }

  /** The reader does not want any more. */
  stop(): void {
    if (this.state !== 'over') this.over();
    this.stream.end();
  }

  closed(error: TandemError): void {
    this.state = 'over';
    this.settle?.reject(error);
    this.settle = undefined;
    this.stream.end();
  }
}
