/**
 * One sentence for each topic setting, as DescribeConfigs gives it on request. All of Kafka's topic settings are taken,
 * checked and kept; those that Kappalog does not act on say so.
 */
const kept = 'Kept for tools that set it; this broker does not act on it.';

export const topicConfigNotes: ReadonlyMap<string, string> = new Map([
  ['cleanup.policy', `What becomes of old records: delete, compact, both, or neither. ${kept}`],
  ['compression.gzip.level', `The gzip level for batches that the broker compresses. ${kept}`],
  ['compression.lz4.level', `The lz4 level for batches that the broker compresses. ${kept}`],
  ['compression.type', 'The codec of stored batches; "producer" keeps each as it came.'],
  ['compression.zstd.level', `The zstd level for batches that the broker compresses. ${kept}`],
  ['delete.retention.ms', `How long compaction keeps a deletion mark. ${kept}`],
  [
    'errors.deadletterqueue.group.enable',
    `Whether share groups may write their undeliverable records here. ${kept}`,
  ],
  ['file.delete.delay.ms', `How long the files of a deleted segment stay on disk. ${kept}`],
  ['flush.messages', 'Records between two syncs. Not needed: an acknowledged record has been synced.'],
  ['flush.ms', 'Time between two syncs. Not needed: an acknowledged record has been synced.'],
  ['follower.replication.throttled.replicas', `Replicas whose catching up is slowed down. ${kept}`],
  ['index.interval.bytes', 'Bytes of log between two entries of its index.'],
  ['internal.segment.bytes', 'The segment size, without the lower bound of segment.bytes; for tests.'],
  ['leader.replication.throttled.replicas', `Replicas whose feeding of followers is slowed down. ${kept}`],
  ['local.retention.bytes', `Bytes of a tiered partition that stay on local disk. ${kept}`],
  ['local.retention.ms', `How long a tiered segment stays on local disk. ${kept}`],
  ['max.compaction.lag.ms', `The longest that a record may wait for compaction. ${kept}`],
  ['max.decompressed.message.bytes', 'The most bytes that a compressed batch may hold.'],
  ['max.message.bytes', 'The largest batch that is taken, as compressed.'],
  ['message.timestamp.after.max.ms', 'How far ahead of the broker a record may be in time.'],
  ['message.timestamp.before.max.ms', 'How far behind the broker a record may be in time.'],
  [
    'message.timestamp.type',
    'Whose time a record bears: CreateTime is the producer, LogAppendTime the broker.',
  ],
  ['min.cleanable.dirty.ratio', `The uncompacted share of a log at which it is compacted. ${kept}`],
  ['min.compaction.lag.ms', `How long a record is safe from compaction. ${kept}`],
  [
    'min.insync.replicas',
    'The replicas that must have a batch before acks=all is answered, at most one for each replica.',
  ],
  ['preallocate', `Whether the file of a new segment gets its full size at once. ${kept}`],
  ['remote.copy.lag.bytes', `How far copying to remote storage may fall behind, in bytes. ${kept}`],
  ['remote.copy.lag.ms', `How far copying to remote storage may fall behind, in time. ${kept}`],
  ['remote.log.copy.disable', `Whether no more segments go to remote storage. ${kept}`],
  ['remote.log.delete.on.disable', `Whether remote segments go when remote storage is turned off. ${kept}`],
  ['remote.storage.enable', 'Whether segments go to remote storage; only false is possible here.'],
  ['retention.bytes', `The size beyond which old segments are deleted. ${kept}`],
  ['retention.ms', `The age beyond which old segments are deleted. ${kept}`],
  ['segment.bytes', 'The size at which a segment is rolled.'],
  ['segment.index.bytes', 'The size at which a full index rolls its segment.'],
  [
    'segment.jitter.ms',
    `Random time taken off segment.ms, so that segments do not all roll at once. ${kept}`,
  ],
  ['segment.ms', 'The age at which a segment is rolled.'],
  ['unclean.leader.election.enable', `Whether a replica that lacks acknowledged records may lead. ${kept}`],
]);
