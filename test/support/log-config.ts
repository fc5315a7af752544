/** A log's settings as a topic has them that sets none: Kafka's defaults. */
import type { LogConfig } from '../../broker/log/log-types.ts';

const hourMs = 3600 * 1000;

export const logConfigDefaults: LogConfig = {
  segmentBytes: 1024 * 1024 * 1024,
  segmentMs: 7 * 24 * hourMs,
  segmentIndexBytes: 10 * 1024 * 1024,
  indexIntervalBytes: 4096,
  segmentJitterMs: 0,
  deletes: true,
  compacts: false,
  retentionMs: 7 * 24 * hourMs,
  retentionBytes: -1,
  fileDeleteDelayMs: 60_000,
  deleteRetentionMs: 24 * hourMs,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
  minCleanableDirtyRatio: 0.5,
  preallocate: false,
  flushMessages: Number.MAX_SAFE_INTEGER,
  flushMs: Number.MAX_SAFE_INTEGER,
  writeCaching: false,
  maxMessageBytes: 1024 * 1024 + 12,
};
