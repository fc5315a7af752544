/** What the Linux kernel knows of another process: CPU time and resident memory. */
import { readFileSync } from 'node:fs';

/** The kernel's USER_HZ, which Linux fixes at 100 for everything that user space can see. */
const ticksPerSecond = 100;

/** User and system CPU seconds that the process has used since it began. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field is the command in parentheses and may hold spaces: fields are counted from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
  if (line === null) throw new Error(`The process ${pid} has ended: it has no resident memory.`);
  return Number(line[1]) * 1024;
}
