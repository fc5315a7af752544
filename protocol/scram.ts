/**
 * The messages and proofs of SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, 7677) as Kafka uses them: no channel binding,
 * passwords as plain UTF-8. Both sides of the exchange; no state, no randomness, no stored credentials.
 */
import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto';
import { ProtocolError } from './protocol-error.ts';

export type ScramMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-512';

export interface ClientFirst {
  readonly username: string;
  readonly nonce: string;
  /** Empty, or the username. */
  readonly authorizationId: string;
  /** `name=value` pairs after the nonce, such as `tokenauth=true`. */
  readonly extensions: readonly string[];
}

export interface ServerFirst {
  /** The client's nonce and, joined to it, the server's. */
  readonly nonce: string;
  readonly salt: Buffer;
  readonly iterations: number;
}

export interface ClientFinal {
  readonly nonce: string;
  readonly proof: Buffer;
}

export interface ScramKeys {
  readonly clientKey: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** `n,,` in base64: the header of a client that binds no channel. */
const channelBinding = 'biws';

/** What a password becomes before it is stored; the costly step. */
export function saltPassword(
  mechanism: ScramMechanism,
  password: string,
  { salt, iterations }: { readonly salt: Buffer; readonly iterations: number },
): Buffer {
  const digest = digestOf(mechanism);
  return pbkdf2Sync(Buffer.from(password, 'utf8'), salt, iterations, digest === 'sha256' ? 32 : 64, digest);
}

export function scramKeys(mechanism: ScramMechanism, saltedPassword: Buffer): ScramKeys {
  const clientKey = hmac(mechanism, saltedPassword, 'Client Key');
  return {
    clientKey,
    storedKey: createHash(digestOf(mechanism)).update(clientKey).digest(),
    serverKey: hmac(mechanism, saltedPassword, 'Server Key'),
  };
}

/** What both sides sign: the three messages without their header and proof. */
export function authMessage(clientFirst: string, serverFirst: string, clientFinal: string): string {
  const clientFirstBare = clientFirst.slice(clientFirst.indexOf(',', clientFirst.indexOf(',') + 1) + 1);
  return `${clientFirstBare},${serverFirst},${clientFinal.slice(0, clientFinal.lastIndexOf(',p='))}`;
}

/** As `authMessage`, before the proof exists. */
export function authMessageToSign(clientFirst: string, serverFirst: string, nonce: string): string {
  return authMessage(clientFirst, serverFirst, `c=${channelBinding},r=${nonce},p=`);
}

export function clientProof(mechanism: ScramMechanism, keys: ScramKeys, message: string): Buffer {
  return exclusiveOr(keys.clientKey, hmac(mechanism, keys.storedKey, message));
}

/** Whether the proof is of someone who knows the password; takes the same time for all wrong ones. */
export function isClientProof(
  mechanism: ScramMechanism,
  storedKey: Buffer,
  message: string,
  proof: Buffer,
): boolean {
  const signature = hmac(mechanism, storedKey, message);
  if (proof.length !== signature.length) return false;
  const clientKey = exclusiveOr(proof, signature);
  return timingSafeEqual(createHash(digestOf(mechanism)).update(clientKey).digest(), storedKey);
}

export function serverSignature(mechanism: ScramMechanism, serverKey: Buffer, message: string): Buffer {
  return hmac(mechanism, serverKey, message);
}

export function encodeClientFirst(message: ClientFirst): string {
  const authorization = message.authorizationId === '' ? '' : `a=${escapeName(message.authorizationId)}`;
  const fields = [`n=${escapeName(message.username)}`, `r=${message.nonce}`, ...message.extensions];
  return `n,${authorization},${fields.join(',')}`;
}

export function decodeClientFirst(text: string): ClientFirst {
  const match = /^n,(?:a=([^,]+))?,n=([^,]+),r=([^,]+)((?:,[A-Za-z]+=[^,]+)*)$/.exec(text);
  if (match === null) return fail('client-first');
  const [, authorizationId, username, nonce, extensions] = match;
  return {
    username: unescapeName(username!),
    nonce: nonce!,
    authorizationId: authorizationId === undefined ? '' : unescapeName(authorizationId),
    extensions: extensions === '' ? [] : extensions!.slice(1).split(','),
  };
}

export function encodeServerFirst({ nonce, salt, iterations }: ServerFirst): string {
  return `r=${nonce},s=${salt.toString('base64')},i=${iterations}`;
}

export function decodeServerFirst(text: string): ServerFirst {
  const match = /^r=([^,]+),s=([A-Za-z0-9+/]+=*),i=([1-9]\d{0,8})(?:,[A-Za-z]+=[^,]*)*$/.exec(text);
  if (match === null) return fail('server-first');
  return { nonce: match[1]!, salt: Buffer.from(match[2]!, 'base64'), iterations: Number(match[3]) };
}

export function encodeClientFinal({ nonce, proof }: ClientFinal): string {
  return `c=${channelBinding},r=${nonce},p=${proof.toString('base64')}`;
}

export function decodeClientFinal(text: string): ClientFinal {
  const match = /^c=([A-Za-z0-9+/]+=*),r=([^,]+)(?:,[A-Za-z]+=[^,]*)*,p=([A-Za-z0-9+/]+=*)$/.exec(text);
  if (match === null) return fail('client-final');
  return { nonce: match[2]!, proof: Buffer.from(match[3]!, 'base64') };
}

export function encodeServerFinal(signature: Buffer): string {
  return `v=${signature.toString('base64')}`;
}

/** The server's signature, or the error that it names instead. */
export function decodeServerFinal(text: string): { signature: Buffer } | { error: string } {
  const match = /^(?:v=([A-Za-z0-9+/]+=*)|e=([^,]+))(?:,[A-Za-z]+=[^,]*)*$/.exec(text);
  if (match === null) return fail('server-final');
  const [, signature, error] = match;
  return signature === undefined ? { error: error! } : { signature: Buffer.from(signature, 'base64') };
}

function digestOf(mechanism: ScramMechanism): 'sha256' | 'sha512' {
  return mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512';
}

function hmac(mechanism: ScramMechanism, key: Buffer, text: string): Buffer {
  return createHmac(digestOf(mechanism), key).update(text, 'utf8').digest();
}

function exclusiveOr(left: Buffer, right: Buffer): Buffer {
  return Buffer.from(left.map((byte, index) => byte ^ right[index]!));
}

function escapeName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C');
}

function unescapeName(name: string): string {
  if (/=(?!2C|3D)/.test(name)) return fail('name within client-first');
  return name.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

function fail(what: string): never {
  throw new ProtocolError('bad-value', `the SCRAM ${what} message cannot be read`);
}
