/**
 * Notices that the reader of a pipe has left while there is nothing to write: `kappalog consume t | head -3` must end when
 * head has its three lines, also if no fourth record ever comes. Node has no way to poll a descriptor, and a write that
 * finds out would need something to say. GNU tail polls its stdout: it is given ours, ends by SIGPIPE when the reader has
 * gone, and ends with this process otherwise. Where there is no such tail, the next record that is written finds out.
 */
import { spawn } from 'node:child_process';
import { fstatSync } from 'node:fs';
import type { Interruption } from '../interruption.ts';

const stdoutDescriptor = 1;

/** Interrupts with 'closed-output' when the reader leaves. Returns what ends the watch. */
export function watchClosedOutput(interruption: Interruption): () => void {
  if (process.platform !== 'linux' || !fstatSync(stdoutDescriptor).isFIFO()) return () => undefined;
  const watcher = spawn('tail', [`--pid=${process.pid}`, '-f', '/dev/null'], {
    stdio: ['ignore', 'inherit', 'ignore'],
  });
  watcher.on('exit', (_code, signal) => {
    if (signal === 'SIGPIPE') interruption.interrupt('closed-output');
  });
  // No tail here: the watch is an extra, and writing finds out too.
  watcher.on('error', () => undefined);
  watcher.unref();
  return () => void watcher.kill();
}
