// Two browsers on one board, in real Chromium, with a server that is killed.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { bundle } from '../build.mjs';
import { servePage, startTandem } from '../serve.mjs';

const PATIENCE = 60_000;
const temporary = (name) => mkdtempSync(join(tmpdir(), `live-board-${name}-`));
const ends = [];

const tandem = { child: undefined, address: '127.0.0.1:0', directory: temporary('data') };
let one;
let two;

async function start() {
  Object.assign(tandem, await startTandem(tandem.address, tandem.directory));
}

async function kill() {
  const ended = once(tandem.child, 'exit');
  tandem.child.kill('SIGKILL');
  await ended;
}

/** A browser of its own, on the board. */
async function browser(url) {
  const profile = temporary('profile');
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    chromiumSandbox: false,
    viewport: { width: 1180, height: 760 },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  ends.push(async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  });
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(PATIENCE);
  const errors = [];
  page.on('pageerror', (error) => errors.push(error));
  ends.push(() => assert.deepEqual(errors, []));
  await page.goto(url);
  await page.locator('body[data-ready]').waitFor();
  return page;
}

const card = (page, title) => page.locator('.card', { has: page.getByText(title, { exact: true }) });
const column = (page, id) => page.locator(`.column[data-id=${id}]`);

async function add(page, where, title) {
  const input = column(page, where).getByLabel('Add a card');
  await input.fill(title);
  await input.press('Enter');
}

/** What a page shows: the titles of each column, in order. */
function shown(page) {
  return page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll('.column')].map((column) => [
        column.dataset.id,
        [...column.querySelectorAll('.title')].map((title) => title.textContent),
      ]),
    ),
  );
}

/** Waits until both pages show the same, and that. */
async function bothShow(expected) {
  const text = JSON.stringify(expected);
  for (const page of [one, two]) {
    await page.waitForFunction(
      (text) => {
        const shown = Object.fromEntries(
          [...document.querySelectorAll('.column')].map((column) => [
            column.dataset.id,
            [...column.querySelectorAll('.title')].map((title) => title.textContent),
          ]),
        );
        return JSON.stringify(shown) === text;
      },
      text,
      { timeout: PATIENCE },
    ).catch(async (error) => {
      assert.deepEqual(await shown(page), expected);
      throw error;
    });
  }
}

/** The cards as the server has them, whose indexes are in order. */
async function stored() {
  const answers = await one.evaluate(async (url) => {
    const socket = new WebSocket(url);
    const frames = [];
    await new Promise((resolve) => {
      socket.onmessage = ({ data }) => {
        const frame = JSON.parse(data);
        if (frame.type === 'welcome') {
          const read = { type: 'store.all', bucket: 'cards', sort: ['column', 'position'] };
          socket.send(JSON.stringify({ id: 1, ...read }));
          socket.send(JSON.stringify({ id: 2, type: 'store.check' }));
        } else {
          frames.push(frame.data);
          if (frames.length === 2) resolve();
        }
      };
    });
    socket.close();
    return frames;
  }, `ws://${tandem.address}/`);
  const [cards, check] = answers;
  assert.equal(check.missing + check.dangling + check.wrongCounts, 0);
  return cards;
}

before(async () => {
  await start();
  ends.push(async () => {
    if (tandem.child.exitCode === null) await kill();
    rmSync(tandem.directory, { recursive: true, force: true });
  });
  const http = await servePage(await bundle(), 0, `ws://${tandem.address}/`);
  ends.push(() => http.close());
  const url = `http://127.0.0.1:${http.address().port}/`;
  [one, two] = await Promise.all([browser(url), browser(url)]);
});

after(async () => {
  for (const end of ends.reverse()) await end();
});

test('what one does the other sees', { timeout: 4 * PATIENCE }, async () => {
  await bothShow({ todo: [], doing: [], done: [] });
  await add(one, 'todo', 'Write the story');
  await card(two, 'Write the story').waitFor();
  await add(two, 'todo', 'Draw the picture');
  await add(two, 'doing', 'Read the news');
  await bothShow({
    todo: ['Write the story', 'Draw the picture'],
    doing: ['Read the news'],
    done: [],
  });

  await card(two, 'Write the story').getByLabel('Edit').click();
  await two.locator('.editor').fill('Write the long story');
  await two.locator('.editor').press('Enter');
  await card(one, 'Write the long story').waitFor();

  await card(one, 'Draw the picture').dragTo(column(one, 'done'));
  await card(one, 'Write the long story').dragTo(card(one, 'Read the news'), {
    targetPosition: { x: 20, y: 2 },
  });
  await bothShow({
    todo: [],
    doing: ['Write the long story', 'Read the news'],
    done: ['Draw the picture'],
  });

  await card(two, 'Read the news').getByLabel('Next colour').click();
  await one.locator('.card[data-color=rose]').waitFor();
  await card(one, 'Read the news').getByLabel('Delete').click();
  await card(two, 'Draw the picture').getByLabel('Move left').click();
  await bothShow({
    todo: [],
    doing: ['Draw the picture', 'Write the long story'],
    done: [],
  });
  await one.locator('#people .face').nth(1).waitFor();
});

