import { describe, expect, it } from 'vitest';
import { chooseDirectory } from '../../../broker/partition/directory-choice.ts';

/** Places so many replicas and says how many each directory has then. */
function placed(count: number, loads: { usableBytes: number; replicas: number }[]): number[] {
  const named = loads.map((load, at) => ({ ...load, directory: at }));
  for (let round = 0; round < count; round++) chooseDirectory(named);
  return named.map(({ replicas }) => replicas);
}

describe('the directory of a new replica', () => {
  it('is in turn one of those that have equally much free', () => {
    const loads = [100, 100, 100].map((usableBytes) => ({
      usableBytes,
      replicas: 0,
      directory: usableBytes,
    }));
    const order = [0, 1, 2].map((at) => ({ ...loads[at]!, directory: at }));
    expect(Array.from({ length: 7 }, () => chooseDirectory(order))).toEqual([0, 1, 2, 0, 1, 2, 0]);
  });

  it('is the emptier disk more often, by how much emptier it is', () => {
    expect(
      placed(100, [
        { usableBytes: 300, replicas: 0 },
        { usableBytes: 100, replicas: 0 },
      ]),
    ).toEqual([75, 25]);
  });

  it('makes up for what is there already', () => {
    expect(
      placed(10, [
        { usableBytes: 100, replicas: 9 },
        { usableBytes: 100, replicas: 0 },
      ]),
    ).toEqual([10, 9]);
  });

  it('is the one with fewest replicas where all disks are full, and never a full one beside another', () => {
    expect(
      placed(3, [
        { usableBytes: 0, replicas: 2 },
        { usableBytes: 0, replicas: 0 },
      ]),
    ).toEqual([3, 2]);
    expect(
      placed(50, [
        { usableBytes: 0, replicas: 0 },
        { usableBytes: 1, replicas: 10 },
      ]),
    ).toEqual([0, 60]);
  });
});
