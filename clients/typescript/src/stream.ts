/**
 * Events that wait for their one reader, in order and bounded.
 */
export class Stream<E> implements AsyncIterableIterator<E> {
  private readonly events: E[] = [];
  private readers: ((result: IteratorResult<E>) => void)[] = [];
  private isOver = false;

  constructor(
    private readonly capacity: number,
    private readonly onTaken: () => void,
    private readonly onReturn: () => void,
  ) {}

  get isFull(): boolean {
    return this.events.length >= this.capacity;
  }

  get isHalfEmpty(): boolean {
    return this.events.length * 2 <= this.capacity;
  }

  /** Adds an event; the caller has looked whether there is room. */
  push(event: E): void {
    if (this.isOver) return;
    const reader = this.readers.shift();
    if (reader) {
      reader({ value: event, done: false });
    } else {
      this.events.push(event);
    }
  }

  /** Replaces the last event that waits and satisfies `is`, or adds one. */
  replace(event: E, is: (waiting: E) => boolean): void {
    const last = this.events.at(-1);
    if (last !== undefined && is(last)) this.events.pop();
    this.push(event);
  }

  /** Nothing more comes; what waits is still taken. */
  end(): void {
    this.isOver = true;
    const readers = this.readers;
    this.readers = [];
    for (const reader of readers) reader({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<E>> {
    const event = this.events.shift();
    if (event !== undefined) {
      this.onTaken();
      return Promise.resolve({ value: event, done: false });
    }
    if (this.isOver) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => {
      this.readers.push(resolve);
      this.onTaken();
    });
  }

  return(): Promise<IteratorResult<E>> {
    this.events.length = 0;
    this.onReturn();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
