/** The embeddable broker: `import { startBroker } from 'kappalog/broker'`. */
export { startBroker } from './node.ts';
export type { Broker, BrokerOptions } from './node.ts';
export { StartError } from './start-error.ts';
export type { StartErrorCode } from './start-error.ts';
export type { Logger } from './logger.ts';
/** What is left of a cluster whose majority is lost. */
export { keepSurvivors } from './node-recovery.ts';
/** Logs on the disk, without a broker: what `kappalog log` is made of. */
export {
  brokersOn,
  DirectoryLocked,
  dumpLogs,
  NothingToInspect,
  repairLogs,
  RepairRefused,
  sentenceOf,
  verifyLogs,
} from './inspect/inspection.ts';
export type { DumpOptions, Finding, RecordDecoder } from './inspect/inspection.ts';
