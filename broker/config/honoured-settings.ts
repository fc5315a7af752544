/**
 * Which of Kafka's broker settings Kappalog honours, and what each is used for. A setting stands here only if something
 * reads it: those that give a topic setting its default are read through `TopicConfig`, all others through a getter of
 * `BrokerConfig` (a test holds the two together). The sentences are what DescribeConfigs gives as documentation.
 */
export const honouredSettings: ReadonlyMap<string, string> = new Map([
  ['auto.create.topics.enable', 'Whether asking for the metadata of a missing topic creates it.'],
  [
    'compression.type',
    'The codec of stored batches; "producer" keeps each as it came; the default of the topic setting of that name.',
  ],
  ['connections.max.idle.ms', 'A connection without a request for so long is closed.'],
  ['default.replication.factor', 'Replicas of each partition of a topic that is created without a count.'],
  ['delete.topic.enable', 'Whether topics can be deleted.'],
  [
    'fetch.max.bytes',
    'The most record bytes in the answer to one fetch; a first batch larger than that still goes whole.',
  ],
  [
    'group.initial.rebalance.delay.ms',
    'How long an empty group waits for more members before its first assignment.',
  ],
  ['group.max.session.timeout.ms', 'The longest session timeout that a group member may ask for.'],
  ['group.max.size', 'The most members of one group.'],
  ['group.min.session.timeout.ms', 'The shortest session timeout that a group member may ask for.'],
  [
    'log.index.interval.bytes',
    'Bytes of log between two entries of its index; the default of index.interval.bytes.',
  ],
  [
    'log.index.size.max.bytes',
    'The size at which a full index rolls its segment; the default of segment.index.bytes.',
  ],
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
    'log.roll.hours',
    'The age at which a segment is rolled, where log.roll.ms is not set; gives segment.ms its default.',
  ],
  ['log.roll.ms', 'The age at which a segment is rolled; the default of segment.ms.'],
  ['log.segment.bytes', 'The size at which a segment is rolled; the default of segment.bytes.'],
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
  ['socket.request.max.bytes', 'The largest request; a larger one ends its connection.'],
]);
