/**
 * What the client tells of itself, through `node:diagnostics_channel`: tracing channels for what takes time (`tracing:NAME:start`, `:end`,
 * `:asyncStart`, `:asyncEnd`, `:error`), plain ones for what happens. Names and payloads are part of the client's API. Without
 * subscribers nothing is made for them: who publishes looks at `hasSubscribers` before it makes a payload.
 */
import { channel, tracingChannel } from 'node:diagnostics_channel';
import type {
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
} from './payloads.ts';

export const connectionChannel = tracingChannel<unknown, ConnectionTrace>('kappalog:connection:open');
export const requestChannel = tracingChannel<unknown, RequestTrace>('kappalog:connection:request');
export const metadataChannel = tracingChannel<unknown, MetadataTrace>('kappalog:metadata:refresh');
export const sendChannel = tracingChannel<unknown, SendTrace>('kappalog:producer:send');
export const fetchChannel = tracingChannel<unknown, FetchTrace>('kappalog:consumer:fetch');
export const receiveChannel = tracingChannel<unknown, ReceiveTrace>('kappalog:consumer:receive');
export const processChannel = tracingChannel<unknown, ProcessTrace>('kappalog:consumer:process');
export const commitChannel = tracingChannel<unknown, CommitTrace>('kappalog:consumer:commit');
export const rebalanceChannel = tracingChannel<unknown, RebalanceTrace>('kappalog:consumer:rebalance');

export const connectionLostChannel = channel('kappalog:connection:lost');
export const stalledChannel = channel('kappalog:consumer:stalled');
export const recoveredChannel = channel('kappalog:consumer:recovered');
export const heartbeatFailedChannel = channel('kappalog:consumer:heartbeat-failed');
export const eventLoopStalledChannel = channel('kappalog:consumer:event-loop-stalled');

/** The payloads of the tracing channels, by name. */
export interface TracePayloads {
  'kappalog:connection:open': ConnectionTrace;
  'kappalog:connection:request': RequestTrace;
  'kappalog:metadata:refresh': MetadataTrace;
  'kappalog:producer:send': SendTrace;
  'kappalog:consumer:fetch': FetchTrace;
  'kappalog:consumer:receive': ReceiveTrace;
  'kappalog:consumer:process': ProcessTrace;
  'kappalog:consumer:commit': CommitTrace;
  'kappalog:consumer:rebalance': RebalanceTrace;
}

/** The payloads of the plain channels, by name. */
export interface EventPayloads {
  'kappalog:connection:lost': ConnectionLost;
  'kappalog:consumer:stalled': Stall;
  'kappalog:consumer:recovered': Stall;
  'kappalog:consumer:heartbeat-failed': HeartbeatFailed;
  'kappalog:consumer:event-loop-stalled': EventLoopStalled;
}
