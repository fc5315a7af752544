/** The public door of the client: everything that an application may use. */
export type {
  BrokerDescription,
  ClusterDescription,
  ConfigChange,
  ConfigDescription,
  ConfigEntry,
  ConfigResource,
  ConfigSource,
  CreatedTopic,
  FeatureDescription,
  ConsumerGroupMember,
  GroupDescription,
  GroupFilter,
  GroupListing,
  MemberIdentity,
  MemberResult,
  GroupMember,
  GroupOffset,
  GroupOffsetInput,
  LogDirDescription,
  LogDirPartition,
  ReplicaLogDir,
  ReplicaLogDirResult,
  NewTopic,
  OffsetQuery,
  OffsetResult,
  OngoingReassignment,
  PartitionDescription,
  PartitionResult,
  PartitionReassignment,
  QuorumDescription,
  QuorumMember,
  ReassignOptions,
  TopicDescription,
  TopicListing,
} from './admin/admin-types.ts';
export type { Admin, ChangeOptions } from './admin/admin.ts';
export type { Consumer } from './consumer/consumer.ts';
export type { GroupMetadata, Lag, Position } from './consumer/standing.ts';
export type { BatchHandler, HandlerContext, MessageHandler } from './consumer/parallel-handling.ts';
export { KafkaError } from './errors.ts';
export type { KafkaErrorCode } from './errors.ts';
export { Kappalog } from './kappalog.ts';
export type {
  Content,
  Header,
  HeadersInput,
  Message,
  MessageBatch,
  MessageInput,
  ProducerRecord,
  RecordMetadata,
  TopicPartition,
} from './messages.ts';
export type {
  Assignment,
  AssignorName,
  CallOptions,
  ConsumerOptions,
  DrainOptions,
  EachBatchOptions,
  EachOptions,
  KappalogOptions,
  OffsetSpec,
  ProducerOptions,
  RebalanceListener,
  RetryOptions,
  StartPlace,
} from './options.ts';
export type { Producer, ProducerCloseOptions } from './producer/producer.ts';
export type { Delivery } from './producer/settlement.ts';
export { provenanceHeader, readProvenance, Replay, ReplayError, resolveRange } from './replay/replay.ts';
export type {
  PartitionRange,
  PlannedDestination,
  PlannedPartition,
  Provenance,
  RangeRequest,
  RecordCoordinates,
  ReplayCounts,
  ReplayDestination,
  ReplayErrorCode,
  ReplayOptions,
  ReplayPace,
  ReplayPlan,
  ReplayPosition,
  ReplayProgress,
  ReplayRecord,
  ReplayResult,
  ReplaySink,
} from './replay/replay.ts';
export * as serde from './serialization/serdes.ts';
export type { Serde, SerdeContext } from './serialization/serde.ts';
export type { StandardSchema } from './serialization/standard-schema.ts';
export { Topic, topic, UndecodableError } from './serialization/topic.ts';
export type { TopicSerdes, TypedInput, TypedMessage, TypedMessagesOptions } from './serialization/topic.ts';
export type { OAuthToken } from './sasl/oauth-bearer.ts';
export type { SaslOptions, SaslPassword, SaslToken } from './sasl/sasl-options.ts';
export type { EventPayloads, TracePayloads } from './telemetry/channels.ts';
export type { Logger } from './telemetry/logger.ts';
export type {
  CommitTrace,
  ConnectionLost,
  ConnectionTrace,
  EventLoopStalled,
  FetchTrace,
  HeartbeatFailed,
  MetadataTrace,
  ProcessTrace,
  RebalanceTrace,
  ReceiveTrace,
  RequestTrace,
  SendTrace,
  Stall,
  StallReason,
} from './telemetry/payloads.ts';
