/**
 * The smallest Kafka client: asks for ApiVersions v0 over TCP. It needs nothing of the project's own protocol code, so it
 * measures and checks a broker from the outside.
 */
import { connect } from 'node:net';

/** Size 10 (without itself), api 18, version 0, correlation id 7, null client id. */
const request = Buffer.from('0000000a0012000000000007ffff', 'hex');

/** Whether a broker at this address answers ApiVersions within `timeoutMs`. */
export function answersApiVersions(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    let received = Buffer.alloc(0);
    socket.setTimeout(timeoutMs, () => finish(false));
    socket.once('error', () => finish(false));
    socket.once('close', () => finish(false));
    socket.once('connect', () => socket.write(request));
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      // Size, correlation id, error code.
      if (received.length >= 10) finish(received.readInt32BE(4) === 7 && received.readInt16BE(8) === 0);
    });
  });
}

/**
 * Milliseconds until the broker answers, from now; asks every 5 ms, so that the probe itself costs little.
 * Rejects after `timeoutMs`, or as soon as `ended` resolves.
 */
export async function waitUntilAnswering(
  address: { host: string; port: number },
  timeoutMs: number,
  ended: Promise<number | null>,
): Promise<number> {
  const begin = performance.now();
  let exit: { code: number | null } | undefined;
  void ended.then((code) => {
    exit = { code };
  });
  for (;;) {
    if (await answersApiVersions(address.host, address.port, 1000)) return performance.now() - begin;
    if (exit !== undefined)
      throw new Error(`The broker ended with ${exit.code ?? 'a signal'} before it was ready.`);
    if (performance.now() - begin > timeoutMs)
      throw new Error(`The broker was not ready within ${timeoutMs} ms.`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
