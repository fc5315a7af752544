import type { ReplayOptions } from '../../client/index.ts';
import { positionArgument } from '../positions.ts';
import type { ReplayCommandOptions } from './replay.ts';

/** The command that takes the replay up again: the same, with its name, and times that do not move with the clock. */
export function resumeCommand(
  {
    topic,
    options,
    engineOptions,
  }: { topic: string; options: ReplayCommandOptions; engineOptions: ReplayOptions },
  id: string,
): string {
  const { from = 'start', until = 'end' } = engineOptions;
  const values: [flag: string, value: string | undefined][] = [
    ['--brokers', options.brokers],
    ['--to', options.to],
    ['--from', from === 'start' ? undefined : positionArgument(from)],
    ['--until', until === 'end' ? undefined : positionArgument(until)],
    ['--partitions', options.partitions],
    ['--filter', options.filter],
    ['--module', options.module],
    ['--rate', options.rate],
    ['--bytes-per-second', options.bytesPerSecond],
    ['--speed', options.speed],
    ['--on-error', options.onError === 'stop' ? undefined : options.onError],
    ['--partitioning', options.partitioning],
    ['--compression', options.compression === 'none' ? undefined : options.compression],
    ['--rack', options.rack],
    ['--output', options.output === 'table' ? undefined : options.output],
  ];
  const switches = [
    ...(options.create === true ? ['--create'] : []),
    ...(options.outOfOrder === true ? ['--out-of-order'] : []),
    ...(options.provenance ? [] : ['--no-provenance']),
  ];
  const given = values.flatMap(([flag, value]) => (value === undefined ? [] : [flag, quote(value)]));
  return ['kappalog replay', quote(topic), ...given, ...switches, '--id', quote(id)].join(' ');
}

/** For a POSIX shell. */
function quote(text: string): string {
  return /^[A-Za-z0-9_./:,@+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
