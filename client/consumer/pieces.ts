/** What a handler gets at a time: handouts are cut into messages, or stay batches. */
import type { Message, MessageBatch } from '../messages.ts';
import type { Handout } from './handout.ts';

export interface Piece<Item> {
  readonly item: Item;
  /** Those of the same lane are handled one after another. */
  readonly lane: string;
  readonly offset: number;
  /** Where the partition stands when this and all before it are finished. */
  readonly nextOffset: number;
  /** Of its last message. */
  readonly leaderEpoch: number;
}

export type Split<Item> = (handout: Handout) => readonly Piece<Item>[];

export function messagePieces(order: 'partition' | 'key'): Split<Message> {
  return ({ messages, nextOffset }) =>
    messages.map((message, at) => ({
      item: message,
      lane: order === 'partition' ? '' : laneOf(message),
      offset: message.offset,
      nextOffset: at + 1 === messages.length ? nextOffset : message.offset + 1,
      leaderEpoch: message.leaderEpoch,
    }));
}

export function batchPieces({
  state,
  messages,
  nextOffset,
  highWatermark,
}: Handout): readonly Piece<MessageBatch>[] {
  const { topic, partition } = state;
  const { leaderEpoch } = messages.at(-1)!;
  return [
    {
      item: { topic, partition, messages, highWatermark },
      lane: '',
      offset: messages[0]!.offset,
      nextOffset,
      leaderEpoch,
    },
  ];
}

/** Without a key it has no order to keep. */
function laneOf({ key, offset }: Message): string {
  return key === null ? `@${offset}` : `=${key.toString('latin1')}`;
}
