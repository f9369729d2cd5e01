// Serves the page, and tells it where the Tandem server is. As a program it also
// starts that server: `npm start`, then open http://127.0.0.1:3000/ twice.
import { spawn } from 'node:child_process';
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { bundle } from './build.mjs';

const here = import.meta.dirname;
const root = join(here, '../..');
const TYPES = { '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript', '.map': 'application/json' };
const FILES = new Set(['index.html', 'style.css', 'page.js', 'page.js.map']);

/** Serves the page's files on a port; answers the HTTP server. */
export function servePage(dist, port, server) {
  const http = createServer((request, response) => {
    const path = new URL(request.url, 'http://page').pathname.slice(1) || 'index.html';
    if (path === 'settings.json') {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ server }));
    } else if (FILES.has(path)) {
      response.setHeader('content-type', `${TYPES[extname(path)]}; charset=utf-8`);
      response.setHeader('cache-control', 'no-cache');
      createReadStream(join(dist, path)).pipe(response);
    } else {
      response.writeHead(404).end();
    }
  });
  return new Promise((resolve) => http.listen(port, '127.0.0.1', () => resolve(http)));
}

/** Starts `tandem serve` with the board's config; answers the process and its address. */
export async function startTandem(listen, directory) {
  const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
  const built = ['release', 'debug'].map((profile) => join(target, profile, 'tandem'));
  const binary = process.env.TANDEM_BIN ?? built.find((path) => existsSync(path));
  if (!binary) throw new Error('the server is not built: cargo build -p tandem-cli');
  const config = join(here, 'board.config.json');
  const child = spawn(
    binary,
    ['serve', '--listen', listen, '--config', config, '--data', directory],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { RUST_LOG: 'warn', ...process.env } },
  );
  for await (const line of createInterface({ input: child.stdout })) {
    return { child, address: JSON.parse(line).listen };
  }
  throw new Error('the server has ended');
}

if (process.argv[1] === import.meta.filename) {
  const port = Number(process.env.PORT ?? 3000);
  const { child, address } = await startTandem('127.0.0.1:8080', join(here, 'board-data'));
  const http = await servePage(await bundle(), port, `ws://${address}/`);
  console.log(`http://127.0.0.1:${port}/`);
  const stop = () => {
    http.close();
    child.kill('SIGTERM');
    process.exit();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  child.on('exit', stop);
}
