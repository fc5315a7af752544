/** How long producers wait while a consumer reads history that is not in memory, against how long without it. */
import { join } from 'node:path';
import { startBroker } from '../../test/support/broker-process.ts';
import type { BrokerProcess } from '../../test/support/broker-process.ts';
import { ChildProcesses } from '../../test/support/child-processes.ts';
import { Kbench } from '../../test/support/kbench.ts';
import { median } from '../table.ts';
import { evict } from './bench-log.ts';
import type { LogBenchLine, LogBenchOptions } from './bench-log.ts';

const fullRecords = 2_000_000;
const valueBytes = 1024;
/** Records a second of the producer that is watched. */
const rate = 1000;

export async function coldConsumerRow(options: LogBenchOptions): Promise<LogBenchLine[]> {
  const children = new ChildProcesses();
  const kbench = await Kbench.build(children);
  const directory = join(options.directory, 'cold-consumer');
  const broker = await startBroker('kappalog', children, { port: options.port, directory });
  const records = options.quick ? fullRecords / 10 : fullRecords;
  const history = { brokers: broker.address, topic: 'history', size: valueBytes, n: records };
  await kbench.run({ ...history, mode: 'produce' });
  const ratios: number[] = [];
  const aloneMs: number[] = [];
  const besideMs: number[] = [];
  // As long as the history takes to read, which is found out first: the consumer is there all the time.
  evict(join(broker.dataDirectory, `${history.topic}-0`));
  const { seconds: readSeconds = 1 } = await kbench.run({ ...history, mode: 'consume' });
  const seconds = Math.max(1, Math.floor(readSeconds));
  await latencyMs(kbench, broker, { seconds, label: 'warm' });
  for (let run = 0; run < options.runs; run++) {
    const alone = await latencyMs(kbench, broker, { seconds, label: `alone-${run}` });
    evict(join(broker.dataDirectory, `${history.topic}-0`));
    const [beside] = await Promise.all([
      latencyMs(kbench, broker, { seconds, label: `beside-${run}` }),
      kbench.run({ ...history, mode: 'consume' }),
    ]);
    aloneMs.push(alone);
    besideMs.push(beside);
    ratios.push(beside / alone);
  }
  await broker.stop();
  const detail = `for ${seconds} s: ${median(besideMs).toFixed(2)} ms against ${median(aloneMs).toFixed(2)} ms`;
  return [
    { name: 'p99 of produce beside a cold consumer', figure: `${median(ratios).toFixed(2)} times`, detail },
  ];
}

/** The 99th percentile of the time to an acknowledgement. */
async function latencyMs(
  kbench: Kbench,
  broker: BrokerProcess,
  { seconds, label }: { readonly seconds: number; readonly label: string },
): Promise<number> {
  const topic = `latency-${label}`;
  const common = { brokers: broker.address, topic };
  const { ack_ms: ack } = await kbench.run({ ...common, mode: 'e2e', rate, n: rate * seconds, size: 1024 });
  await kbench.run({ ...common, mode: 'delete' });
  if (ack === undefined) throw new Error('kbench measured no latency.');
  return ack.p99;
}
