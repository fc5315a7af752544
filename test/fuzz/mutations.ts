/** What the fuzzer does to a sound frame (size, header, body) before it sends it. */
import type { Random } from '../../platform/random.ts';

export interface Frame {
  readonly bytes: Buffer;
  readonly mutation: Mutation;
  /**
   * The frame may leave the broker waiting for bytes that never come: it is the last of its connection, and the harness
   * ends that without waiting for an answer.
   */
  readonly hangs: boolean;
}

export type Mutation =
  | 'sound'
  | 'bit flips'
  | 'cut body'
  | 'trailing bytes'
  | 'false size'
  | 'splice'
  | 'huge count'
  | 'odd header'
  | 'garbage'
  | 'foreign protocol'
  | 'half frame';

/** How often each is drawn, in parts of 100. */
const weights: readonly (readonly [Mutation, number])[] = [
  ['sound', 25],
  ['bit flips', 25],
  ['cut body', 10],
  ['trailing bytes', 5],
  ['huge count', 11],
  ['splice', 9],
  ['odd header', 5],
  ['garbage', 3],
  ['false size', 3],
  ['half frame', 3],
  ['foreign protocol', 1],
];

const foreign = [
  Buffer.from('GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n'),
  Buffer.from('POST /topics HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789'),
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  // The beginning of a TLS 1.2 ClientHello, and of one that TLS 1.0 framed.
  Buffer.from('16030100c8010000c40303' + '5f'.repeat(32) + '20' + '00'.repeat(64), 'hex'),
  Buffer.from('1603030200', 'hex'),
  Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'),
  Buffer.alloc(64),
];

const hugeCounts = [
  Buffer.from('7fffffff', 'hex'),
  Buffer.from('00ffffff', 'hex'),
  Buffer.from('80000000', 'hex'),
  Buffer.from('fffffffe', 'hex'),
  // Unsigned varints: 2^31 - 1, 2^28, one that never ends, one longer than it may be.
  Buffer.from('ffffffff07', 'hex'),
  Buffer.from('8080808001', 'hex'),
  Buffer.from('ffffffffffffffffffff', 'hex'),
  Buffer.from('8080808080808000', 'hex'),
];

/** `other` is a second sound frame, for splices. Neither frame is changed. */
export function mutate(sound: Buffer, other: Buffer, random: Random): Frame {
  const mutation = draw(random);
  const answer = (bytes: Buffer, hangs = false): Frame => ({ bytes, mutation, hangs });
  switch (mutation) {
    case 'sound':
      return answer(sound);
    case 'bit flips':
      return answer(flipBits(sound, random));
    case 'cut body':
      return answer(sized(sound.subarray(4, 4 + random.below(sound.length - 4))));
    case 'trailing bytes':
      return answer(sized(Buffer.concat([sound.subarray(4), random.bytes(1 + random.below(40))])));
    case 'huge count':
      return answer(overwrite(sound, pick(hugeCounts, random), random));
    case 'splice': {
      const head = sound.subarray(4, 4 + random.below(sound.length - 4));
      return answer(sized(Buffer.concat([head, other.subarray(4 + random.below(other.length - 4))])));
    }
    case 'odd header':
      return answer(oddHeader(sound, random));
    case 'garbage':
      return answer(sized(random.bytes(random.below(300))));
    case 'false size':
      return answer(falseSize(sound, random), true);
    case 'half frame':
      return answer(sound.subarray(0, 1 + random.below(sound.length - 1)), true);
    default:
      return answer(pick(foreign, random), true);
  }
}

function draw(random: Random): Mutation {
  let rest = random.below(100);
  for (const [mutation, weight] of weights) {
    if (rest < weight) return mutation;
    rest -= weight;
  }
  return 'sound';
}

function sized(payload: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(payload.length);
  return Buffer.concat([size, payload]);
}

/** Never in the size: that would make other frames hang, and false sizes have a mutation of their own. */
function flipBits(sound: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(sound);
  for (let flips = 1 + random.below(6); flips > 0; flips -= 1) {
    const at = 4 + random.below(bytes.length - 4);
    bytes[at] = bytes[at]! ^ (1 << random.below(8));
  }
  return bytes;
}

function overwrite(sound: Buffer, with_: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(sound);
  // Behind api key, version and correlation id.
  const from = Math.min(12, bytes.length - 1);
  with_.copy(bytes, from + random.below(bytes.length - from));
  return bytes;
}

/** Unknown keys, versions beyond the range, negative ones. */
function oddHeader(sound: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(sound);
  const odd = pick([-1, 1000, 32_767, -32_768, 4, 7, 93], random);
  bytes.writeInt16BE(odd, random.below(2) === 0 ? 4 : 6);
  return bytes;
}

function falseSize(sound: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(sound);
  const size = bytes.length - 4;
  bytes.writeInt32BE(
    pick([size + 1 + random.below(1000), random.below(size), -1, 2 ** 31 - 1, 0, 100 << 20], random),
  );
  return bytes;
}

function pick<T>(list: readonly T[], random: Random): T {
  const element = list[random.below(list.length)];
  if (element === undefined) throw new Error('There is nothing to pick from.');
  return element;
}
