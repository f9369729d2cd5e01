// Bundles the page into dist/.
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const here = import.meta.dirname;

export async function bundle() {
  const dist = join(here, 'dist');
  mkdirSync(dist, { recursive: true });
  for (const name of ['index.html', 'style.css']) cpSync(join(here, 'src', name), join(dist, name));
  await build({
    entryPoints: [join(here, 'src/page.ts')],
    outfile: join(dist, 'page.js'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    sourcemap: true,
    logLevel: 'warning',
  });
  return dist;
}

if (process.argv[1] === import.meta.filename) await bundle();
