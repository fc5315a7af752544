/** The member's end of the line protocol, for members in TypeScript: writes events, hears commands. */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { MemberCommand, MemberConfig, MemberEvent, Offsets } from '../line-protocol.ts';

type WithoutTime<T> = T extends unknown ? Omit<T, 'at'> : never;

export function memberConfig(): MemberConfig {
  const config: MemberConfig = JSON.parse(process.argv.at(-1) ?? '');
  return config;
}

/** Written at once: a kill right after it takes nothing back. */
export function emit(event: WithoutTime<MemberEvent>): void {
  const at = Math.round((performance.timeOrigin + performance.now()) * 1000);
  let rest = Buffer.from(`${JSON.stringify({ ...event, at })}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      // A pipe that Node has made non-blocking may be full for a moment: the harness reads on.
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
    }
  }
}

/** Calls back once, for the first command; ends the process when its input ends, since the harness is gone then. */
export function onCommand(run: (command: MemberCommand['command']) => Promise<void>): void {
  const lines = createInterface({ input: process.stdin });
  lines.once('line', (line) => {
    const { command }: MemberCommand = JSON.parse(line);
    run(command).then(
      () => {
        emit({ event: 'left' });
        process.exit(0);
      },
      (error: unknown) => fail(error),
    );
  });
  lines.once('close', () => process.exit(2));
}

export function fail(error: unknown): never {
  console.error(error);
  emit({ event: 'failed', error: String(error) });
  process.exit(1);
}

/** Tells of a commit before and after. */
export async function tellCommit(offsets: Offsets, commit: () => Promise<unknown>): Promise<void> {
  emit({ event: 'commit', offsets });
  try {
    await commit();
    emit({ event: 'committed', offsets });
  } catch (error) {
    emit({ event: 'commit-failed', offsets, error: describe(error) });
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const kind = 'type' in error ? error.type : 'code' in error ? error.code : error.name;
  const cause = error.cause === undefined ? '' : `; ${describe(error.cause)}`;
  return `${String(kind)}: ${error.message}${cause}`;
}
