/** The SCRAM vectors of the Java client, from both sides, and messages that cannot be read. */
import { describe, expect, it } from 'vitest';
import { ProtocolError, scram } from '../../../protocol/index.ts';
import { hashVectorsOf, loadVectors } from '../../vectors/load-vectors.ts';

interface ScramVector {
  readonly mechanism: scram.ScramMechanism;
  readonly username: string;
  readonly password: string;
  readonly iterations: number;
  readonly saltHex: string;
  readonly clientNonce: string;
  readonly serverNonce: string;
  readonly saltedPasswordHex: string;
  readonly storedKeyHex: string;
  readonly serverKeyHex: string;
  readonly clientFirst: string;
  readonly serverFirst: string;
  readonly clientFinal: string;
  readonly serverFinal: string;
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the vectors are data without a type
const vectors = hashVectorsOf(loadVectors(), 'scram') as unknown as ScramVector[];

it('all vectors are here', () => {
  expect(vectors.length).toBe(8);
  expect(new Set(vectors.map(({ mechanism }) => mechanism))).toEqual(
    new Set(['SCRAM-SHA-256', 'SCRAM-SHA-512']),
  );
});

describe.each(vectors)('$mechanism, $username', (vector) => {
  const { mechanism, username, password, iterations, clientFirst, serverFirst, clientFinal } = vector;
  const salt = Buffer.from(vector.saltHex, 'hex');
  const nonce = vector.clientNonce + vector.serverNonce;
  const salted = scram.saltPassword(mechanism, password, { salt, iterations });
  const keys = scram.scramKeys(mechanism, salted);

  it('derives the keys', () => {
    expect(salted.toString('hex')).toBe(vector.saltedPasswordHex);
    expect(keys.storedKey.toString('hex')).toBe(vector.storedKeyHex);
    expect(keys.serverKey.toString('hex')).toBe(vector.serverKeyHex);
  });

  it('writes the messages', () => {
    const first = { username, nonce: vector.clientNonce, authorizationId: '', extensions: [] };
    expect(scram.encodeClientFirst(first)).toBe(clientFirst);
    expect(scram.encodeServerFirst({ nonce, salt, iterations })).toBe(serverFirst);
    const message = scram.authMessageToSign(clientFirst, serverFirst, nonce);
    expect(scram.encodeClientFinal({ nonce, proof: scram.clientProof(mechanism, keys, message) })).toBe(
      clientFinal,
    );
    expect(scram.encodeServerFinal(scram.serverSignature(mechanism, keys.serverKey, message))).toBe(
      vector.serverFinal,
    );
  });

  it('reads the messages and believes the proof, and no other', () => {
    expect(scram.decodeClientFirst(clientFirst)).toEqual({
      username,
      nonce: vector.clientNonce,
      authorizationId: '',
      extensions: [],
    });
    expect(scram.decodeServerFirst(serverFirst)).toEqual({ nonce, salt, iterations });
    const final = scram.decodeClientFinal(clientFinal);
    expect(final.nonce).toBe(nonce);
    const message = scram.authMessage(clientFirst, serverFirst, clientFinal);
    expect(scram.isClientProof(mechanism, keys.storedKey, message, final.proof)).toBe(true);
    expect(scram.decodeServerFinal(vector.serverFinal)).toEqual({
      signature: scram.serverSignature(mechanism, keys.serverKey, message),
    });
    const wrong = Buffer.from(final.proof);
    wrong[3]! ^= 1;
    expect(scram.isClientProof(mechanism, keys.storedKey, message, wrong)).toBe(false);
    expect(scram.isClientProof(mechanism, keys.storedKey, message, final.proof.subarray(1))).toBe(false);
    expect(scram.isClientProof(mechanism, keys.storedKey, `${message}x`, final.proof)).toBe(false);
  });
});

it('names and extensions survive', () => {
  const first = {
    username: 'a=,b=2C',
    nonce: 'x',
    authorizationId: 'a=,b=2C',
    extensions: ['tokenauth=true'],
  };
  expect(scram.encodeClientFirst(first)).toBe('n,a=a=3D=2Cb=3D2C,n=a=3D=2Cb=3D2C,r=x,tokenauth=true');
  expect(scram.decodeClientFirst(scram.encodeClientFirst(first))).toEqual(first);
});

it('an error of the server is told apart from a signature', () => {
  expect(scram.decodeServerFinal('e=invalid-encoding')).toEqual({ error: 'invalid-encoding' });
});

it('what is not a message is refused', () => {
  const bad: [decode: (text: string) => unknown, texts: string[]][] = [
    [
      scram.decodeClientFirst,
      ['', 'n,,n=u', 'y,,n=u,r=x', 'n,,n=,r=x', 'n,,n=a=b,r=x', 'n,,r=x,n=u', 'p=tls,,n=u,r=x'],
    ],
    [
      scram.decodeServerFirst,
      ['', 'r=x,s=AA==', 'r=x,s=!,i=4096', 'r=x,s=AA==,i=0', 'r=x,s=AA==,i=-1', 'r=x,s=AA==,i=99999999999'],
    ],
    [scram.decodeClientFinal, ['', 'c=biws,r=x', 'c=biws,r=x,p=', 'r=x,c=biws,p=AA==']],
    [scram.decodeServerFinal, ['', 'v=', 'x=AA==']],
  ];
  for (const [decode, texts] of bad) {
    for (const text of texts) expect(() => decode(text), text).toThrow(ProtocolError);
  }
});
