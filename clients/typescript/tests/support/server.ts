import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach } from 'vitest';

const root = join(import.meta.dirname, '../../../..');
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
const binary = process.env.TANDEM_BIN ?? join(target, 'debug/tandem');

/** What ends after each test. */
const endings: (() => void | Promise<void>)[] = [];

export function afterTest(ending: () => void | Promise<void>): void {
  endings.push(ending);
}

afterEach(async () => {
  for (const ending of endings.splice(0).reverse()) await ending();
});

/** The bucket `items` with a key and nothing else, and what a test adds. */
export function config(more: { buckets?: object } & Record<string, unknown> = {}): object {
  const { buckets, ...settings } = more;
  return {
    ...settings,
    store: {
      buckets: { items: { key: 'id', schema: { id: {} } }, ...buckets },
      queries: { all: { bucket: 'items', sort: 'id', fields: ['id', 'n'] } },
    },
  };
}

/** `tandem serve` over a directory that outlives it. */
export class Server {
  private process: ChildProcess | undefined;
  private readonly directory = mkdtempSync(join(tmpdir(), 'tandem-client-'));
  port = 0;

  static async start(settings: object = config()): Promise<Server> {
    const server = new Server(settings);
    afterTest(() => server.remove());
    await server.start();
    return server;
  }

  private constructor(settings: object) {
    if (!existsSync(binary)) throw new Error(`${binary} is not built: cargo build -p tandem-cli`);
    writeFileSync(join(this.directory, 'config.json'), JSON.stringify(settings));
  }

  /** Starts it, on a port of its own choice, and waits until it is ready. */
  async start(): Promise<void> {
    const child = spawn(binary, ['serve', '--listen', '127.0.0.1:0', '--config', 'config.json'], {
      cwd: this.directory,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.process = child;
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      const { listen } = JSON.parse(line) as { listen: string };
      this.port = Number(listen.split(':').at(-1));
      return;
    }
    throw new Error('the server has ended');
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/`;
  }

  /** Ends it, at once unless told otherwise. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.process;
    if (!child) return;
    this.process = undefined;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** The value of a metric. */
  async metric(name: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/metrics`);
    const line = (await answer.text()).split('\n').find((line) => line.startsWith(`${name} `));
    return Number(line?.split(' ')[1]);
  }

  private async remove(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
