/**
 * Says who the client is on one connection, and says it again before the broker's time for the session is over (KIP-152, KIP-368). It is
 * said on the connection itself, whose other requests wait meanwhile, so that their order stays.
 */
import type { Clock, Timer } from '../../platform/clock.ts';
import type { Random } from '../../platform/random.ts';
import { ErrorCode } from '../../protocol/index.ts';
import type { Connection } from '../cluster/connection.ts';
import { brokerError, KafkaError, toKafkaError } from '../errors.ts';
import { conversationOf } from './sasl-options.ts';
import type { SaslOptions } from './sasl-options.ts';

export interface AuthenticateOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly sasl: SaslOptions;
  /** For each request. */
  readonly timeoutMs: number;
}

/** More messages than any mechanism has. */
const roundsMax = 8;
/** When in its session a connection authenticates anew: between these parts, as Kafka's clients do. */
const renewalFrom = 0.85;
const renewalSpread = 10;

/**
 * Resolves when the broker knows who this is; from then on the connection sees to it by itself, and ends where that fails. Rejects
 * with UNSUPPORTED_SASL_MECHANISM, SASL_AUTHENTICATION_FAILED and the like.
 */
export async function authenticate(connection: Connection, options: AuthenticateOptions): Promise<void> {
  const lifetimeMs = await converse(connection, options);
  if (lifetimeMs > 0) renewLater(connection, options, lifetimeMs);
}

function renewLater(connection: Connection, options: AuthenticateOptions, lifetimeMs: number): void {
  const { clock, random } = options;
  const part = renewalFrom + random.below(renewalSpread) / 100;
  const timer: Timer = clock.after(lifetimeMs * part, () => {
    connection.hold();
    authenticate(connection, options).then(
      () => connection.release(),
      (error: unknown) => connection.close(toKafkaError(error, `authenticate anew to ${connection.peer}`)),
    );
  });
  connection.onEnd(() => timer.cancel());
}

/** How long the broker takes the connection for this user's (ms); 0 without end. */
async function converse(
  connection: Connection,
  { random, sasl, timeoutMs }: AuthenticateOptions,
): Promise<number> {
  const { peer, versions } = connection;
  const sending = { timeoutMs, isAhead: true };
  const handshake = await connection.send(
    'SaslHandshake',
    versions.require('SaslHandshake'),
    { mechanism: sasl.mechanism },
    sending,
  );
  if (handshake.errorCode !== ErrorCode.NONE) throw refusal(handshake, sasl, peer);
  const conversation = await conversationOf(sasl, random);
  let said: Buffer | undefined = await conversation.first();
  for (let round = 0; round < roundsMax; round++) {
    const { errorCode, errorMessage, authBytes, sessionLifetimeMs } = await connection.send(
      'SaslAuthenticate',
      versions.require('SaslAuthenticate'),
      { authBytes: said },
      sending,
    );
    if (errorCode !== ErrorCode.NONE) {
      throw brokerError(errorCode, `authenticate to ${peer} by ${sasl.mechanism}`, errorMessage);
    }
    said = await conversation.next(authBytes);
    if (said !== undefined) continue;
    conversation.finish();
    return sessionLifetimeMs;
  }
  throw new KafkaError('SASL_AUTHENTICATION_FAILED', `${peer} goes on asking and does not say who this is.`);
}

function refusal(
  { errorCode, mechanisms }: { readonly errorCode: number; readonly mechanisms: readonly string[] },
  sasl: SaslOptions,
  peer: string,
): KafkaError {
  const doing = `authenticate to ${peer} by ${sasl.mechanism}`;
  switch (errorCode) {
    case ErrorCode.UNSUPPORTED_SASL_MECHANISM:
      return brokerError(errorCode, doing, `it takes ${mechanisms.join(', ')}`);
    case ErrorCode.ILLEGAL_SASL_STATE:
      return brokerError(
        errorCode,
        doing,
        'this listener takes no SASL; leave out `sasl`, or use the port of one that does',
      );
    default:
      return brokerError(errorCode, doing);
  }
}
