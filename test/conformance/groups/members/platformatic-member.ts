/**
 * A member that is a consumer of @platformatic/kafka. The argument before the configuration is the directory that it is installed in. What
 * it has no callback for is looked up: what it owns. It knows no way to close a static member so that it stays in the group: `stop` is
 * then the end of the process.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { emit, fail, memberConfig, onCommand, tellCommit } from './member-side.ts';

/** As much of its types as is used here. */
interface PlatformaticMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly value: string;
  commit(): Promise<void>;
}
interface PlatformaticStream extends AsyncIterable<PlatformaticMessage> {
  close(): Promise<void>;
}
interface PlatformaticConsumer {
  readonly assignments: readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null;
  consume(options: object): Promise<PlatformaticStream>;
  on(event: string, listener: (payload: unknown) => void): void;
  close(force: boolean): Promise<void>;
}
interface Platformatic {
  readonly Consumer: new (options: object) => PlatformaticConsumer;
  readonly stringDeserializer: (data: Buffer) => string;
}

const config = memberConfig();
const require = createRequire(join(process.argv.at(-2) ?? '', 'package.json'));
const { Consumer, stringDeserializer }: Platformatic = await import(
  pathToFileURL(require.resolve('@platformatic/kafka')).href
);

/** What the consumer owns is looked up so often. */
const lookMs = 5;

const group =
  config.protocol === 'consumer'
    ? { groupProtocol: 'consumer', groupRemoteAssignor: config.assignor }
    : {
        protocols: [{ name: config.assignor, version: config.assignor === 'cooperative-sticky' ? 3 : 1 }],
      };
const consumer = new Consumer({
  clientId: config.clientId,
  bootstrapBrokers: config.brokers.split(','),
  groupId: config.groupId,
  ...group,
  ...(config.instanceId === null ? {} : { groupInstanceId: config.instanceId }),
  sessionTimeout: config.sessionTimeoutMs,
  heartbeatInterval: config.heartbeatIntervalMs,
  rebalanceTimeout: config.rebalanceTimeoutMs,
  maxWaitTime: 100,
  autocommit: false,
  highWaterMark: 1,
  retries: 50,
  retryDelay: 100,
  deserializers: { value: stringDeserializer },
});

let told = '';
function tellOwned(): void {
  const partitions = Object.fromEntries(
    (consumer.assignments ?? []).map((of) => [of.topic, [...of.partitions].sort((a, b) => a - b)]),
  );
  const text = JSON.stringify(partitions);
  if (text !== told) emit({ event: 'owns', partitions });
  told = text;
}

setInterval(tellOwned, lookMs).unref();
consumer.on('consumer:heartbeat:error', (payload) => console.error('heartbeat', payload));
consumer.on('error', (error) => console.error(error));
let stream: PlatformaticStream | undefined;
onCommand(async (command) => {
  if (command === 'leave') await consumer.close(true);
});
try {
  stream = await consumer.consume({
    topics: [...config.topics],
    mode: 'committed',
    fallbackMode: 'earliest',
  });
  for await (const message of stream) {
    tellOwned();
    const { topic, partition, offset, value } = message;
    emit({ event: 'record', topic, partition, offset: Number(offset), value });
    await tellCommit({ [topic]: { [partition]: Number(offset) + 1 } }, () => message.commit());
  }
} catch (error) {
  fail(error);
}
