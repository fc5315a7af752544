import type { BrokerAddress, Settings } from './components.ts';
import { invalidArgument } from './errors.ts';
import type { KappalogOptions } from './options.ts';
import { checkSasl } from './sasl/sasl-options.ts';

const portDefault = 9092;

/** Fills in the defaults; throws INVALID_ARGUMENT for what cannot be meant. */
export function resolveSettings(options: KappalogOptions): Settings {
  return {
    brokers: parseBrokers(options.brokers),
    clientId: options.clientId ?? 'kappalog',
    rack: options.rack ?? '',
    connectTimeoutMs: positive('connectTimeoutMs', options.connectTimeoutMs ?? 10_000),
    requestTimeoutMs: positive('requestTimeoutMs', options.requestTimeoutMs ?? 30_000),
    metadataMaxAgeMs: positive('metadataMaxAgeMs', options.metadataMaxAgeMs ?? 300_000),
    retryBackoffMs: positive('retry.backoffMs', options.retry?.backoffMs ?? 100),
    retryBackoffMaxMs: positive('retry.backoffMaxMs', options.retry?.backoffMaxMs ?? 1_000),
    retryTimeoutMs: positive('retry.timeoutMs', options.retry?.timeoutMs ?? 60_000),
    tls: options.tls,
    sasl: options.sasl && checkSasl(options.sasl),
  };
}

/** `host:port`, `host`, `[v6]:port`, with an optional `scheme://` in front as Kafka's listeners have it. */
export function parseBrokers(brokers: string | readonly string[]): readonly BrokerAddress[] {
  const texts = (typeof brokers === 'string' ? [brokers] : brokers).flatMap((text) => text.split(','));
  const addresses = texts.map((text) => text.trim()).filter((text) => text !== '');
  if (addresses.length === 0) {
    throw invalidArgument("`brokers` is empty: give at least one address, such as '127.0.0.1:9092'.");
  }
  return addresses.map(parseBroker);
}

function parseBroker(text: string): BrokerAddress {
  const match = /^(?:[A-Za-z0-9_]+:\/\/)?(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:[\]/]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? portDefault : Number(match[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw invalidArgument(
      `'${text}' is not a broker's address: write host:port, such as 127.0.0.1:9092 or [::1]:9092.`,
    );
  }
  return { host, port };
}

/** `value` if it is a positive finite number, otherwise an INVALID_ARGUMENT that names the option. */
export function positive(name: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw invalidArgument(`\`${name}\` must be a positive number, not ${String(value)}.`);
}

export function notNegative(name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw invalidArgument(`\`${name}\` must be zero or a positive number, not ${String(value)}.`);
}
