/** SASL PLAIN (RFC 4616): name and password as they are, which is for connections with TLS. */
import type { SaslConversation } from './mechanism.ts';

export class PlainConversation implements SaslConversation {
  readonly mechanism = 'PLAIN';
  readonly #username: string;
  readonly #password: string;

  constructor(username: string, password: string) {
    this.#username = username;
    this.#password = password;
  }

  first(): Promise<Buffer> {
    return Promise.resolve(Buffer.from(`\0${this.#username}\0${this.#password}`));
  }

  next(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  finish(): void {
    // The broker proves nothing.
  }
}
