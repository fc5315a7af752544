/** A broker that asks who it talks to before it answers anything else, as Kafka's do. */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { FrameReader } from '../../../../client/cluster/frame-reader.ts';
import type { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryNetwork } from '../../../../platform/memory-network.ts';
import type { Address, ByteStream } from '../../../../platform/network.ts';
import { codec, decodeRequestHeader, encodeResponse, ErrorCode, Reader } from '../../../../protocol/index.ts';

export const address: Address = { host: 'broker', port: 9092 };

/** What a broker says in a conversation: bytes, or that it refuses. */
export type Answer = Buffer | 'refused';
/** One conversation: what it answers to each message in turn. */
export type Talk = () => (said: string) => Answer;

const served = [
  { api: 'Metadata', apiKey: 3, minVersion: 0, maxVersion: 9 },
  { api: 'SaslHandshake', apiKey: 17, minVersion: 0, maxVersion: 1 },
  { api: 'ApiVersions', apiKey: 18, minVersion: 0, maxVersion: 3 },
  { api: 'SaslAuthenticate', apiKey: 36, minVersion: 0, maxVersion: 2 },
] as const;

export class SaslBroker {
  readonly network: MemoryNetwork;
  /** What it was asked, in order, over all connections. */
  readonly asked: string[] = [];
  /** Of each session from now on; 0 without end. */
  sessionLifetimeMs = 0;
  connections = 0;
  readonly #clock: ManualClock;
  readonly #talks: ReadonlyMap<string, Talk>;

  private constructor(clock: ManualClock, talks: Readonly<Record<string, Talk>>) {
    this.#clock = clock;
    this.network = new MemoryNetwork({ clock, latencyMs: () => 1 });
    this.#talks = new Map(Object.entries(talks));
  }

  static async start(clock: ManualClock, talks: Readonly<Record<string, Talk>>): Promise<SaslBroker> {
    const broker = new SaslBroker(clock, talks);
    await broker.network.listen(address, (stream) => broker.#serve(stream));
    return broker;
  }

  #serve(stream: ByteStream): void {
    this.connections++;
    let talk: ReturnType<Talk> | undefined;
    let validUntilMs = -Infinity;
    const frames = new FrameReader((frame) => {
      const reader = new Reader(frame);
      const { apiKey, apiVersion, correlationId, bodyPosition } = decodeRequestHeader(frame);
      reader.position = bodyPosition;
      const { api } = served.find((each) => each.apiKey === apiKey)!;
      this.asked.push(api);
      const answer = (body: object, version = apiVersion): void => {
        stream.write(encodeResponse({ apiKey, apiVersion: version, correlationId }, body));
      };
      if (api === 'ApiVersions') {
        const isTooNew = apiVersion > 3;
        const apiKeys = served.map(({ apiKey, minVersion, maxVersion }) => ({
          apiKey,
          minVersion,
          maxVersion,
        }));
        const errorCode = isTooNew ? ErrorCode.UNSUPPORTED_VERSION : ErrorCode.NONE;
        return answer({ errorCode, apiKeys }, isTooNew ? 0 : apiVersion);
      }
      if (api === 'SaslHandshake') {
        const { mechanism } = codec('SaslHandshakeRequest', apiVersion).read(reader);
        talk = this.#talks.get(mechanism)?.();
        const errorCode = talk === undefined ? ErrorCode.UNSUPPORTED_SASL_MECHANISM : ErrorCode.NONE;
        return answer({ errorCode, mechanisms: [...this.#talks.keys()] });
      }
      if (api === 'SaslAuthenticate') {
        const said = codec('SaslAuthenticateRequest', apiVersion).read(reader).authBytes.toString();
        const told = talk!(said);
        if (told === 'refused') {
          answer({
            errorCode: ErrorCode.SASL_AUTHENTICATION_FAILED,
            errorMessage: 'no',
            authBytes: Buffer.alloc(0),
          });
          return stream.end();
        }
        const { sessionLifetimeMs } = this;
        validUntilMs = this.#clock.monotonicMs() + (sessionLifetimeMs === 0 ? Infinity : sessionLifetimeMs);
        return answer({ errorCode: ErrorCode.NONE, errorMessage: null, authBytes: told, sessionLifetimeMs });
      }
      if (this.#clock.monotonicMs() > validUntilMs) return stream.destroy();
      const brokers = [{ nodeId: 1, ...address, rack: null }];
      return answer({ throttleTimeMs: 0, brokers, clusterId: 'c', controllerId: 1, topics: [] });
    });
    stream.onData((chunk) => frames.push(chunk));
    stream.onClose(() => undefined);
  }
}

/** The broker's side of SCRAM-SHA-256 for one user; `isTrue` false: it does not know the password. */
export function scramTalk(user: {
  name: string;
  password: string;
  isTrue?: boolean;
  iterations?: number;
}): Talk {
  return () => {
    let said: string[] = [];
    return (text) => {
      if (said.length === 0) {
        const [, nonce] = /^n,,n=(?:[^,]*),r=(.*)$/.exec(text)!;
        if (!text.includes(`n=${user.name},`)) return 'refused';
        const challenge = `r=${nonce}broker,s=${Buffer.from('salt').toString('base64')},i=${user.iterations ?? 4096}`;
        said = [text.slice('n,,'.length), challenge];
        return Buffer.from(challenge);
      }
      const [, withoutProof, proof] = /^(c=biws,r=[^,]+),p=(.*)$/.exec(text)!;
      const all = [...said, withoutProof].join(',');
      const salted = pbkdf2Sync(user.password, 'salt', user.iterations ?? 4096, 32, 'sha256');
      const hmac = (key: Buffer, content: string): Buffer =>
        createHmac('sha256', key).update(content).digest();
      const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest();
      const mask = hmac(storedKey, all);
      const key = Buffer.from(Buffer.from(proof!, 'base64').map((byte, place) => byte ^ mask[place]!));
      if (!createHash('sha256').update(key).digest().equals(storedKey)) return 'refused';
      const server = hmac(user.isTrue === false ? Buffer.alloc(32) : salted, 'Server Key');
      return Buffer.from(`v=${hmac(server, all).toString('base64')}`);
    };
  };
}
