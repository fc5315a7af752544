/** Which names a topic may have, by Kafka's rules. A name is also the beginning of a directory's name. */

export const consumerOffsetsTopic = '__consumer_offsets';
export const transactionStateTopic = '__transaction_state';
/** The metadata log itself: not a topic that anybody can make or ask for. */
export const clusterMetadataTopic = '__cluster_metadata';

const internalTopics: ReadonlySet<string> = new Set([
  consumerOffsetsTopic,
  transactionStateTopic,
  '__share_group_state',
]);

const lengthMax = 249;

/** What is wrong with a topic's name, as a sentence; undefined where nothing is. */
export function topicNameFault(name: string): string | undefined {
  if (name === '') return 'Topic name is invalid: it is empty. Give a name of 1 to 249 characters.';
  if (name === '.' || name === '..') {
    return `Topic name is invalid: '${name}' is not allowed, as it would name a directory. Choose another one.`;
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return (
      `Topic name is invalid: '${shown(name)}' contains characters other than ASCII letters, digits, ` +
      `'.', '_' and '-'. Leave them out.`
    );
  }
  if (name.length > lengthMax) {
    return (
      `Topic name is invalid: '${shown(name)}' has ${name.length} characters, and ${lengthMax} is the most. ` +
      'Choose a shorter one.'
    );
  }
  return undefined;
}

/** Names that differ only in '.' and '_' share this key; Kafka allows one of them, as its metrics cannot tell them apart. */
export function collisionKey(name: string): string {
  return name.replaceAll('.', '_');
}

/** Whether the brokers themselves keep their state in this topic. */
export function isInternalTopic(name: string): boolean {
  return internalTopics.has(name);
}

/** A name short enough for a message. */
function shown(name: string): string {
  return name.length > 300 ? `${name.slice(0, 300)}...` : name;
}
