// Draws the board, and turns what the user does into actions on it. What is
// drawn is always what the store says: an action changes nothing here, its
// commit comes back as one of the live collections' events.

import { isTandemError, TandemClient } from 'tandem-client';
import {
  addCard,
  attend,
  type Card,
  COLORS,
  deleteCard,
  editCard,
  moveCard,
  prepare,
  type Schema,
} from './board.js';

const element = <E extends HTMLElement = HTMLElement>(id: string) =>
  document.getElementById(id) as E;

function make<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  className: string,
  text = '',
): HTMLElementTagNameMap[T] {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

const NAMES = ['Otter', 'Heron', 'Lynx', 'Finch', 'Badger', 'Marten', 'Swift', 'Hare', 'Ibex', 'Wren'];
const me = {
  id: Math.random().toString(36).slice(2),
  name: NAMES[Math.floor(Math.random() * NAMES.length)]!,
  hue: Math.floor(Math.random() * 360),
};

const { server } = (await (await fetch('settings.json')).json()) as { server: string };
const client = new TandemClient<Schema>(server, { longestWaitMs: 2_000 });

// The connection.

function showStatus(): void {
  const pill = element('status');
  pill.dataset.status = client.status;
  pill.textContent = { connected: 'Live', connecting: 'Reconnecting…', closed: 'Closed' }[client.status];
}
client.onStatus(showStatus);
showStatus();

let toastTimer: ReturnType<typeof setTimeout> | undefined;
function say(message: string): void {
  const toast = element('toast');
  toast.textContent = message;
  toast.classList.add('shown');
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => toast.classList.remove('shown'), 4_000);
}

async function act(action: Promise<unknown>): Promise<boolean> {
  try {
    await action;
    return true;
  } catch (error) {
    if (isTandemError(error, 'CONFLICT')) say('Somebody else has just changed this card.');
    else if (isTandemError(error, 'NOT_FOUND')) say('Somebody else has deleted this card.');
    else say(error instanceof Error ? error.message : String(error));
    return false;
  }
}

// The board.

await client.ready();
await prepare(client);
const columns = await client.live('columns');
const cards = await client.live('cards');
const people = await client.live('people');

const drawn = new Map<string, HTMLElement>();
let dragged: string | undefined;

function cardsOf(column: string): Card[] {
  const own = cards.getSnapshot().filter((card) => card.column === column);
  return own.sort((one, two) => one.position - two.position);
}

function cardElement(id: string): HTMLElement {
  const existing = drawn.get(id);
  if (existing) return existing;
  const card = make('article', 'card');
  card.dataset.id = id;
  card.draggable = true;
  card.tabIndex = 0;
  const title = make('p', 'title');
  const tools = make('div', 'tools');
  for (const [action, sign, label] of [
    ['left', '←', 'Move left'],
    ['right', '→', 'Move right'],
    ['color', '●', 'Next colour'],
    ['edit', '✎', 'Edit'],
    ['delete', '×', 'Delete'],
  ] as const) {
    const button = make('button', action, sign);
    button.title = label;
    button.setAttribute('aria-label', label);
    button.onclick = () => void use(action, id);
    tools.append(button);
  }
  card.append(title, tools);
  title.ondblclick = () => edit(id);
  card.ondragstart = (event) => {
    dragged = id;
    event.dataTransfer?.setData('text/plain', id);
    card.classList.add('dragged');
  };
  card.ondragend = () => {
    dragged = undefined;
    card.classList.remove('dragged');
    element('board').classList.remove('dropping');
  };
  drawn.set(id, card);
  return card;
}

async function use(action: string, id: string): Promise<void> {
  const card = cards.get(id);
  if (!card) return;
  const order = columnsInOrder().map((column) => column.id);
  const at = order.indexOf(card.column);
  if (action === 'delete') await act(deleteCard(client, id));
  else if (action === 'edit') edit(id);
  else if (action === 'color') {
    const color = COLORS[(COLORS.indexOf(card.color) + 1) % COLORS.length]!;
    await act(editCard(client, card, { color }));
  } else {
    const column = order[at + (action === 'left' ? -1 : 1)];
    if (column !== undefined) await act(moveCard(client, id, column, card.position));
  }
}

