/**
 * One measurement of one client, in a process of its own: `measure-client.ts TASK`, the task as JSON; prints the sample as JSON.
 * What warms up (a tenth) is not in the figures, but for the peak of memory.
 */
import { SeededRandom } from '../../platform/seeded-random.ts';
import type { BenchConsumer, ClientDriver, Sample, Task } from './driver.ts';

const task: Task = JSON.parse(process.argv[2] ?? '');

const importing = performance.now();
const startCpu = process.cpuUsage();
const { driver }: { driver: ClientDriver } = await import(`./drivers/${task.driver}.ts`);
const measures: Readonly<Record<Task['mode'], () => Promise<Sample>>> = {
  import: measureImport,
  produce: measureProduce,
  consume: measureConsume,
  'consume batches': measureConsume,
  'round trip': measureRoundTrips,
};
console.log(JSON.stringify(await measures[task.mode]()));

/** Of what is loaded before the first call: the library, and what it needs for the first producer. */
async function measureImport(): Promise<Sample> {
  const producer = await driver.producer(task);
  const seconds = (performance.now() - importing) / 1000;
  const sample = sampleOf(1, seconds, startCpu);
  await producer.close();
  return sample;
}

async function measureProduce(): Promise<Sample> {
  const values = someValues();
  const producer = await driver.producer(task);
  await producer.send(values, task.count / 10);
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  await producer.send(values, task.count);
  const sample = sampleOf(task.count, (performance.now() - startMs) / 1000, cpu);
  await producer.close();
  return sample;
}

async function measureConsume(): Promise<Sample> {
  const total = task.count + task.count / 10;
  const warm = task.count / 10;
  let [read, readBytes, startMs] = [0, 0, 0];
  let cpu = process.cpuUsage();
  let first = 0;
  let consumer: BenchConsumer | undefined;
  const sample = await new Promise<Sample>((resolve, reject) => {
    const onRecords = (count: number, bytes: number): void => {
      const before = read;
      read += count;
      readBytes += bytes;
      if (before < warm && read >= warm) {
        first = read;
        cpu = process.cpuUsage();
        startMs = performance.now();
      }
      if (before >= total || read < total) return;
      resolve(sampleOf(read - first, (performance.now() - startMs) / 1000, cpu));
    };
    driver.consumer(task, 'earliest', onRecords).then((made) => {
      consumer = made;
    }, reject);
  });
  await consumer?.close();
  if (read !== total || readBytes !== total * task.sizeBytes)
    throw new Error(`${read} records of ${readBytes} bytes were read, not ${total} of ${task.sizeBytes}.`);
  return sample;
}

async function measureRoundTrips(): Promise<Sample> {
  const values = someValues();
  let arrived: () => void = () => undefined;
  const consumer = await driver.consumer(task, 'latest', () => arrived());
  const producer = await driver.producer(task);
  const roundTrip = async (value: Buffer): Promise<number> => {
    const startMs = performance.now();
    const there = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await Promise.all([producer.send([value], 1), there]);
    return performance.now() - startMs;
  };
  for (let i = 0; i < task.count / 10; i += 1) await roundTrip(values[0]!);
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const latenciesMs: number[] = [];
  for (let i = 0; i < task.count; i += 1) latenciesMs.push(await roundTrip(values[i % values.length]!));
  const sample = sampleOf(task.count, (performance.now() - startMs) / 1000, cpu);
  await producer.close();
  await consumer.close();
  return { ...sample, latenciesMs };
}

function sampleOf(count: number, seconds: number, since: NodeJS.CpuUsage): Sample {
  const { user, system } = process.cpuUsage(since);
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  return { count, seconds, cpuSeconds: (user + system) / 1e6, peakBytes, latenciesMs: [] };
}

/** A thousand texts of the length, of words: so that they can be compressed as real ones can. */
function someValues(): Buffer[] {
  const random = new SeededRandom(1);
  const words = Array.from({ length: 500 }, () => random.uint32().toString(36));
  return Array.from({ length: 1_000 }, () => {
    let text = '';
    while (text.length < task.sizeBytes) text += `${words[random.below(words.length)]} `;
    return Buffer.from(text.slice(0, task.sizeBytes));
  });
}
