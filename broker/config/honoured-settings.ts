/**
 * Which broker settings Kappalog honours, Kafka's and its own, and what each is used for. A setting stands here only if something
 * reads it: those that give a topic setting its default are read through `TopicConfig`, all others through a getter of
 * `BrokerConfig` (a test holds the two together), or those of consumer groups through `consumer-group-settings.ts`. The sentences are what DescribeConfigs gives as documentation.
 */
import { consumerBrokerSettings } from './consumer-group-settings.ts';

const readByGetters: ReadonlyMap<string, string> = new Map([
  ['auto.create.topics.enable', 'Whether asking for the metadata of a missing topic creates it.'],
  [
    'auto.leader.rebalance.enable',
    'Whether leadership goes back to preferred leaders by itself, once they are in sync.',
  ],
  [
    'broker.heartbeat.interval.ms',
    'How often a node tells the controller that it is there, where there are others.',
  ],
  [
    'broker.session.timeout.ms',
    'A node that the controller has not heard for so long is fenced: it gets no replicas, and clients are not sent to it.',
  ],
  [
    'compression.gzip.level',
    'The gzip level for batches that the broker compresses; the default of the topic setting of that name.',
  ],
  [
    'compression.type',
    'The codec of stored batches; "producer" keeps each as it came; the default of the topic setting of that name.',
  ],
  [
    'compression.zstd.level',
    'The zstd level for batches that the broker compresses; the default of the topic setting of that name.',
  ],
  ['connections.max.idle.ms', 'A connection without a request for so long is closed.'],
  ['default.replication.factor', 'Replicas of each partition of a topic that is created without a count.'],
  ['delete.topic.enable', 'Whether topics can be deleted.'],
  [
    'fetch.max.bytes',
    'The most record bytes in the answer to one fetch; a first batch larger than that still goes whole.',
  ],
  [
    'follower.replication.throttled.rate',
    'Bytes per second that this node is sent as a new replica of the partitions named by the topic setting; set while it runs.',
  ],
  [
    'group.initial.rebalance.delay.ms',
    'How long an empty group waits for more members before its first assignment.',
  ],
  ['group.max.session.timeout.ms', 'The longest session timeout that a group member may ask for.'],
  ['group.max.size', 'The most members of one group.'],
  ['group.min.session.timeout.ms', 'The shortest session timeout that a group member may ask for.'],
  [
    'kappalog.catch.up.bytes.per.second',
    'Bytes per second at which this node copies what its replicas lack as files, and at which it sends new replicas what they lack as records.',
  ],
  [
    'kappalog.drained.nodes',
    'Nodes that are to hold nothing: their replicas go to others, and they get none until they are taken off. For all brokers alone, while they run.',
  ],
  [
    'kappalog.group.lag.interval.ms',
    'How often a node looks how far the groups that it coordinates are behind; 0 turns that off.',
  ],
  [
    'kappalog.group.lag.metrics',
    'The most groups, and the most partitions of groups, whose lag the metrics show one by one: those furthest behind.',
  ],
  [
    'kappalog.group.lag.partitions',
    'The most partitions, over all groups that a node coordinates, of which it looks how far the groups are behind.',
  ],
  [
    'kappalog.leader.lease.clock.drift.percent',
    'How much faster, in percent, the clock of one node may run than that of another while leases hold; a lease is shorter by that.',
  ],
  [
    'kappalog.leader.lease.enable',
    'Whether leaders answer for their leadership without asking the others while these have promised to elect nobody else; the same on all nodes, see below.',
  ],
  [
    'kappalog.scrub.bytes.per.second',
    'Bytes per second at which the segments of each data directory are read again and checked; 0 turns that off.',
  ],
  [
    'leader.imbalance.check.interval.seconds',
    'How often a node looks whether others are to lead what it leads.',
  ],
  [
    'leader.replication.throttled.rate',
    'Bytes per second that this node sends new replicas of the partitions named by the topic setting; set while it runs.',
  ],
  ['log.cleaner.backoff.ms', 'How long compaction rests when no log needs it.'],
  ['log.cleaner.dedupe.buffer.size', 'Bytes of memory for the keys of the log that is being compacted.'],
  [
    'log.cleaner.delete.retention.ms',
    'How long compaction keeps a deletion mark; the default of delete.retention.ms.',
  ],
  ['log.cleaner.enable', 'Whether logs are compacted.'],
  [
    'log.cleaner.io.buffer.load.factor',
    'How full the memory for keys gets before a log is compacted in several passes.',
  ],
  ['log.cleaner.io.buffer.size', 'Bytes of one read and of one write of compaction.'],
  ['log.cleaner.io.max.bytes.per.second', 'The most bytes per second that compaction reads and writes.'],
  [
    'log.cleaner.max.compaction.lag.ms',
    'The longest that a record may wait for compaction; the default of max.compaction.lag.ms.',
  ],
  [
    'log.cleaner.min.cleanable.ratio',
    'The uncompacted share of a log at which it is compacted; the default of min.cleanable.dirty.ratio.',
  ],
  [
    'log.cleaner.min.compaction.lag.ms',
    'How long a record is safe from compaction; the default of min.compaction.lag.ms.',
  ],
  [
    'log.cleanup.policy',
    'What becomes of old records: delete, compact, both, or neither; the default of cleanup.policy.',
  ],
  ['log.dir', 'Where everything is kept, where log.dirs is not set; --data-dir says the same.'],
  [
    'log.dirs',
    'The directories in which everything is kept, the metadata log in the first; --data-dir says the same.',
  ],
  [
    'log.flush.interval.messages',
    'Records of a partition after which they are synced at the latest; the default of flush.messages.',
  ],
  ['log.flush.interval.ms', 'The longest that a record may wait for its sync; the default of flush.ms.'],
  [
    'log.index.interval.bytes',
    'Bytes of log between two entries of its index; the default of index.interval.bytes.',
  ],
  [
    'log.index.size.max.bytes',
    'The size at which a full index rolls its segment; the default of segment.index.bytes.',
  ],
  ['log.initial.task.delay.ms', 'How long after the start retention, compaction and scrubbing begin.'],
  [
    'log.message.timestamp.after.max.ms',
    'How far ahead of the clock a record may be; the default of message.timestamp.after.max.ms.',
  ],
  [
    'log.message.timestamp.before.max.ms',
    'How far behind the clock a record may be; the default of message.timestamp.before.max.ms.',
  ],
  [
    'log.message.timestamp.type',
    'Whose time a record bears, CreateTime or LogAppendTime; the default of message.timestamp.type.',
  ],
  [
    'log.preallocate',
    'Whether the file of a new segment gets its full size at once; the default of preallocate.',
  ],
  [
    'log.retention.bytes',
    'The size beyond which old segments of a partition are deleted; the default of retention.bytes.',
  ],
  [
    'log.retention.check.interval.ms',
    'How often logs are looked through for segments whose retention is over.',
  ],
  [
    'log.retention.hours',
    'The age at which segments are deleted, where neither log.retention.minutes nor log.retention.ms is set.',
  ],
  ['log.retention.minutes', 'The age at which segments are deleted, where log.retention.ms is not set.'],
  ['log.retention.ms', 'The age at which segments are deleted; the default of retention.ms.'],
  [
    'log.roll.hours',
    'The age at which a segment is rolled, where log.roll.ms is not set; gives segment.ms its default.',
  ],
  [
    'log.roll.jitter.hours',
    'Random time taken off the age at which a segment is rolled, where log.roll.jitter.ms is not set.',
  ],
  [
    'log.roll.jitter.ms',
    'Random time taken off the age at which a segment is rolled; the default of segment.jitter.ms.',
  ],
  ['log.roll.ms', 'The age at which a segment is rolled; the default of segment.ms.'],
  ['log.segment.bytes', 'The size at which a segment is rolled; the default of segment.bytes.'],
  [
    'log.segment.delete.delay.ms',
    'How long the files of a deleted segment stay on disk; the default of file.delete.delay.ms.',
  ],
  ['max.connections', 'The most connections at one time; more are closed as they come.'],
  [
    'max.connections.per.ip',
    'The most connections at one time from one address; more are closed as they come.',
  ],
  [
    'max.decompressed.message.bytes',
    'The most bytes that a compressed batch may hold; the default of max.decompressed.message.bytes.',
  ],
  ['max.incremental.fetch.session.cache.slots', 'The most incremental fetch sessions that are kept.'],
  ['max.request.partition.size.limit', 'The most partitions in one answer to DescribeTopicPartitions.'],
  ['message.max.bytes', 'The largest batch that is taken, as compressed; the default of max.message.bytes.'],
  [
    'min.insync.replicas',
    'How many replicas must be in sync, and hold a record on disk, before acks=all is answered; the default of the topic setting.',
  ],
  ['num.partitions', 'Partitions of a topic that is created without a count.'],
  ['offset.metadata.max.bytes', 'The most bytes of metadata that may go with one committed offset.'],
  [
    'offsets.retention.check.interval.ms',
    'How often committed offsets are looked through for those whose retention is over.',
  ],
  ['offsets.retention.minutes', 'How long the offsets of a group without members are kept.'],
  ['offsets.topic.num.partitions', 'Partitions of __consumer_offsets; counts when that topic is created.'],
  [
    'offsets.topic.replication.factor',
    'Replicas of __consumer_offsets, at most one for each node; counts when that topic is created.',
  ],
  ['offsets.topic.segment.bytes', 'Segment size of __consumer_offsets; counts when that topic is created.'],
  ['producer.id.expiration.ms', 'How long the sequence numbers of an idle producer are kept.'],
  [
    'queued.max.request.bytes',
    'Bytes of requests held at one time before reading from sockets stops; -1 leaves it to the broker.',
  ],
  [
    'replica.alter.log.dirs.io.max.bytes.per.second',
    'Bytes per second at which this node moves replicas between its data directories; set while it runs.',
  ],
  [
    'replica.lag.time.max.ms',
    "A replica that has not had all of its leader's log for so long is out of sync.",
  ],
  [
    'replica.selector.class',
    'Whether clients are told of an in-sync replica in their own rack: RackAwareReplicaSelector of Apache Kafka.',
  ],
  ['socket.request.max.bytes', 'The largest request; a larger one ends its connection.'],
  [
    'write.caching',
    'Whether records are acknowledged before they are synced; the default of the topic setting of that name.',
  ],
]);

/** All of them, in order of name. */
export const honouredSettings: ReadonlyMap<string, string> = new Map(
  [...readByGetters, ...consumerBrokerSettings].toSorted(([left], [right]) => (left < right ? -1 : 1)),
);

/**
 * Settings of the cluster as a whole, which are read from its metadata: they are set while it runs and for all brokers, neither at the
 * start of a node nor for one alone.
 */
export const clusterSettings: ReadonlySet<string> = new Set(['kappalog.drained.nodes']);

/** Settings that are read from the metadata, where they are set while nodes run: they cannot be given at the start of one. */
export const runtimeSettings: ReadonlySet<string> = new Set([
  'follower.replication.throttled.rate',
  'leader.replication.throttled.rate',
  'replica.alter.log.dirs.io.max.bytes.per.second',
]);
