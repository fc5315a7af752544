/** One suite over the machine's network and the one in memory: what broker and client rely on. */
import { afterEach, describe, expect, it } from 'vitest';
import { MemoryNetwork } from '../../platform/memory-network.ts';
import { NetworkError } from '../../platform/network.ts';
import type { ByteStream, ConnectOptions, Listener, Network } from '../../platform/network.ts';
import { RealClock } from '../../platform/real/real-clock.ts';
import { RealNetwork } from '../../platform/real/real-network.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';

const clock = new RealClock();
const localhost = '127.0.0.1';

/** Everything that came over a stream, and how it ended. */
class Seen {
  readonly chunks: Buffer[] = [];
  sizeBytes = 0;
  closes = 0;
  error: Error | undefined;
  #waiting: (() => void)[] = [];

  constructor(stream: ByteStream) {
    stream.onData((chunk) => {
      this.chunks.push(chunk);
      this.sizeBytes += chunk.length;
      this.#wake();
    });
    stream.onClose((error) => {
      this.closes++;
      this.error = error;
      this.#wake();
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  async until(isDone: () => boolean): Promise<void> {
    while (!isDone()) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

describe.each([
  { name: 'the machine', makeNetwork: (): Network => new RealNetwork() },
  { name: 'memory', makeNetwork: (): Network => new MemoryNetwork({ clock }) },
  {
    name: 'memory, in pieces',
    makeNetwork: (): Network => new MemoryNetwork({ clock, random: new SeededRandom(1) }),
  },
])('the network of $name', ({ makeNetwork }) => {
  const listeners: Listener[] = [];
  const streams: ByteStream[] = [];

  afterEach(async () => {
    for (const stream of streams.splice(0)) stream.destroy();
    for (const listener of listeners.splice(0)) await listener.close();
  });

  async function connected(
    options: Partial<ConnectOptions> = {},
  ): Promise<{ network: Network; client: ByteStream; server: ByteStream }> {
    const network = makeNetwork();
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await network.listen({ host: localhost, port: 0 }, accepted.resolve);
    listeners.push(listener);
    const client = await network.connect(listener.address, { timeoutMs: 5000, ...options });
    const server = await accepted.promise;
    streams.push(client, server);
    return { network, client, server };
  }

  it('carries bytes both ways, in order, whatever the parts', async () => {
    const { client, server } = await connected();
    const atServer = new Seen(server);
    const atClient = new Seen(client);
    const sent = new SeededRandom(7).bytes(300_000);
    for (let position = 0, size = 1; position < sent.length; position += 3 * size, size = (size * 7) % 9001) {
      const piece = sent.subarray(position, position + 3 * size);
      client.write([piece.subarray(0, size), piece.subarray(size, 2 * size), piece.subarray(2 * size)]);
    }
    server.write([Buffer.from('answer'), Buffer.alloc(0), Buffer.from('!')]);
    await atServer.until(() => atServer.sizeBytes === sent.length);
    await atClient.until(() => atClient.sizeBytes === 7);
    expect(atServer.bytes.equals(sent)).toBe(true);
    expect(atClient.bytes.toString()).toBe('answer!');
  });

  it('knows both addresses', async () => {
    const { client, server } = await connected();
    expect(client.remote).toEqual(server.local);
    expect(server.remote.port).toBe(client.local.port);
  });

  it.each([
    ['one that is accepted', 'server', {}],
    ['one that connects', 'client', {}],
    ['one that connects for this', 'client', { byBytes: true }],
  ] as const)('hands bytes to a receiver that gives its own memory, at %s', async (_, end, options) => {
    const { client, server } = await connected(options);
    const [receiving, sending] = end === 'server' ? [server, client] : [client, server];
    const memory = Buffer.alloc(10_000);
    let filled = 0;
    const done = Promise.withResolvers<void>();
    receiving.onBytes({
      target: () => memory.subarray(filled, Math.min(memory.length, filled + 777)),
      received: (count) => {
        filled += count;
        if (filled === 9000) done.resolve();
      },
    });
    const sent = new SeededRandom(8).bytes(9000);
    sending.write([sent]);
    await done.promise;
    expect(memory.subarray(0, 9000).equals(sent)).toBe(true);
  });

  it('runs onSent once for each write, in order', async () => {
    const { client, server } = await connected();
    const seen = new Seen(server);
    const order: number[] = [];
    for (let count = 0; count < 20; count++) client.write([Buffer.alloc(1000)], () => order.push(count));
    expect(order).toEqual([]);
    await seen.until(() => seen.sizeBytes === 20_000);
    client.end();
    await seen.until(() => seen.closes === 1);
    expect(order).toEqual(Array.from({ length: 20 }, (_, count) => count));
  });

  it('holds a sender back while the receiver is paused, and drains when it reads on', async () => {
    const { client, server } = await connected();
    const seen = new Seen(server);
    server.pause();
    const chunk = Buffer.alloc(64 * 1024, 1);
    let sent = 0;
    let isFree = true;
    while (isFree && sent < 1024) {
      isFree = client.write([chunk]);
      sent++;
      await new Promise<void>((resolve) => {
        clock.after(0, resolve);
      });
    }
    expect(isFree).toBe(false);
    expect(client.unsentBytes).toBeGreaterThan(1024 * 1024 - 1);
    const drained = new Promise<void>((resolve) => client.onDrain(resolve));
    const before = seen.sizeBytes;
    server.resume();
    await drained;
    await seen.until(() => seen.sizeBytes === sent * chunk.length);
    expect(before).toBeLessThan(seen.sizeBytes);
    expect(client.unsentBytes).toBe(0);
    expect(client.write([chunk])).toBe(true);
  });

  it('ends by agreement: what was written arrives first, then both ends close without an error', async () => {
    const { client, server } = await connected();
    const atServer = new Seen(server);
    const atClient = new Seen(client);
    client.write([Buffer.alloc(200_000, 3)]);
    client.end();
    await atServer.until(() => atServer.closes > 0);
    await atClient.until(() => atClient.closes > 0);
    expect(atServer.sizeBytes).toBe(200_000);
    expect([atServer.closes, atClient.closes]).toEqual([1, 1]);
    expect([atServer.error, atClient.error]).toEqual([undefined, undefined]);
  });

  it('closes at once when destroyed, tells why, and runs what waited for onSent', async () => {
    const { client, server } = await connected();
    expect(new Seen(server).closes).toBe(0);
    server.pause();
    const seen = new Seen(client);
    let wasSent = false;
    client.write([Buffer.alloc(30_000_000)], () => {
      wasSent = true;
    });
    client.destroy(new Error('enough'));
    await seen.until(() => seen.closes > 0);
    expect(seen.error?.message).toBe('enough');
    expect([seen.closes, wasSent]).toEqual([1, true]);
  });

  it('tells a peer that its end is gone', async () => {
    const { client, server } = await connected();
    const seen = new Seen(server);
    client.destroy();
    await seen.until(() => seen.closes > 0);
    expect(seen.closes).toBe(1);
  });

  it('refuses an address that is in use, and connections to one that is not', async () => {
    const network = makeNetwork();
    const listener = await network.listen({ host: localhost, port: 0 }, () => undefined);
    const again = network.listen(listener.address, () => undefined);
    await expect(again).rejects.toMatchObject({ code: 'address-in-use' });
    await expect(again).rejects.toBeInstanceOf(NetworkError);
    await listener.close();
    await expect(network.connect(listener.address, { timeoutMs: 5000 })).rejects.toMatchObject({
      code: 'refused',
    });
    listeners.push(await network.listen(listener.address, () => undefined));
  });
});
