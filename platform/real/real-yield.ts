import type { Yield } from '../yield.ts';

/** Goes on after the event loop has polled for IO once: timers and sockets that are ready come first. */
export class RealYield implements Yield {
  turn(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
