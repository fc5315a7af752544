import { NetworkError, type NetworkErrorCode } from '../network.ts';

const codes: Record<string, NetworkErrorCode> = {
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timeout',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  ENOTFOUND: 'name-not-found',
  EAI_AGAIN: 'name-not-found',
  EADDRINUSE: 'address-in-use',
  EADDRNOTAVAIL: 'address-not-available',
  EACCES: 'permission',
  EPERM: 'permission',
  EMFILE: 'too-many-open-files',
  ENFILE: 'too-many-open-files',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  EPROTO: 'tls',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls',
};

const tlsCodePrefix = /^(ERR_SSL|ERR_TLS|ERR_OSSL|CERT_|UNABLE_TO_)/;

/** Turns an error of node:net or node:tls into a NetworkError; `goal` completes 'Could not ...'. One that is already ours stays. */
export function networkError(cause: Error, goal: string): NetworkError {
  if (cause instanceof NetworkError) return cause;
  const systemCode = (cause as NodeJS.ErrnoException).code ?? '';
  const code = codes[systemCode] ?? (tlsCodePrefix.test(systemCode) ? 'tls' : 'io');
  return new NetworkError(code, `Could not ${goal}: ${reason(cause, systemCode)}.`, { cause });
}

/** A name with several addresses fails with an error for each, and none of its own. */
function reason(cause: Error, systemCode: string): string {
  if (cause instanceof AggregateError) return cause.errors.map((error: Error) => error.message).join('; ');
  return cause.message === '' ? systemCode : cause.message;
}
