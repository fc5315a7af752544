/** A process or a machine that ends at any operation of the disk while a replica is moved between directories. */
import { expect, it } from 'vitest';
import { memberId } from '../../../../broker/raft/member.ts';
import { MovingMachine, group, idOf } from './moving-machine.ts';
import type { Path, StartOptions } from './moving-machine.ts';

const made = '/a' as const;
const other = '/b' as const;
const self = memberId(1, idOf(made));
/** In which this member has voted for somebody, which its log knows nothing of. */
const votedTerm = 50;

interface Case {
  readonly how: 'kill' | 'power-loss';
  /** Where it has been moved before, the last one being where it lies. */
  readonly along: readonly Path[];
  readonly to: Path;
  readonly journalBytes: number;
}

/** The replica has given its vote, and has records in several segments. */
async function machineWith(seed: number, { along, journalBytes }: Case): Promise<MovingMachine> {
  const machine = new MovingMachine(seed, journalBytes);
  await machine.start();
  expect(machine.replica!.member).toBe(self);
  for (const to of along) await machine.move(to);
  for (let at = 0; at < 12; at++) machine.append(`before ${at}`);
  await machine.until(() => machine.acknowledged.length === machine.written.length);
  const vote = { term: votedTerm, votedFor: memberId(9, idOf('/c')) };
  await machine.run(machine.replica!.home.votes.put([{ group, state: vote }]));
  return machine;
}

function expectSound(machine: MovingMachine): void {
  expect(machine.replica?.member).toBe(self);
  expect(machine.replica!.recovery.damage).toBeUndefined();
  expect(machine.replica!.term).toBeGreaterThan(votedTerm);
}

/** What was acknowledged is there, in order, and nothing that was never written. */
async function expectContent(machine: MovingMachine): Promise<void> {
  const values = await machine.values();
  expect(values).toEqual(machine.written.slice(0, values.length));
  expect(values.length).toBeGreaterThanOrEqual(machine.acknowledged.length);
  expect(machine.acknowledged).toEqual(machine.written.slice(0, machine.acknowledged.length));
  // From here on this is what there is.
  machine.written.length = values.length;
  machine.acknowledged.splice(0, Infinity, ...values);
}

/** With one disk gone: all of it, or nothing at all. */
async function expectAllOrNothing(machine: MovingMachine, options: StartOptions): Promise<void> {
  await machine.start(options);
  if (machine.replica === undefined) {
    expect(machine.told).toEqual(['offline']);
  } else {
    await machine.until(() => machine.replica!.ready);
    expectSound(machine);
    await expectContent(machine);
  }
  machine.end('kill');
}

/** Says whether the machine ended before the move was done. */
async function endAt(operations: number, options: Case): Promise<boolean> {
  const { how, along, to } = options;
  const from = along.at(-1) ?? made;
  const machine = await machineWith(operations, options);
  let appendings = 0;
  machine.moves.ask('t', 0, machine.directory(to));
  let isDone = false;
  for (let left = operations; left > 0 && !isDone; left -= 4) {
    if (appendings < 8) machine.append(`during ${appendings++}`);
    isDone = await machine.until(
      () => !machine.isMoving && machine.replica?.ready === true,
      Math.min(4, left),
    );
  }
  machine.end(how);
  await expectAllOrNothing(machine, { named: made, without: [from], bytesPerSecondMax: 0 });
  await expectAllOrNothing(machine, { named: made, without: [to], bytesPerSecondMax: 0 });
  await machine.start({ named: made });
  await machine.until(() => machine.replica?.ready === true && !machine.isMoving);
  expectSound(machine);
  await expectContent(machine);
  expect(await machine.places()).toEqual([`${machine.replica!.home.path}/t-0`]);
  if (isDone) expect(machine.replica!.home.path).toBe(to);
  machine.append('after');
  await machine.until(() => machine.acknowledged.at(-1) === 'after');
  await machine.move(from);
  machine.end('power-loss');
  await machine.start({ named: made });
  await machine.until(() => machine.replica?.ready === true);
  expectSound(machine);
  await expectContent(machine);
  expect(await machine.places()).toEqual([`${from}/t-0`]);
  expect(machine.told).toEqual([]);
  return !isDone;
}

/** Of the operations of a move, one in so many is tried in each case, another one in each. */
const stride = Number(process.env['MOVE_CRASH_STRIDE'] ?? 13);

const cases: readonly Case[] = (['kill', 'power-loss'] as const).flatMap((how) => [
  { how, along: [], to: other, journalBytes: 0 },
  { how, along: [other], to: made, journalBytes: 96 * 1024 },
  // What the directory in which it was made says of its first move is still there.
  { how, along: [other, '/c'], to: other, journalBytes: 0 },
]);

for (const [number, each] of cases.entries()) {
  it(
    `leaves the replica in ${each.along.at(-1) ?? made} or in ${each.to}, whole: ${each.how}`,
    { timeout: 600_000 },
    async () => {
      let operations = 1 + (number % stride);
      while (await endAt(operations, each)) operations += stride;
      expect(operations).toBeGreaterThan(100);
    },
  );
}
