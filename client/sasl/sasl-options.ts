/** How the client says who it is (option `sasl`), and a conversation made of it. */
import type { Random } from '../../platform/random.ts';
import { invalidArgument } from '../errors.ts';
import type { SaslConversation } from './mechanism.ts';
import { OAuthBearerConversation } from './oauth-bearer.ts';
import type { OAuthToken } from './oauth-bearer.ts';
import { PlainConversation } from './plain.ts';
import { ScramConversation } from './scram.ts';
import type { ScramMechanism } from './scram.ts';

export interface SaslPassword {
  readonly mechanism: 'PLAIN' | ScramMechanism;
  readonly username: string;
  /** A function is asked anew for each connection, so that a password can change while the client runs. */
  readonly password: string | (() => string | Promise<string>);
}

export interface SaslToken {
  readonly mechanism: 'OAUTHBEARER';
  /** Asked for each connection, and again before the broker's time for the session is over. */
  readonly token: () => string | OAuthToken | Promise<string | OAuthToken>;
}

export type SaslOptions = SaslPassword | SaslToken;

const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'];

/** Throws INVALID_ARGUMENT for what cannot be meant. */
export function checkSasl(options: SaslOptions): SaslOptions {
  if (!mechanisms.includes(options.mechanism)) {
    throw invalidArgument(
      `\`sasl.mechanism\` must be one of ${mechanisms.join(', ')}, not ${options.mechanism}.`,
    );
  }
  if (options.mechanism === 'OAUTHBEARER') {
    if (typeof options.token !== 'function')
      throw invalidArgument('`sasl.token` must be a function that gives a token.');
    return options;
  }
  if (typeof options.username !== 'string' || options.username === '') {
    throw invalidArgument('`sasl.username` must not be empty.');
  }
  if (typeof options.password !== 'string' && typeof options.password !== 'function') {
    throw invalidArgument('`sasl.password` must be a string, or a function that gives one.');
  }
  return options;
}

/** A new conversation; rejects as the application's own function does. */
export async function conversationOf(options: SaslOptions, random: Random): Promise<SaslConversation> {
  if (options.mechanism === 'OAUTHBEARER') return new OAuthBearerConversation(await options.token());
  const { mechanism, username } = options;
  const password = typeof options.password === 'string' ? options.password : await options.password();
  if (mechanism === 'PLAIN') return new PlainConversation(username, password);
  return new ScramConversation(mechanism, {
    username,
    password,
    nonce: random.bytes(24).toString('base64url'),
  });
}
