/** One connection to a broker, below any client: requests are sent when the test says so, answers are matched by their order. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { decodeResponse, encodeRequest } from '../../protocol/index.ts';
import type { Encodable, MessageTypes } from '../../protocol/index.ts';

type Api = Extract<keyof MessageTypes, `${string}Request`> extends `${infer Name}Request` ? Name : never;

interface Waiting {
  readonly correlationId: number;
  readonly resolve: (frame: Buffer) => void;
  readonly reject: (error: Error) => void;
}

export class WireConnection implements AsyncDisposable {
  /** Resolves when the broker has ended the connection, or the test has. */
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #received: Buffer = Buffer.alloc(0);
  #lastCorrelationId = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
    // A reset is an end as well; 'close' follows.
    socket.on('error', () => socket.destroy());
    this.ended = new Promise((resolve) => {
      socket.once('close', () => {
        for (const { reject } of this.#waiting.splice(0))
          reject(new Error('the broker ended the connection'));
        resolve();
      });
    });
  }

  static open(port: number): Promise<WireConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new WireConnection(socket));
      });
    });
  }

  get localPort(): number {
    return this.#socket.localPort!;
  }

  /** Sends at once; resolves with the answer, rejects where the connection ends without one or answers out of order. */
  call<Name extends Api>(
    api: Name,
    apiVersion: number,
    body: Encodable<MessageTypes[`${Name}Request`]>,
  ): Promise<MessageTypes[`${Name}Response`]> {
    const answer = new Promise<Buffer>((resolve, reject) => {
      this.#waiting.push({ correlationId: this.#lastCorrelationId + 1, resolve, reject });
    });
    this.send(this.frame(api, apiVersion, body));
    return answer.then(
      (frame) => decodeResponse<MessageTypes[`${Name}Response`]>(api, apiVersion, frame).body,
    );
  }

  /** A request with its size in front. Several may be sent together, as one piece. */
  frame<Name extends Api>(
    api: Name,
    apiVersion: number,
    body: Encodable<MessageTypes[`${Name}Request`]>,
  ): Buffer {
    this.#lastCorrelationId++;
    const head = { api, apiVersion, correlationId: this.#lastCorrelationId, clientId: 'wire' };
    return Buffer.concat(encodeRequest(head, body));
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** Stops and restarts taking what the broker sends. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.ended;
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 4 && this.#received.length >= 4 + this.#received.readInt32BE(0)) {
      const end = 4 + this.#received.readInt32BE(0);
      const frame = this.#received.subarray(4, end);
      this.#received = this.#received.subarray(end);
      const waiting = this.#waiting.shift();
      const correlationId = frame.readInt32BE(0);
      if (waiting?.correlationId === correlationId) waiting.resolve(frame);
      else waiting?.reject(new Error(`answer ${correlationId} came in place of ${waiting.correlationId}`));
    }
  }
}
