/**
 * One sentence for each topic setting, as DescribeConfigs gives it on request. What Kappalog does not act on can only have
 * its default (`refused-settings.ts`).
 */
export const topicConfigNotes: ReadonlyMap<string, string> = new Map([
  ['cleanup.policy', 'What becomes of old records: delete, compact, both, or neither.'],
  ['compression.gzip.level', 'The gzip level for batches that the broker compresses.'],
  [
    'compression.lz4.level',
    'The lz4 level for batches that the broker compresses; only the default is possible here, as lz4 has one level.',
  ],
  ['compression.type', 'The codec of stored batches; "producer" keeps each as it came.'],
  ['compression.zstd.level', 'The zstd level for batches that the broker compresses.'],
  ['delete.retention.ms', 'How long compaction keeps a deletion mark.'],
  [
    'errors.deadletterqueue.group.enable',
    'Whether share groups may write their undeliverable records here; only false is possible, as there are none.',
  ],
  ['file.delete.delay.ms', 'How long the files of a deleted segment stay on disk.'],
  [
    'flush.messages',
    'Records after which they are synced at the latest; an acknowledged record always is, but with write.caching.',
  ],
  [
    'flush.ms',
    'The longest that a record may wait for its sync; an acknowledged record has been synced, but with write.caching.',
  ],
  [
    'follower.replication.throttled.replicas',
    'New replicas (partition:broker, or *) that are sent no more than follower.replication.throttled.rate.',
  ],
  ['index.interval.bytes', 'Bytes of log between two entries of its index.'],
  ['internal.segment.bytes', 'The segment size, without the lower bound of segment.bytes; for tests.'],
  [
    'leader.replication.throttled.replicas',
    'Leaders (partition:broker, or *) that send new replicas no more than leader.replication.throttled.rate.',
  ],
  [
    'local.retention.bytes',
    'Bytes of a tiered partition that stay on local disk; only the default is possible here.',
  ],
  ['local.retention.ms', 'How long a tiered segment stays on local disk; only the default is possible here.'],
  ['max.compaction.lag.ms', 'The longest that a record may wait for compaction.'],
  ['max.decompressed.message.bytes', 'The most bytes that a compressed batch may hold.'],
  ['max.message.bytes', 'The largest batch that is taken, as compressed.'],
  ['message.timestamp.after.max.ms', 'How far ahead of the broker a record may be in time.'],
  ['message.timestamp.before.max.ms', 'How far behind the broker a record may be in time.'],
  [
    'message.timestamp.type',
    'Whose time a record bears: CreateTime is the producer, LogAppendTime the broker.',
  ],
  ['min.cleanable.dirty.ratio', 'The uncompacted share of a log at which it is compacted.'],
  ['min.compaction.lag.ms', 'How long a record is safe from compaction.'],
  [
    'min.insync.replicas',
    'The replicas that must have a batch before acks=all is answered, at most one for each replica.',
  ],
  ['preallocate', 'Whether the file of a new segment gets its full size at once.'],
  [
    'remote.copy.lag.bytes',
    'How far copying to remote storage may fall behind, in bytes; only the default is possible here.',
  ],
  [
    'remote.copy.lag.ms',
    'How far copying to remote storage may fall behind, in time; only the default is possible here.',
  ],
  [
    'remote.log.copy.disable',
    'Whether no more segments go to remote storage; only the default is possible here.',
  ],
  [
    'remote.log.delete.on.disable',
    'Whether remote segments go when remote storage is turned off; only the default is possible here.',
  ],
  ['remote.storage.enable', 'Whether segments go to remote storage; only false is possible here.'],
  ['retention.bytes', 'The size beyond which old segments of a partition are deleted; -1 keeps all.'],
  ['retention.ms', 'The age beyond which old segments are deleted; -1 keeps all.'],
  ['segment.bytes', 'The size at which a segment is rolled.'],
  ['segment.index.bytes', 'The size at which a full index rolls its segment.'],
  ['segment.jitter.ms', 'Random time taken off segment.ms, so that segments do not all roll at once.'],
  ['segment.ms', 'The age at which a segment is rolled.'],
  [
    'unclean.leader.election.enable',
    'Whether a replica that lacks acknowledged records may lead; only false is possible here, as Raft never elects one.',
  ],
  [
    'write.caching',
    'Whether records are acknowledged before they are synced, from the page cache of a majority, as Kafka does; faster, and lost where a majority loses power.',
  ],
]);
