/**
 * SASL SCRAM (RFC 5802, RFC 7677) without channel binding: the password never leaves, and the broker has to prove that it knows
 * the user too.
 */
import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { KafkaError } from '../errors.ts';
import type { SaslConversation } from './mechanism.ts';

const derive = promisify(pbkdf2);

export type ScramMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-512';

const hashes = {
  'SCRAM-SHA-256': { name: 'sha256', sizeBytes: 32 },
  'SCRAM-SHA-512': { name: 'sha512', sizeBytes: 64 },
} as const;

/** Fewer, and a listener could try passwords too fast (RFC 7677, 4); more, and the broker could keep the client busy. */
const iterationsMin = 4_096;
const iterationsMax = 1_000_000;

/** "n,,": no channel binding. */
const header = 'n,,';

export class ScramConversation implements SaslConversation {
  readonly mechanism: ScramMechanism;
  readonly #username: string;
  readonly #password: string;
  readonly #nonce: string;
  /** What the broker has to prove itself by; undefined before its first message. */
  #expectedSignature: Buffer | undefined;
  #isProved = false;

  /** `nonce`: fresh, of printable ASCII without commas, hard to guess. */
  constructor(
    mechanism: ScramMechanism,
    {
      username,
      password,
      nonce,
    }: { readonly username: string; readonly password: string; readonly nonce: string },
  ) {
    this.mechanism = mechanism;
    this.#username = username;
    this.#password = password;
    this.#nonce = nonce;
  }

  async first(): Promise<Buffer> {
    return Buffer.from(header + this.#firstBare);
  }

  async next(challenge: Buffer): Promise<Buffer | undefined> {
    if (this.#expectedSignature === undefined) return this.#answer(challenge.toString());
    if (challenge.length > 0) this.#checkSignature(challenge.toString());
    return undefined;
  }

  finish(): void {
    if (!this.#isProved)
      throw failed('it ended the conversation before it had proved that it knows the user');
  }

  get #firstBare(): string {
    const name = this.#username.replaceAll('=', '=3D').replaceAll(',', '=2C');
    return `n=${name},r=${this.#nonce}`;
  }

  async #answer(serverFirst: string): Promise<Buffer> {
    const { nonce, salt, iterations } = this.#read(serverFirst);
    const withoutProof = `c=${Buffer.from(header).toString('base64')},r=${nonce}`;
    const said = `${this.#firstBare},${serverFirst},${withoutProof}`;
    const { name, sizeBytes } = hashes[this.mechanism];
    const salted = await derive(this.#password, salt, iterations, sizeBytes, name);
    const hmac = (key: Buffer, text: string): Buffer => createHmac(name, key).update(text).digest();
    const clientKey = hmac(salted, 'Client Key');
    const signature = hmac(createHash(name).update(clientKey).digest(), said);
    const proof = clientKey.map((byte, place) => byte ^ signature[place]!);
    this.#expectedSignature = hmac(hmac(salted, 'Server Key'), said);
    return Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString('base64')}`);
  }

  #read(serverFirst: string): { nonce: string; salt: Buffer; iterations: number } {
    const [, nonce = '', salt = '', count] = /^r=([^,]+),s=([^,]+),i=(\d+)(?:,.*)?$/.exec(serverFirst) ?? [];
    const iterations = Number(count);
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) {
      throw failed('its first message is not an answer to this conversation');
    }
    if (iterations < iterationsMin || iterations > iterationsMax) {
      throw failed(
        `it asks for ${iterations} iterations, and between ${iterationsMin} and ${iterationsMax} are taken`,
      );
    }
    return { nonce, salt: Buffer.from(salt, 'base64'), iterations };
  }

  #checkSignature(serverFinal: string): void {
    const [, kind, value = ''] = /^([ev])=([^,]*)/.exec(serverFinal) ?? [];
    if (kind === 'e') throw failed(`it says ${value}`);
    const signature = Buffer.from(value, 'base64');
    const expected = this.#expectedSignature!;
    this.#isProved = signature.length === expected.length && timingSafeEqual(signature, expected);
    if (!this.#isProved) throw failed('it does not prove that it knows the user');
  }
}

function failed(reason: string): KafkaError {
  return new KafkaError('SASL_AUTHENTICATION_FAILED', `The broker cannot be trusted: ${reason}.`);
}
