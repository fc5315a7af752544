/**
 * Who takes part in a group. A member is a node with the directory that holds its log: the same node with an empty or another
 * directory is another member, so that one who has forgotten its votes and entries never counts as the one who gave them.
 */
import { assert } from '../../platform/assert.ts';

/** `<node id>/<directory id>` */
export type MemberId = `${number}/${string}`;

/** `nodeId` is a non-negative integer; `directoryId` is not empty. */
export function memberId(nodeId: number, directoryId: string): MemberId {
  assert(
    Number.isInteger(nodeId) && nodeId >= 0 && directoryId !== '',
    'a member has a node and a directory',
  );
  return `${nodeId}/${directoryId}`;
}

/** The node that a member lives on. */
export function nodeOf(member: MemberId): number {
  return Number.parseInt(member, 10);
}

/** The directory that its log lies in, by its id. */
export function directoryOf(member: MemberId): string {
  return member.slice(member.indexOf('/') + 1);
}
