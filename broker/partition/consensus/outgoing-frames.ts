/**
 * What one node has to say to each other one, until the end of the turn: then it goes out in as few frames as its size allows,
 * the messages of all groups together. Of heartbeats that nobody could have heard yet only the newest goes.
 */
import { encodeFrame } from '../../raft/frame-codec.ts';
import type { GroupMessage } from '../../raft/frame-codec.ts';
import type { NodeMessage } from '../../raft/node-heartbeats.ts';
import { rollAnswerParts, rollCallParts } from '../../raft/roll-parts.ts';
import type { WireNodeMessage } from '../../raft/roll-parts.ts';
import type { Transport } from '../../peers/transport.ts';

/** A frame ends when it has so many bytes of entries, messages of groups, or groups in roll calls. */
const frameBytesMax = 1024 * 1024;
const frameMessagesMax = 512;
const rollGroupsMax = 4096;

interface Pending {
  readonly nodeMessages: WireNodeMessage[];
  readonly groupMessages: { readonly message: GroupMessage; readonly release: (() => void) | undefined }[];
}

export class OutgoingFrames {
  readonly #nodeId: number;
  readonly #incarnation: number;
  readonly #transport: Transport;
  readonly #pending = new Map<number, Pending>();
  #isStopped = false;

  constructor(options: {
    readonly nodeId: number;
    readonly incarnation: number;
    readonly transport: Transport;
  }) {
    this.#nodeId = options.nodeId;
    this.#incarnation = options.incarnation;
    this.#transport = options.transport;
  }

  addGroupMessage(to: number, message: GroupMessage, release: (() => void) | undefined): void {
    if (this.#isStopped) {
      release?.();
      return;
    }
    this.#pendingFor(to).groupMessages.push({ message, release });
  }

  addNodeMessage(message: NodeMessage): void {
    if (this.#isStopped) return;
    const { nodeMessages } = this.#pendingFor(message.to);
    switch (message.kind) {
      case 'heartbeat': {
        const older = nodeMessages.findIndex(({ kind }) => kind === 'heartbeat');
        if (older !== -1) nodeMessages.splice(older, 1);
        nodeMessages.push(message);
        break;
      }
      case 'heartbeat-answer':
        nodeMessages.push(message);
        break;
      case 'roll-call':
        nodeMessages.push(...rollCallParts(message, rollGroupsMax));
        break;
      case 'roll-answer':
        nodeMessages.push(...rollAnswerParts(message, rollGroupsMax));
        break;
    }
  }

  flush(): void {
    const all = [...this.#pending];
    this.#pending.clear();
    for (const [to, pending] of all) this.#send(to, pending);
  }

  stop(): void {
    this.#isStopped = true;
    for (const { groupMessages } of this.#pending.values()) {
      for (const { release } of groupMessages) release?.();
    }
    this.#pending.clear();
  }

  #pendingFor(to: number): Pending {
    const known = this.#pending.get(to);
    if (known !== undefined) return known;
    if (this.#pending.size === 0) queueMicrotask(() => this.flush());
    const pending: Pending = { nodeMessages: [], groupMessages: [] };
    this.#pending.set(to, pending);
    return pending;
  }

  #send(to: number, pending: Pending): void {
    const nodeMessages = pending.nodeMessages.values();
    const groupMessages = pending.groupMessages.values();
    let nodeMessage = nodeMessages.next();
    let groupMessage = groupMessages.next();
    while (nodeMessage.done !== true || groupMessage.done !== true) {
      const ofNode: WireNodeMessage[] = [];
      const ofGroups: GroupMessage[] = [];
      const releases: (() => void)[] = [];
      let rollGroups = 0;
      let sizeBytes = 0;
      for (; nodeMessage.done !== true && rollGroups < rollGroupsMax; nodeMessage = nodeMessages.next()) {
        ofNode.push(nodeMessage.value);
        if (nodeMessage.value.kind === 'roll-call-part') rollGroups += nodeMessage.value.led.length;
        if (nodeMessage.value.kind === 'roll-answer') rollGroups += nodeMessage.value.strayed.length;
      }
      while (groupMessage.done !== true && sizeBytes < frameBytesMax && ofGroups.length < frameMessagesMax) {
        const { message, release } = groupMessage.value;
        ofGroups.push(message);
        for (const part of message.bytes) sizeBytes += part.length;
        if (release !== undefined) releases.push(release);
        groupMessage = groupMessages.next();
      }
      const frame = encodeFrame({
        from: this.#nodeId,
        to,
        incarnation: this.#incarnation,
        nodeMessages: ofNode,
        groupMessages: ofGroups,
      });
      this.#transport.send(to, frame, () => {
        for (const release of releases) release();
      });
    }
  }
}
