import { expect, it } from 'vitest';
import { readAnswers } from '../../../../client/producer/produce-request.ts';
import type { SentBatch } from '../../../../client/producer/produce-request.ts';

const topicId = 'T'.repeat(21).concat('A');

it('answers go by the ids that were asked with, whatever has become of the topics since', () => {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Nothing else of a batch is looked at.
  const sent = [0, 1].map((partition) => ({
    queue: { topic: 't', partition },
    attempt: 1,
  })) as unknown as SentBatch[];
  const answer = (index: number) => ({
    index,
    errorCode: index,
    baseOffset: -1,
    logAppendTimeMs: -1,
    logStartOffset: -1,
    recordErrors: [],
    errorMessage: null,
    currentLeader: { leaderId: -1, leaderEpoch: -1 },
  });
  for (const named of [
    { name: '', topicId },
    { name: 't', topicId: 'A'.repeat(22) },
  ]) {
    const responses = [{ ...named, partitionResponses: [answer(1), answer(0)] }];
    const asked = { topicData: [{ name: 't', topicId, partitionData: [] }] };
    const answers = readAnswers({ responses, nodeEndpoints: [], throttleTimeMs: 0 }, asked, sent);
    expect(answers.map((item) => item.answer?.errorCode)).toEqual([0, 1]);
  }
});
