/**
 * Settings of Kafka's that Kappalog knows and does not act on, each with the reason. A topic may have such a setting at its
 * default, as tools write defaults down; any other value is refused rather than kept without effect.
 */

const tiering = 'Kappalog has no tiered storage';

/** Why a topic cannot have another value than the default, by the setting's name. */
export const refusedTopicSettings: ReadonlyMap<string, string> = new Map([
  ['compression.lz4.level', 'lz4 has one level here'],
  ['errors.deadletterqueue.group.enable', 'Kappalog has no share groups'],
  ['local.retention.bytes', tiering],
  ['local.retention.ms', tiering],
  ['remote.copy.lag.bytes', tiering],
  ['remote.copy.lag.ms', tiering],
  ['remote.log.copy.disable', tiering],
  ['remote.log.delete.on.disable', tiering],
  ['remote.storage.enable', tiering],
  ['unclean.leader.election.enable', 'Raft elects only a replica that has all committed records'],
]);

/** Why a broker does not take a setting at all, where more can be said than that nothing reads it. */
export const refusedBrokerSettings: ReadonlyMap<string, string> = new Map([
  ['compression.lz4.level', 'lz4 has one level here'],
  ['log.cleaner.threads', 'a node is one thread, and compaction runs on it in slices'],
  ['metadata.log.dir', 'the metadata log lies in the first directory of log.dirs'],
  ['unclean.leader.election.enable', 'Raft elects only a replica that has all committed records'],
]);
