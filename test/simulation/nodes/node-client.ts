/** Raw requests from a simulated client to simulated nodes: one connection to each node, answers in order, patience that ends. */
import { decodeResponse, encodeRequest } from '../../../protocol/index.ts';
import type { Encodable, MessageTypes } from '../../../protocol/index.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { ByteStream } from '../../../platform/network.ts';
import type { HostLife } from './host-network.ts';
import { hostOf, kafkaPort } from './node-machine.ts';

export type Api =
  Extract<keyof MessageTypes, `${string}Request`> extends `${infer Name}Request` ? Name : never;

/** The versions that the simulated clients speak. */
const versions: Partial<Record<Api, number>> = {
  Metadata: 12,
  Produce: 9,
  Fetch: 12,
  ListOffsets: 7,
  CreateTopics: 7,
  DeleteTopics: 5,
  AlterReplicaLogDirs: 2,
  IncrementalAlterConfigs: 1,
  DescribeConfigs: 4,
  AlterPartitionReassignments: 0,
  ListPartitionReassignments: 0,
  ElectLeaders: 2,
  InitProducerId: 4,
  UnregisterBroker: 0,
  DescribeQuorum: 2,
};

/** There was no answer; whether the request was carried out is not known. */
export class NoAnswer extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NoAnswer';
  }
}

export class NodeClient {
  readonly #network: HostLife;
  readonly #clock: Clock;
  readonly #connections = new Map<number, Promise<Connection>>();

  constructor(network: HostLife, clock: Clock) {
    this.#network = network;
    this.#clock = clock;
  }

  /** Rejects with NoAnswer alone. */
  async call<Name extends Api>(
    nodeId: number,
    api: Name,
    body: Encodable<MessageTypes[`${Name}Request`]>,
    timeoutMs: number,
  ): Promise<MessageTypes[`${Name}Response`]> {
    const connection = await this.#connection(nodeId, timeoutMs);
    const apiVersion = versions[api]!;
    const frame = await connection.ask(api, apiVersion, body, timeoutMs);
    return decodeResponse<MessageTypes[`${Name}Response`]>(api, apiVersion, frame).body;
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(ms, resolve);
    });
  }

  #connection(nodeId: number, timeoutMs: number): Promise<Connection> {
    const known = this.#connections.get(nodeId);
    if (known !== undefined) return known;
    const forget = (): void => {
      this.#connections.delete(nodeId);
    };
    const opened = this.#network.connect({ host: hostOf(nodeId), port: kafkaPort }, { timeoutMs }).then(
      (stream) => new Connection(stream, this.#clock, forget),
      (error: unknown) => {
        forget();
        throw new NoAnswer(String(error));
      },
    );
    this.#connections.set(nodeId, opened);
    return opened;
  }
}

interface Waiting {
  readonly correlationId: number;
  readonly resolve: (frame: Buffer) => void;
  readonly reject: (error: Error) => void;
}

class Connection {
  readonly #stream: ByteStream;
  readonly #clock: Clock;
  readonly #waiting: Waiting[] = [];
  readonly #forget: () => void;
  #received: Buffer = Buffer.alloc(0);
  #lastCorrelationId = 0;
  #hasEnded = false;

  constructor(stream: ByteStream, clock: Clock, forget: () => void) {
    this.#stream = stream;
    this.#clock = clock;
    this.#forget = forget;
    stream.onData((chunk) => this.#take(chunk));
    stream.onClose(() => this.#end('the connection has ended'));
  }

  ask(api: Api, apiVersion: number, body: unknown, timeoutMs: number): Promise<Buffer> {
    const correlationId = ++this.#lastCorrelationId;
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) {
        reject(new NoAnswer('the connection has ended'));
        return;
      }
      const timer = this.#clock.after(timeoutMs, () => {
        this.#end(`no answer within ${timeoutMs} ms`);
        this.#stream.destroy();
      });
      this.#waiting.push({
        correlationId,
        resolve: (frame) => {
          timer.cancel();
          resolve(frame);
        },
        reject: (error) => {
          timer.cancel();
          reject(error);
        },
      });
      this.#stream.write(encodeRequest({ api, apiVersion, correlationId, clientId: 'simulated' }, body));
    });
  }

  #end(reason: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#forget();
    for (const { reject } of this.#waiting.splice(0)) reject(new NoAnswer(reason));
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 4 && this.#received.length >= 4 + this.#received.readInt32BE(0)) {
      const end = 4 + this.#received.readInt32BE(0);
      const frame = this.#received.subarray(4, end);
      this.#received = this.#received.subarray(end);
      const waiting = this.#waiting.shift();
      if (waiting !== undefined && waiting.correlationId === frame.readInt32BE(0)) waiting.resolve(frame);
      else waiting?.reject(new Error('answers are out of order'));
    }
  }
}
