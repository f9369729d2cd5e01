import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { afterTest, Server } from './support/server.js';

const root = join(import.meta.dirname, '..');
const read = (name: string) => readFileSync(join(root, name), 'utf8');

test('the package needs nothing else to run, and names no private host', () => {
  const manifest = JSON.parse(read('package.json'));
  expect(manifest.dependencies).toBeUndefined();
  expect(manifest.peerDependenciesMeta.ws.optional).toBe(true);
  expect(read('package-lock.json')).not.toMatch(/"resolved"|https?:\/\/(?!opencollective|github|tidelift)/);
});

test('what is published can be installed, imported and type-checked', async () => {
  const server = await Server.start();
  const place = mkdtempSync(join(tmpdir(), 'tandem-package-'));
  afterTest(() => rmSync(place, { recursive: true }));
  const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', place];
  const packed = execFileSync('npm', pack, { cwd: root, encoding: 'utf8' });
  const parsed = JSON.parse(packed);
  const [{ filename, files }] = Array.isArray(parsed) ? parsed : Object.values<any>(parsed);
  const names = files.map(({ path }: { path: string }) => path);
  expect(names).toEqual(
    expect.arrayContaining(['README.md', 'LICENSE-MIT', 'LICENSE-APACHE', 'dist/index.d.ts', 'dist/index.js']),
  );
  expect(names.filter((name: string) => /^(tests|node_modules)/.test(name))).toEqual([]);
  const modules = join(place, 'node_modules');
  mkdirSync(join(modules, 'tandem-client'), { recursive: true });
  const into = ['-xzf', join(place, filename), '--strip-components=1', '-C', join(modules, 'tandem-client')];
  execFileSync('tar', into);
  const program = `
    import { connect, type Generated } from 'tandem-client';
    import { createRequire } from 'node:module';
    const { WebSocket } = createRequire(process.argv[2]!)('ws');
    interface Schema { items: { id: Generated<number>; n: number } }
    const client = await connect<Schema>(process.argv[3]!, { WebSocket });
    const { n, _version } = await client.bucket('items').insert({ id: 1, n: 2 });
    console.log(n + _version);
    client.close();
  `;
  writeFileSync(join(place, 'program.mts'), program);
  const tsc = ['--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node'];
  const types = ['--typeRoots', join(root, 'node_modules/@types'), '--ignoreConfig', 'program.mts'];
  execFileSync(join(root, 'node_modules/.bin/tsc'), [...tsc, ...types], { cwd: place });
  expect(existsSync(join(place, 'program.mjs'))).toBe(true);
  const run = [join(place, 'program.mjs'), join(root, 'package.json'), server.url];
  expect(execFileSync(process.execPath, run, { encoding: 'utf8' }).trim()).toBe('3');
});
