/** What the machine alone makes of what a commit consists of: one append with its sync, and one message there and back. */
import { fork } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

export interface MachineRates {
  /** 16 KiB at the end of a growing file, then fdatasync, one after the other. */
  readonly syncsPerSecond: number;
  readonly syncMs: { readonly p50: number; readonly p99: number };
  /** 100 bytes over loopback to another process and back. */
  readonly roundTripMs: { readonly p50: number; readonly p99: number };
}

export async function measureMachine(directory: string, forMs: number): Promise<MachineRates> {
  const syncs = measureSyncs(directory, forMs);
  const roundTrips = await measureRoundTrips(Math.min(forMs, 2000));
  return {
    syncsPerSecond: syncs.length / (forMs / 1000),
    syncMs: { p50: percentile(syncs, 0.5), p99: percentile(syncs, 0.99) },
    roundTripMs: { p50: percentile(roundTrips, 0.5), p99: percentile(roundTrips, 0.99) },
  };
}

/** Of sorted values. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function measureSyncs(directory: string, forMs: number): number[] {
  const path = join(directory, 'syncs');
  const file = openSync(path, 'w');
  const block = Buffer.alloc(16 * 1024, 0x61);
  const took: number[] = [];
  const endMs = performance.now() + forMs;
  for (let nowMs = performance.now(); nowMs < endMs;) {
    writeSync(file, block);
    fdatasyncSync(file);
    const doneMs = performance.now();
    took.push(doneMs - nowMs);
    nowMs = doneMs;
  }
  closeSync(file);
  rmSync(path);
  return took.sort((a, b) => a - b);
}

async function measureRoundTrips(forMs: number): Promise<number[]> {
  const echo = fork(join(import.meta.dirname, 'echo.ts'));
  const port = await new Promise<number>((resolve) =>
    echo.once('message', (message) => resolve(Number(message))),
  );
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  const took: number[] = [];
  const message = Buffer.alloc(100);
  const endMs = performance.now() + forMs;
  await new Promise<void>((resolve, reject) => {
    let sentMs = 0;
    const send = (): void => {
      sentMs = performance.now();
      socket.write(message);
    };
    socket.on('error', reject);
    socket.on('connect', send);
    socket.on('data', () => {
      const nowMs = performance.now();
      took.push(nowMs - sentMs);
      if (nowMs < endMs) send();
      else resolve();
    });
  });
  socket.destroy();
  echo.disconnect();
  return took.sort((a, b) => a - b);
}
