/** One question to whoever is at an address, on a connection of its own: for nodes whose id is not known yet. */
import type { Address } from '../../platform/network.ts';
import { dial } from './dial.ts';
import type { PendingQuestion } from './pending-question.ts';
import type { PeerLane } from './peer-requests.ts';
import type { PeerServices } from './peer-settings.ts';
import { QuestionChannel } from './question-channel.ts';

/** Settles the question, then runs `onDone`; nothing is left behind when that has happened. */
export function askAt(
  services: PeerServices,
  goal: { readonly address: Address; readonly lane: PeerLane },
  question: PendingQuestion,
  onDone: () => void,
): void {
  let channel: QuestionChannel | undefined;
  const cancel = dial(
    services,
    { ...goal, nodeId: -1 },
    {
      onUp: ({ peer }) => {
        channel = new QuestionChannel(peer, services);
        channel.ask(question);
        question.onSettled = () => {
          peer.destroy();
          onDone();
        };
        if (question.isSettled) peer.destroy();
      },
      onEnd: (_, error) => {
        const why = error === undefined ? 'it hung up' : error.message;
        channel!.fail('unreachable', `Lost the connection to ${question.asked.who}: ${why}`);
      },
      onFailure: (error) => question.fail('unreachable', error.message, error),
    },
  );
  question.onSettled = () => {
    cancel();
    onDone();
  };
}
