/** What every part of the client is made of, decided once when the client is made. */
import type { Clock } from '../platform/clock.ts';
import type { Network, TlsOptions } from '../platform/network.ts';
import type { Random } from '../platform/random.ts';
import type { SaslOptions } from './sasl/sasl-options.ts';
import type { Logger } from './telemetry/logger.ts';

export interface Components {
  readonly clock: Clock;
  readonly network: Network;
  readonly random: Random;
  readonly logger: Logger;
  readonly settings: Settings;
}

/** The client's options with their defaults filled in. */
export interface Settings {
  readonly brokers: readonly BrokerAddress[];
  readonly clientId: string;
  /** '' where the client does not say. */
  readonly rack: string;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly metadataMaxAgeMs: number;
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  readonly retryTimeoutMs: number;
  readonly tls: TlsOptions | undefined;
  readonly sasl: SaslOptions | undefined;
}

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

export function showAddress(address: BrokerAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
