/** Takes the greeting that a connection begins with, and not a byte of what follows it. */
import type { ByteReceiver } from '../../platform/network.ts';
import { greetingBytesMax, greetingMagic, greetingPrefixBytes } from './peer-handshake.ts';

/** What has come is the beginning of no greeting. */
export class NoGreeting extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NoGreeting';
  }
}

export class GreetingReader implements ByteReceiver {
  readonly #onGreeting: (body: Buffer) => void;
  #buffer = Buffer.alloc(greetingPrefixBytes);
  #filled = 0;
  #hasPrefix = false;

  /** The greeting comes without magic and size. */
  constructor(onGreeting: (body: Buffer) => void) {
    this.#onGreeting = onGreeting;
  }

  target(): Buffer {
    return this.#buffer.subarray(this.#filled);
  }

  /** Throws NoGreeting. */
  received(count: number): void {
    this.#filled += count;
    if (!this.#hasPrefix) this.#checkMagic();
    if (this.#filled < this.#buffer.length) return;
    if (this.#hasPrefix) {
      this.#onGreeting(this.#buffer);
      return;
    }
    const sizeBytes = this.#buffer.readUInt16BE(4);
    if (sizeBytes === 0 || sizeBytes > greetingBytesMax) {
      throw new NoGreeting(`a greeting of ${sizeBytes} bytes`);
    }
    this.#hasPrefix = true;
    this.#buffer = Buffer.alloc(sizeBytes);
    this.#filled = 0;
  }

  /** From the first byte that is wrong on nothing is waited for. */
  #checkMagic(): void {
    const magic = Buffer.alloc(4);
    magic.writeUInt32BE(greetingMagic);
    const seen = this.#buffer.subarray(0, Math.min(this.#filled, magic.length));
    if (!seen.equals(magic.subarray(0, seen.length))) throw new NoGreeting(describe(this.#buffer[0]!));
  }
}

/** From the first byte, as no more may have come. */
function describe(first: number): string {
  if (first === 0x16 || first === 0x15) return 'it speaks TLS, which is not switched on here';
  if (first >= 0x41 && first <= 0x5a) return 'it speaks HTTP or the like';
  return 'it does not speak the protocol between nodes; Kafka clients belong on the port of the Kafka listener';
}
