import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../broker/logger.ts';
import { Dispatcher } from '../../../broker/network/dispatcher.ts';
import { KafkaListener } from '../../../broker/network/kafka-listener.ts';
import { RequestMemory } from '../../../broker/network/request-memory.ts';
import { BufferPool } from '../../../platform/buffer-pool.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryNetwork } from '../../../platform/memory-network.ts';
import { serveNode } from '../handlers/served-node.ts';

const address = { host: '127.0.0.1', port: 9092 };

describe('KafkaListener', () => {
  it('forgets who has hung up before the node was ready to serve', async () => {
    await using node = await serveNode();
    const clock = new ManualClock();
    const network = new MemoryNetwork({ clock });
    const listener = await KafkaListener.open({
      name: 'PLAINTEXT',
      address,
      network,
      clock,
      dispatcher: new Dispatcher({ node: node.services, authorize: () => true, observe: () => {} }),
      memory: new RequestMemory(1_000),
      pool: new BufferPool({ idleBytesMax: 0 }),
      logger: silentLogger,
      limits: { requestBytesMax: 100, connectionsMax: 10, connectionsPerAddressMax: 10, idleMsMax: -1 },
    });
    const connect = (): ReturnType<MemoryNetwork['connect']> => {
      const connecting = network.connect(address, { timeoutMs: 100 });
      clock.advance(10);
      return connecting;
    };
    const [gone, patient] = [await connect(), await connect()];
    gone.destroy();
    clock.advance(10);
    listener.serve();
    clock.advance(10);
    expect(listener.connectionCount).toBe(1);
    patient.destroy();
    clock.advance(10);
    expect(listener.connectionCount).toBe(0);
    // Nobody is waited for.
    await listener.close(5_000);
  });
});
