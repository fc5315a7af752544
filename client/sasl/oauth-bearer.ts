/** SASL OAUTHBEARER (RFC 7628), as Kafka has it (KIP-255, extensions by KIP-342). */
import { invalidArgument } from '../errors.ts';
import type { SaslConversation } from './mechanism.ts';

/** A token, with what else the broker is told. */
export interface OAuthToken {
  readonly value: string;
  /** Names of letters, values printable (KIP-342): a tenant, say. */
  readonly extensions?: Readonly<Record<string, string>>;
}

const separator = '\u0001';

export class OAuthBearerConversation implements SaslConversation {
  readonly mechanism = 'OAUTHBEARER';
  readonly #token: OAuthToken;

  constructor(token: string | OAuthToken) {
    this.#token = typeof token === 'string' ? { value: token } : token;
  }

  /** Rejects with INVALID_ARGUMENT for a token or an extension that cannot be sent. */
  async first(): Promise<Buffer> {
    const { value, extensions = {} } = this.#token;
    if (!/^[\w\-.~+/]+=*$/.test(value)) {
      throw invalidArgument(
        'The token for OAUTHBEARER is empty or has characters that a bearer token cannot have.',
      );
    }
    const fields = [['auth', `Bearer ${value}`]];
    for (const [name, text] of Object.entries(extensions)) {
      if (!/^[A-Za-z]+$/.test(name) || name === 'auth' || !/^[\x20-\x7e\t\r\n]+$/.test(text)) {
        throw invalidArgument(
          `The OAUTHBEARER extension \`${name}\` must have a name of letters, not auth, and a printable value.`,
        );
      }
      fields.push([name, text]);
    }
    const said = fields.map(([name, text]) => `${name}=${text}${separator}`).join('');
    return Buffer.from(`n,,${separator}${said}${separator}`);
  }

  /** The broker says why it refuses; it wants to hear that this was understood before it ends the conversation (RFC 7628, 3.2.3). */
  async next(challenge: Buffer): Promise<Buffer | undefined> {
    return challenge.length === 0 ? undefined : Buffer.from(separator);
  }

  finish(): void {
    // The broker proves nothing.
  }
}