function edit(id: string): void {
  const before = cards.get(id);
  const view = drawn.get(id);
  if (!before || !view || view.querySelector('textarea')) return;
  const field = make('textarea', 'editor');
  field.value = before.title;
  field.maxLength = 200;
  view.classList.add('editing');
  view.draggable = false;
  view.prepend(field);
  field.focus();
  field.select();
  let isOver = false;
  const close = () => {
    isOver = true;
    view.classList.remove('editing');
    view.draggable = true;
    field.remove();
  };
  const save = async () => {
    if (isOver) return;
    const title = field.value.trim();
    if (title === '' || title === before.title) return close();
    // What was typed stays to be copied when somebody else was faster.
    if (await act(editCard(client, before, { title }))) close();
    else isOver = false;
  };
  field.onkeydown = (event) => {
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      void save();
    } else if (event.key === 'Escape') close();
  };
  field.onblur = () => void save().then(close);
}

function columnsInOrder() {
  return [...columns.getSnapshot()].sort((one, two) => one.position - two.position);
}

function columnElement(id: string): HTMLElement {
  const existing = document.querySelector<HTMLElement>(`section[data-id="${CSS.escape(id)}"]`);
  if (existing) return existing;
  const column = make('section', 'column');
  column.dataset.id = id;
  const head = make('header', '');
  head.append(make('h2', ''), make('span', 'count'));
  const list = make('div', 'cards');
  const form = make('form', 'add');
  const input = make('input', '');
  input.placeholder = 'Add a card…';
  input.maxLength = 200;
  input.setAttribute('aria-label', 'Add a card');
  form.append(input);
  form.onsubmit = (event) => {
    event.preventDefault();
    const title = input.value.trim();
    if (title === '') return;
    input.value = '';
    void act(addCard(client, id, title, 'paper'));
  };
  const placeAt = (y: number) => {
    const others = [...list.children].filter((card) => (card as HTMLElement).dataset.id !== dragged);
    const after = others.findIndex((card) => {
      const { top, height } = card.getBoundingClientRect();
      return y < top + height / 2;
    });
    return after < 0 ? others.length : after;
  };
  column.ondragover = (event) => {
    if (dragged === undefined) return;
    event.preventDefault();
    for (const other of document.querySelectorAll('.target')) other.classList.remove('target');
    column.classList.add('target');
  };
  column.ondragleave = () => column.classList.remove('target');
  column.ondrop = (event) => {
    event.preventDefault();
    column.classList.remove('target');
    if (dragged !== undefined) void act(moveCard(client, dragged, id, placeAt(event.clientY)));
  };
  column.append(head, list, form);
  return column;
}

function draw(): void {
  const board = element('board');
  const order = columnsInOrder();
  for (const [at, { id, title }] of order.entries()) {
    const column = columnElement(id);
    if (board.children[at] !== column) board.insertBefore(column, board.children[at] ?? null);
    const own = cardsOf(id);
    column.querySelector('h2')!.textContent = title;
    column.querySelector('.count')!.textContent = String(own.length);
    const list = column.querySelector('.cards')!;
    for (const [place, card] of own.entries()) {
      const view = cardElement(card.id);
      if (list.children[place] !== view) list.insertBefore(view, list.children[place] ?? null);
      // What only makes room for others is no news.
      const content = [card.column, card.color, card.title].join('|');
      if (view.dataset.content !== content) {
        view.classList.remove('news');
        // Begins the animation anew.
        void view.offsetWidth;
        view.classList.add('news');
      }
      view.dataset.content = content;
      view.dataset.color = card.color;
      view.querySelector('.title')!.textContent = card.title;
      view.querySelector<HTMLButtonElement>('.left')!.disabled = at === 0;
      view.querySelector<HTMLButtonElement>('.right')!.disabled = at === order.length - 1;
    }
  }
  for (const [id, view] of drawn) {
    if (!cards.get(id)) {
      view.remove();
      drawn.delete(id);
    }
  }
}

function drawPeople(): void {
  const seen = [...people.getSnapshot()].sort((one, two) => one._createdAt - two._createdAt);
  element('people').replaceChildren(
    ...seen.slice(0, 8).map(({ id, name, hue }) => {
      const face = make('span', 'face', name.slice(0, 2));
      face.title = id === me.id ? `${name} (you)` : name;
      face.style.setProperty('--hue', String(hue));
      face.classList.toggle('me', id === me.id);
      return face;
    }),
  );
}

columns.subscribe(draw);
cards.subscribe(draw);
people.subscribe(drawPeople);
draw();
drawPeople();
attend(client, me);
document.body.dataset.ready = 'true';