test('an edit that was overtaken says so and keeps what was typed', { timeout: 4 * PATIENCE }, async () => {
  await card(one, 'Draw the picture').getByLabel('Edit').click();
  await card(two, 'Draw the picture').getByLabel('Next colour').click();
  await one.locator('.card.editing[data-color=rose]').waitFor();
  // It is shown for seconds only, however busy the machine; its text stays.
  const toast = one.locator('#toast');
  await toast.evaluate((element) => element.replaceChildren());
  await one.locator('.editor').fill('Draw two pictures');
  await one.locator('.editor').press('Enter');
  await toast.filter({ hasText: /./ }).waitFor({ state: 'attached' });
  assert.equal(await one.locator('.editor').inputValue(), 'Draw two pictures');
  await one.locator('.editor').press('Escape');
  await bothShow({ todo: [], doing: ['Draw the picture', 'Write the long story'], done: [] });
});

test('moves that cross leave no gap and no double', { timeout: 4 * PATIENCE }, async () => {
  for (const title of ['a', 'b', 'c', 'd', 'e', 'f']) await add(one, 'todo', title);
  await card(two, 'f').waitFor();
  // Buttons are pressed in both pages at once, without waiting for each other.
  const press = (page, titles, label) =>
    page.evaluate(
      ([titles, label]) => {
        for (const title of titles) {
          const card = [...document.querySelectorAll('.card')].find(
            (card) => card.querySelector('.title').textContent === title,
          );
          card.querySelector(`[aria-label="${label}"]`).click();
        }
      },
      [titles, label],
    );
  await Promise.all([
    press(one, ['a', 'b', 'c'], 'Move right'),
    press(two, ['c', 'd', 'e'], 'Move right'),
    press(two, ['f'], 'Delete'),
  ]);
  // Each page has a transaction of its own per press; all of them are over when
  // nothing is left where it was.
  await bothShowAlike((board) => board.todo.length === 0);
  const cards = await stored();
  for (const id of ['todo', 'doing', 'done']) {
    const places = cards.filter((card) => card.column === id).map((card) => card.position);
    assert.deepEqual(places, places.map((_, place) => place), id);
  }
});

/** Waits until both pages show the same and what the server has stored. */
async function bothShowAlike(holds) {
  const until = Date.now() + PATIENCE;
  for (;;) {
    const [first, second, cards] = [await shown(one), await shown(two), await stored()];
    const expected = { todo: [], doing: [], done: [] };
    for (const { column, title } of cards) expected[column].push(title);
    const alike = [first, second].every((board) => JSON.stringify(board) === JSON.stringify(expected));
    if (alike && holds(first)) return first;
    if (Date.now() > until) {
      assert.deepEqual(first, expected);
      assert.deepEqual(second, expected);
      assert.ok(holds(first), JSON.stringify(first));
    }
  }
}

test('a server that is killed and started again loses nobody', { timeout: 6 * PATIENCE }, async () => {
  for (let round = 1; round <= 2; round++) {
    const shownBefore = await shown(one);
    await kill();
    for (const page of [one, two]) {
      await page.locator('#status[data-status=connecting]').waitFor();
      assert.deepEqual(await shown(page), shownBefore, 'what was there is still shown');
    }
    // Waits in the page until there is a server again.
    await add(one, 'todo', `Written in the dark ${round}`);
    await start();
    for (const page of [one, two]) {
      await page.locator('#status[data-status=connected]').waitFor();
      await card(page, `Written in the dark ${round}`).waitFor();
    }
    await card(two, `Written in the dark ${round}`).getByLabel('Move right').click();
    await bothShowAlike((board) => board.doing.includes(`Written in the dark ${round}`));
  }
  if (process.env.SCREENSHOT) await one.screenshot({ path: process.env.SCREENSHOT });
});
