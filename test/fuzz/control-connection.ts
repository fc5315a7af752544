/**
 * A well-behaved connection: one request at a time, every answer decoded. It prepares what the fuzzer works on, and as the
 * bystander it shows that other connections are not hurt: it is never reopened, so a close is a failure.
 */
import type { MessageTypes } from '../../protocol/index.ts';
import {
  decodeBatch,
  decodeResponse,
  encodeBatch,
  encodeRequest,
  errorName,
  iterateBatches,
} from '../../protocol/index.ts';
import { RawConnection } from './raw-connection.ts';

/** Versions old enough for every broker that the fuzzer may meet. */
const versions = {
  ApiVersions: 3,
  Metadata: 12,
  CreateTopics: 7,
  DeleteTopics: 5,
  Produce: 9,
  Fetch: 12,
} as const;
type Api = keyof typeof versions;

export const canaryTopic = 'canary';

export class ControlConnection {
  readonly #connection: RawConnection;
  #correlationId = 0;

  constructor(connection: RawConnection) {
    this.#connection = connection;
  }

  static async open(host: string, port: number): Promise<ControlConnection> {
    return new ControlConnection(await RawConnection.open(host, port));
  }

  close(): void {
    this.#connection.destroy();
  }

  /** Rejects when the connection ends, or nothing comes for 20 s. */
  async request<A extends Api>(api: A, body: unknown): Promise<MessageTypes[`${A}Response`]> {
    const apiVersion = versions[api];
    this.#correlationId += 1;
    const head = { api, apiVersion, correlationId: this.#correlationId, clientId: 'bystander' };
    this.#connection.send(Buffer.concat(encodeRequest(head, body)));
    const { frames, outcome } = await this.#connection.take(1, 20_000);
    const [frame] = frames;
    if (frame === undefined) throw new Error(`The bystander's ${api} was not answered: ${outcome}.`);
    const response = decodeResponse<MessageTypes[`${A}Response`]>(api, apiVersion, frame);
    if (response.correlationId !== this.#correlationId) {
      throw new Error(`The bystander's ${api} got the answer to another request.`);
    }
    return response.body;
  }

  /** What the broker serves to clients: key, lowest and highest version. */
  async served(): Promise<{ key: number; min: number; max: number }[]> {
    const body = { clientSoftwareName: 'fuzz', clientSoftwareVersion: '1' };
    const { errorCode, apiKeys } = await this.request('ApiVersions', body);
    if (errorCode !== 0 || apiKeys.length === 0)
      throw new Error(`ApiVersions answered ${errorName(errorCode)}.`);
    return apiKeys.map(({ apiKey, minVersion, maxVersion }) => ({
      key: apiKey,
      min: minVersion,
      max: maxVersion,
    }));
  }

  /** Leaves the canary and the given topics, all with two partitions, and nothing else but internal topics. */
  async resetTopics(names: readonly string[]): Promise<{ name: string; id: string }[]> {
    const wanted = [canaryTopic, ...names];
    const { topics } = await this.request('Metadata', { topics: null });
    const surplus = topics.filter(({ name, isInternal }) => !isInternal && !wanted.includes(name ?? ''));
    if (surplus.length > 0) {
      const topicNames = surplus.map(({ name }) => name ?? '');
      await this.request('DeleteTopics', { topicNames, timeoutMs: 20_000 });
    }
    const create = wanted.map((name) => ({ name, numPartitions: 2, replicationFactor: 1 }));
    const created = await this.request('CreateTopics', { topics: create, timeoutMs: 20_000 });
    for (const { name, errorCode } of created.topics) {
      const code = errorName(errorCode);
      if (code !== 'NONE' && code !== 'TOPIC_ALREADY_EXISTS')
        throw new Error(`Creating ${name} answered ${code}.`);
    }
    const after = await this.request('Metadata', { topics: wanted.map((name) => ({ name })) });
    return after.topics.map(({ name, topicId }) => ({ name: name ?? '', id: topicId }));
  }

  /** Resolves once the canary topic takes records: its leader may need a moment after the creation. */
  async waitForCanary(): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await this.roundTrip(-1);
        return;
      } catch (error) {
        if (attempt === 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  /** Writes and reads back so many bytes, in large batches: a broker's caches are full then, and its memory can be compared. */
  async fillCaches(sizeBytes: number): Promise<void> {
    const batchBytes = 900_000;
    const records = encodeBatch([{ timestamp: Date.now(), value: Buffer.alloc(batchBytes, 'x') }]);
    let fetchOffset = -1;
    for (let sent = 0; sent < sizeBytes; sent += batchBytes) {
      const partitionData = [{ index: 1, records }];
      const produced = await this.request('Produce', {
        acks: -1,
        timeoutMs: 20_000,
        topicData: [{ name: canaryTopic, partitionData }],
      });
      const stored = produced.responses[0]?.partitionResponses[0];
      if (stored?.errorCode !== 0) throw new Error(`Filling answered ${errorName(stored?.errorCode ?? -1)}.`);
      if (fetchOffset < 0) fetchOffset = stored.baseOffset;
    }
    for (let read = 0; read < sizeBytes;) {
      const partitions = [{ partition: 1, fetchOffset, partitionMaxBytes: 8_000_000 }];
      const body = {
        maxWaitMs: 1000,
        minBytes: 1,
        maxBytes: 8_000_000,
        topics: [{ topic: canaryTopic, partitions }],
      };
      const answer = (await this.request('Fetch', body)).responses[0]?.partitions[0];
      if (answer?.errorCode !== 0) throw new Error(`Filling answered ${errorName(answer?.errorCode ?? -1)}.`);
      for (const { header } of iterateBatches(answer.records ?? Buffer.alloc(0))) {
        fetchOffset = header.lastOffset + 1;
        read += batchBytes;
      }
    }
  }

  /** Writes a record into the canary topic and reads exactly it back. */
  async roundTrip(number: number): Promise<void> {
    const value = Buffer.from(`canary ${number}`);
    const records = encodeBatch([{ timestamp: Date.now(), value }]);
    const produced = await this.request('Produce', {
      acks: -1,
      timeoutMs: 20_000,
      topicData: [{ name: canaryTopic, partitionData: [{ index: 0, records }] }],
    });
    const stored = produced.responses[0]?.partitionResponses[0];
    if (stored?.errorCode !== 0)
      throw new Error(`The canary's produce answered ${errorName(stored?.errorCode ?? -1)}.`);
    const fetched = await this.request('Fetch', {
      maxWaitMs: 1000,
      minBytes: 1,
      maxBytes: 1_000_000,
      topics: [
        {
          topic: canaryTopic,
          partitions: [{ partition: 0, fetchOffset: stored.baseOffset, partitionMaxBytes: 1_000_000 }],
        },
      ],
    });
    const answer = fetched.responses[0]?.partitions[0];
    if (answer?.errorCode !== 0)
      throw new Error(`The canary's fetch answered ${errorName(answer?.errorCode ?? -1)}.`);
    const read = [...iterateBatches(answer.records ?? Buffer.alloc(0))].flatMap(({ bytes }) =>
      decodeBatch(bytes),
    );
    const record = read.find(({ offset }) => offset === stored.baseOffset);
    if (record?.value?.equals(value) !== true)
      throw new Error(`Canary ${number} came back as ${String(record?.value)}.`);
  }
}
