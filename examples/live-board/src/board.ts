// The board's data, and what can be done to it. Nothing here draws.
//
// In each column the cards are numbered 0, 1, 2, … without gaps. Each action is
// one transaction that leaves it so, whoever else moves cards meanwhile: the
// store is serializable, and a transaction that was overtaken is run again.

import type { Generated, Stored, TandemClient, Transaction } from 'tandem-client';

export interface Schema {
  columns: { id: string; title: string; position: number };
  cards: {
    id: Generated<string>;
    column: string;
    position: number;
    title: string;
    color: Generated<string>;
  };
  people: { id: string; name: string; hue: number };
}

export type Client = TandemClient<Schema>;
export type Card = Stored<Schema['cards']>;
export type Column = Stored<Schema['columns']>;
export type Person = Stored<Schema['people']>;

export const COLORS = ['paper', 'rose', 'amber', 'mint', 'sky'];

const COLUMNS = [
  { id: 'todo', title: 'To do', position: 0 },
  { id: 'doing', title: 'Doing', position: 1 },
  { id: 'done', title: 'Done', position: 2 },
];

/** The columns, if nobody has made them yet. */
export function prepare(client: Client): Promise<void> {
  return client.transaction(async (tx) => {
    if ((await tx.bucket('columns').count()) === 0) {
      await tx.bucket('columns').insertMany(COLUMNS);
    }
  });
}

/** The cards of a column, as a transaction sees them, in their order. */
function cardsOf(tx: Transaction<Schema>, column: string): Promise<Card[]> {
  return tx.bucket('cards').find({ column }, { sort: 'position' });
}

/** Gives the cards of a column their numbers; writes only what changes. */
async function number(tx: Transaction<Schema>, column: string, cards: Card[]): Promise<void> {
  for (const [position, card] of cards.entries()) {
    if (card.position !== position || card.column !== column) {
      await tx.bucket('cards').update(card.id, { column, position });
    }
  }
}

/** A new card, last in its column. */
export function addCard(client: Client, column: string, title: string, color: string): Promise<Card> {
  return client.transaction(async (tx) => {
    const position = await tx.bucket('cards').count({ column });
    return tx.bucket('cards').insert({ column, position, title, color });
  });
}

/** Changes a card, if it still is what the user saw. */
export async function editCard(client: Client, card: Card, to: Partial<Card>): Promise<void> {
  const { title = card.title, color = card.color } = to;
  const expectedVersion = card._version;
  await client.bucket('cards').update(card.id, { title, color }, { expectedVersion });
}

/** Moves a card to a place in a column; whoever deleted it meanwhile has won. */
export function moveCard(client: Client, id: string, column: string, place: number): Promise<void> {
  return client.transaction(async (tx) => {
    const card = await tx.bucket('cards').get(id);
    if (!card) return;
    const left = (await cardsOf(tx, card.column)).filter((other) => other.id !== id);
    const joined = column === card.column ? left : await cardsOf(tx, column);
    joined.splice(Math.max(0, Math.min(place, joined.length)), 0, card);
    if (column !== card.column) await number(tx, card.column, left);
    await number(tx, column, joined);
  });
}

/** Deletes a card and closes the gap. */
export function deleteCard(client: Client, id: string): Promise<void> {
  return client.transaction(async (tx) => {
    const card = await tx.bucket('cards').get(id);
    if (!card) return;
    await tx.bucket('cards').delete(id);
    await number(tx, card.column, await cardsOf(tx, card.column));
  });
}

/** Says again and again that somebody is here; a record that is not renewed ends by itself. */
export function attend(client: Client, person: Schema['people']): void {
  // Its time to live begins anew with each version.
  const here = () => client.bucket('people').upsert(person).catch(() => {});
  void here();
  setInterval(here, 4_000);
  // Best effort: the time to live does it otherwise.
  addEventListener('pagehide', () => void client.bucket('people').delete(person.id).catch(() => {}));
}
