/**
 * Bytes handed over as the network between nodes does: in memory that belongs to others once the last reference is released. Here
 * it is spoilt then, so that whoever kept what was not theirs reads nonsense.
 */
import { PooledBuffer } from '../../platform/buffer-pool.ts';
import type { Lease } from '../../platform/buffer-pool.ts';

export function lend<T>(bytes: Buffer, receive: (bytes: Buffer, lease: Lease) => T): T {
  const memory = new PooledBuffer(Buffer.from(bytes), (released) => released.fill(0xa5));
  const result = receive(memory.buffer, memory);
  memory.release();
  return result;
}
