import { describe, expect, it } from 'vitest';
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../../../../client/group/consumer-protocol.ts';

describe('what group members exchange', () => {
  const owned = [
    { topic: 'b', partition: 1 },
    { topic: 'a', partition: 2 },
    { topic: 'a', partition: 0 },
  ];
  const sorted = [
    { topic: 'a', partition: 0 },
    { topic: 'a', partition: 2 },
    { topic: 'b', partition: 1 },
  ];

  it('comes back as it was, in order of topic and partition', () => {
    const subscription = { topics: ['b', 'a'], userData: Buffer.from('x'), owned, generation: 7 };
    expect(decodeSubscription(encodeSubscription(subscription))).toEqual({
      ...subscription,
      topics: ['a', 'b'],
      owned: sorted,
    });
    expect(decodeAssignment(encodeAssignment(owned))).toEqual(sorted);
  });

  it('is read in its oldest form, in one newer than known, and when empty', () => {
    // Version 0: one topic 't', no user data.
    const oldest = Buffer.from('000000000001000174ffffffff', 'hex');
    expect(decodeSubscription(oldest)).toEqual({ topics: ['t'], userData: null, owned: [], generation: -1 });
    const assignment = encodeAssignment(owned);
    assignment.writeInt16BE(99);
    expect(decodeAssignment(assignment)).toEqual(sorted);
    expect(decodeAssignment(Buffer.alloc(0))).toEqual([]);
  });
});
