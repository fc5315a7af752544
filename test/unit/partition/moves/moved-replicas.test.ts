/** What becomes of a replica that was moved when one of the directories is lost, or it comes back to where it was made. */
import { describe, expect, it } from 'vitest';
import { readMemberFile, writeMemberFile } from '../../../../broker/partition/moves/member-file.ts';
import { arrivingState } from '../../../../broker/partition/moves/moved-files.ts';
import { memberId } from '../../../../broker/raft/member.ts';
import { MovingMachine, group, idOf, identity } from './moving-machine.ts';
import type { Path } from './moving-machine.ts';

const self = memberId(1, idOf('/a'));

/** With some records; moved along these directories. */
async function machineMoved(...path: Path[]): Promise<MovingMachine> {
  const machine = new MovingMachine(path.length);
  await machine.start();
  for (let at = 0; at < 8; at++) machine.append(`${at}`);
  await machine.until(() => machine.acknowledged.length === 8);
  for (const to of path) expect(await machine.move(to)).toBe(true);
  return machine;
}

/** The reason why the replica is offline. */
function reasonOf({ partitions }: MovingMachine): string | undefined {
  return partitions.offlineReplica('t', 0)?.reason;
}

function elsewhere(path: Path): string {
  return `it was moved to the data directory with the id ${idOf(path)}, which cannot be used`;
}

describe('a replica that was moved', () => {
  it('needs nothing of the directory that it came from', async () => {
    const machine = await machineMoved('/b');
    machine.end('power-loss');
    await machine.start({ named: '/a', without: ['/a'] });
    await machine.until(() => machine.replica?.ready === true);
    expect(machine.replica!.member).toBe(self);
    expect(await machine.values()).toEqual(machine.acknowledged);
    expect(machine.partitions.misplaced([{ ...identity, directoryId: idOf('/c') }])).toEqual([
      { ...group, directoryId: idOf('/a') },
    ]);
    expect(machine.partitions.misplaced([{ ...identity, directoryId: idOf('/a') }])).toEqual([]);
  });

  it('is not made anew where it was made while its directory is away, and is there when that is back', async () => {
    const machine = await machineMoved('/b', '/c');
    machine.end('kill');
    await machine.start({ named: '/a', without: ['/c'] });
    expect(reasonOf(machine)).toBe(elsewhere('/c'));
    expect(await machine.places()).toEqual([]);
    machine.end('kill');
    await machine.start({ named: '/a', without: ['/b', '/c'] });
    expect(reasonOf(machine)).toBe(elsewhere('/b'));
    machine.end('kill');
    await machine.start({ named: '/a' });
    await machine.until(() => machine.replica?.ready === true);
    expect(machine.replica!.home.path).toBe('/c');
    expect(await machine.values()).toEqual(machine.acknowledged);
  });

  it('and was taken out of its group may come back to where it was made, with the votes that it has given since', async () => {
    const machine = await machineMoved('/b');
    const vote = { term: 70, votedFor: memberId(9, idOf('/c')) };
    await machine.run(machine.directory('/b').votes.put([{ group, state: vote }]));
    await machine.run(machine.partitions.removeReplica(identity));
    expect(await machine.places()).toEqual([]);
    machine.end('power-loss');
    await machine.start({ named: '/a' });
    await machine.until(() => machine.replica?.ready === true);
    expect([machine.replica!.home.path, machine.replica!.member, machine.replica!.term]).toEqual([
      '/a',
      self,
      71,
    ]);
    expect(machine.directory('/a').votes.moveOf(group)).toBeUndefined();
    expect(await machine.values()).toEqual([]);
  });

  it('is moved by hand with its files alone, and so is another member then', async () => {
    const machine = await machineMoved('/b');
    await machine.run(machine.replica!.close());
    await machine.run(machine.life.rename('/b/t-0', '/c/t-0'));
    machine.end('kill');
    await machine.start({ named: '/a' });
    expect([machine.replica!.home.path, machine.replica!.member]).toEqual(['/c', memberId(1, idOf('/c'))]);
  });

  it('stays where it is, and says why, when the other disk is full', async () => {
    const machine = await machineMoved();
    machine.disk.arm({ operation: 'write', code: 'no-space', skip: 3 });
    expect(await machine.move('/b')).toBe(true);
    await machine.until(() => machine.told.length > 0);
    expect(machine.told).toEqual([expect.stringMatching(/^not moved to \/b: DiskError/)]);
    expect(await machine.places()).toEqual(['/a/t-0']);
    machine.append('more');
    await machine.until(() => machine.acknowledged.length === 9);
    expect(await machine.move('/b')).toBe(true);
    expect(await machine.values()).toEqual(machine.acknowledged);
  });

  it('is offline where it is not known whether it has been moved, and the next start knows', async () => {
    const machine = await machineMoved();
    const { votes } = machine.directory('/a');
    const put = votes.put.bind(votes);
    votes.put = async (records) => {
      await put(records);
      if (records.some((record) => 'movedTo' in record)) throw new Error('the answer of the disk was lost');
    };
    machine.moves.ask('t', 0, machine.directory('/b'));
    await machine.until(() => machine.replica === undefined);
    expect(reasonOf(machine)).toBe('it is not known whether it has been moved to another data directory');
    machine.end('power-loss');
    await machine.start({ named: '/a' });
    await machine.until(() => machine.replica?.ready === true);
    expect(machine.replica!.home.path).toBe('/b');
    expect(await machine.values()).toEqual(machine.acknowledged);
    expect(await machine.places()).toEqual(['/b/t-0']);
  });

  it('goes to the last directory that is asked for, whatever is under way', async () => {
    const machine = await machineMoved();
    machine.moves.ask('t', 0, machine.directory('/b'));
    await machine.until(() => false, 6);
    expect(await machine.move('/c')).toBe(true);
    expect(machine.replica!.home.path).toBe('/c');
    expect(await machine.places()).toEqual(['/c/t-0']);
    expect(machine.told).toEqual(['moved']);
    expect(await machine.values()).toEqual(machine.acknowledged);
  });

  it('lacks the records that were deleted while it was copied', async () => {
    const machine = await machineMoved();
    machine.moves.ask('t', 0, machine.directory('/b'));
    await machine.until(() => false, 12);
    // That takes the first segments out while they are being copied.
    await machine.run(machine.replica!.deleteRecords(5));
    await machine.until(() => !machine.isMoving && machine.replica?.ready === true);
    expect(machine.replica!.home.path).toBe('/b');
    expect(machine.replica!.logStartOffset).toBe(5);
    expect(await machine.values()).toEqual(machine.acknowledged.slice(5));
  });
});

