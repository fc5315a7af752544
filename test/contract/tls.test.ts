/** TLS of the machine's network: who is let in, and what is carried. */
import { afterEach, describe, expect, it } from 'vitest';
import type { ByteStream, Listener, NetworkError } from '../../platform/network.ts';
import { RealNetwork } from '../../platform/real/real-network.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { authority, nodeIdentity, strangerIdentity } from '../support/certificates.ts';

const anyPort = { host: '127.0.0.1', port: 0 };
const timeoutMs = 5000;
const network = new RealNetwork();

describe('TLS of the machine', () => {
  const listeners: Listener[] = [];
  const streams: ByteStream[] = [];

  afterEach(async () => {
    for (const stream of streams.splice(0)) stream.destroy();
    for (const listener of listeners.splice(0)) await listener.close();
  });

  async function listen(clientCa?: string) {
    const accepted = Promise.withResolvers<ByteStream>();
    const failed = Promise.withResolvers<NetworkError>();
    const tls = { ...nodeIdentity, ...(clientCa === undefined ? {} : { clientCa }) };
    const listener = await network.listen(anyPort, accepted.resolve, tls);
    listener.onFailure(failed.resolve);
    listeners.push(listener);
    return { address: listener.address, accepted: accepted.promise, failed: failed.promise };
  }

  it('carries bytes both ways between two that know each other', async () => {
    const { address, accepted } = await listen(authority);
    const client = await network.connect(address, { timeoutMs, tls: { ca: authority, ...nodeIdentity } });
    const server = await accepted;
    streams.push(client, server);
    const sent = new SeededRandom(3).bytes(500_000);
    const echoed = new Promise<Buffer>((resolve) => {
      const chunks: Buffer[] = [];
      let sizeBytes = 0;
      client.onData((chunk) => {
        chunks.push(chunk);
        sizeBytes += chunk.length;
        if (sizeBytes === sent.length) resolve(Buffer.concat(chunks));
      });
    });
    server.onData((chunk) => server.write([chunk]));
    client.write([sent.subarray(0, 7), sent.subarray(7)]);
    expect((await echoed).equals(sent)).toBe(true);
  });

  it.each([
    ['no certificate', {}],
    ['one of another authority', strangerIdentity],
  ])('lets nobody in who shows %s where one is asked for', async (_, identity) => {
    const { address, failed } = await listen(authority);
    const client = await network.connect(address, { timeoutMs, tls: { ca: authority, ...identity } });
    streams.push(client);
    const closed = new Promise((resolve) => client.onClose(resolve));
    client.onData(() => expect.unreachable());
    expect(await failed).toMatchObject({ code: 'tls' });
    expect((await failed).message).toMatch(/^Could not take a connection.*(certificate)/);
    await closed;
  });

  it('lets everybody in where no certificate is asked for', async () => {
    const { address, accepted } = await listen();
    streams.push(await network.connect(address, { timeoutMs, tls: { ca: authority } }), await accepted);
    expect(streams).toHaveLength(2);
  });

  it('does not trust a listener that another authority vouches for, nor one without TLS', async () => {
    const { address } = await listen();
    await expect(network.connect(address, { timeoutMs, tls: {} })).rejects.toMatchObject({ code: 'tls' });
    const plain = await network.listen(anyPort, (stream) => {
      stream.onData(() => stream.destroy());
      stream.onClose(() => undefined);
    });
    listeners.push(plain);
    await expect(network.connect(plain.address, { timeoutMs, tls: { ca: authority } })).rejects.toMatchObject(
      {
        code: expect.stringMatching(/^(tls|reset)$/),
      },
    );
  });

  it('outlives one that speaks no TLS', async () => {
    const { address, accepted, failed } = await listen(authority);
    const scanner = await network.connect(address, { timeoutMs });
    streams.push(scanner);
    const closed = new Promise((resolve) => scanner.onClose(resolve));
    scanner.onData(() => undefined);
    scanner.write([Buffer.from('GET / HTTP/1.1\r\n\r\n')]);
    expect(await failed).toMatchObject({ code: 'tls' });
    await closed;
    const tls = { ca: authority, ...nodeIdentity };
    streams.push(await network.connect(address, { timeoutMs, tls }), await accepted);
    expect(streams).toHaveLength(3);
  });

  it('says that a key cannot be used', async () => {
    const wrong = { cert: nodeIdentity.cert, key: strangerIdentity.key };
    await expect(network.listen(anyPort, () => undefined, wrong)).rejects.toMatchObject({ code: 'tls' });
  });
});
