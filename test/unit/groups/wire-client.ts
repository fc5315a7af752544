/** One connection to a broker, on which requests wait for their answers one by one. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { decodeResponse, encodeRequest } from '../../../protocol/index.ts';
import type { Encodable, MessageTypes } from '../../../protocol/index.ts';

type Api = Extract<keyof MessageTypes, `${string}Request`> extends `${infer Name}Request` ? Name : never;

export class WireClient {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #sent = 0;
  readonly #waiting: ((frame: Buffer) => void)[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
  }

  static open(port: number): Promise<WireClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('error', reject);
      socket.once('connect', () => resolve(new WireClient(socket)));
    });
  }

  async call<Name extends Api>(
    api: Name,
    apiVersion: number,
    body: Encodable<MessageTypes[`${Name}Request`]>,
  ): Promise<MessageTypes[`${Name}Response`]> {
    this.#sent += 1;
    const head = { api, apiVersion, correlationId: this.#sent, clientId: 'wire' };
    const answer = new Promise<Buffer>((resolve) => {
      this.#waiting.push(resolve);
    });
    this.#socket.write(Buffer.concat(encodeRequest(head, body)));
    return decodeResponse<MessageTypes[`${Name}Response`]>(api, apiVersion, await answer).body;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 4 && this.#received.length >= 4 + this.#received.readInt32BE(0)) {
      const end = 4 + this.#received.readInt32BE(0);
      this.#waiting.shift()?.(this.#received.subarray(4, end));
      this.#received = this.#received.subarray(end);
    }
  }
}