describe('the term and vote of a member that is moved', () => {
  const voter = memberId(2, idOf('/b'));
  const other = memberId(3, idOf('/c'));

  it('are its own, unless the directory has some that are newer: then none is given again', () => {
    const vote = { term: 5, votedFor: voter };
    expect(arrivingState(undefined, undefined)).toBeUndefined();
    expect(arrivingState(vote, undefined)).toBe(vote);
    expect(arrivingState(undefined, vote)).toBe(vote);
    expect(arrivingState(vote, { term: 4, votedFor: other })).toBe(vote);
    expect(arrivingState(vote, { term: 5, votedFor: voter })).toBe(vote);
    expect(arrivingState(vote, { term: 5, votedFor: other })).toEqual({ term: 6, votedFor: undefined });
    expect(arrivingState(vote, { term: 9, votedFor: voter })).toEqual({ term: 10, votedFor: undefined });
  });
});

describe('the file that names a member', () => {
  it('counts in the directory that it was written for alone, and is refused where it cannot be read', async () => {
    const machine = new MovingMachine(1);
    await machine.start();
    const { life } = machine;
    const check = async (): Promise<void> => {
      await life.makeDirectory('/b/x-0');
      expect(await readMemberFile(life, '/b/x-0', idOf('/b'))).toBeUndefined();
      await writeMemberFile(life, '/b/x-0', { madeIn: idOf('/a'), liesIn: idOf('/b'), move: 3 });
      expect(await readMemberFile(life, '/b/x-0', idOf('/b'))).toEqual({ madeIn: idOf('/a'), move: 3 });
      expect(await readMemberFile(life, '/b/x-0', idOf('/c'))).toBeUndefined();
      const file = await life.open('/b/x-0/member', 'write');
      await file.truncate(20);
      await file.close();
      await expect(readMemberFile(life, '/b/x-0', idOf('/b'))).rejects.toThrow(/member cannot be read/);
    };
    await machine.run(check());
  });
});
