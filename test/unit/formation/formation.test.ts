import { assert, integer, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FormingVoter, isFault } from '../../../broker/formation/formation.ts';
import type { Formation, VoterState } from '../../../broker/formation/formation.ts';
import type { Address } from '../../../platform/network.ts';
import { FormingWorld } from './forming-world.ts';

const list = (...ids: number[]): Map<number, Address> =>
  new Map(ids.map((id) => [id, { host: 'h', port: 9000 + id }]));

function voter(nodeId: number, voters = list(1, 2, 3)): FormingVoter {
  return new FormingVoter({ nodeId, directoryId: `d${nodeId}`, voters, newClusterId: () => 'c' });
}

const formation: Formation = { clusterId: 'c', voters: ['1/d1', '2/d2', '3/d3'] };

function answersTo(asker: number, ...others: FormingVoter[]): VoterState[] {
  return others.map((other) => other.asked(asker)!);
}

describe('FormingVoter', () => {
  it('forms by its lowest number, when all others have told twice that they belong to no cluster', () => {
    const [one, two, three] = [voter(1), voter(2), voter(3)];
    expect(one.answered(answersTo(1, two, three))).toBeUndefined();
    expect(one.answered(answersTo(1, two, three))).toEqual(formation);
    expect(one.asked(2)).toBeUndefined();
    one.formed(formation);
    expect(one.asked(2)?.formation).toEqual(formation);
  });

  it('waits for all, and begins again where one was silent or has another directory', () => {
    const [one, two, three] = [voter(1), voter(2), voter(3)];
    expect(one.answered(answersTo(1, two, three))).toBeUndefined();
    expect(one.answered(answersTo(1, two))).toBeUndefined();
    expect(one.answered(answersTo(1, two, three))).toBeUndefined();
    const [answer] = answersTo(1, three);
    expect(one.answered([...answersTo(1, two), { ...answer!, directoryId: 'new' }])).toBeUndefined();
    expect(one.answered([...answersTo(1, two), { ...answer!, directoryId: 'new' }])).toEqual({
      clusterId: 'c',
      voters: ['1/d1', '2/d2', '3/new'],
    });
  });

  it('never forms by a higher number, and takes over what it hears of', () => {
    const [one, two, three] = [voter(1), voter(2), voter(3)];
    for (let round = 0; round < 5; round++) expect(two.answered(answersTo(2, one, three))).toBeUndefined();
    one.formed(formation);
    expect(two.answered(answersTo(2, one, three))).toEqual(formation);
    expect(two.asked(3)).toBeUndefined();
  });

  it('forms nothing where one has joined a cluster, and goes by those who were there from its beginning', () => {
    const [one, two] = [voter(1), voter(2)];
    const joined: VoterState = {
      nodeId: 3,
      directoryId: 'new',
      listed: one.asked(2)!.listed,
      formation: undefined,
      joined: 'c',
    };
    expect(one.answered([...answersTo(1, two), joined])).toEqual({ kind: 'formed-before', clusterId: 'c' });
    expect(one.asked(2)).toBeUndefined();
    const first = { ...joined, nodeId: 1, directoryId: 'd1', formation, joined: undefined };
    two.beginRound();
    expect(two.answered([joined, first])).toEqual(formation);
  });

  it('takes nothing over in a round in which it has told the lowest number that it belongs to no cluster', () => {
    const [one, two] = [voter(1), voter(2)];
    one.formed(formation);
    two.beginRound();
    const answers = answersTo(2, one);
    two.asked(1);
    expect(two.answered(answers)).toBeUndefined();
    two.beginRound();
    expect(two.answered(answers)).toEqual(formation);
  });

  it('is not the voter that another directory was', () => {
    const [one, two] = [voter(1), voter(2)];
    one.formed({ ...formation, voters: ['1/d1', '2/lost', '3/d3'] });
    expect(two.answered(answersTo(2, one))).toEqual({ kind: 'directory-lost', clusterId: 'c' });
    one.formed({ ...formation, voters: ['1/d1', '3/d3', '4/d4'] });
    expect(two.answered(answersTo(2, one))).toEqual({ kind: 'not-listed', clusterId: 'c' });
  });

  it('refuses lists that differ, also in an address alone', () => {
    const elsewhere = new Map([...list(1, 2, 3), [3, { host: '::1', port: 9003 }]]);
    const outcome = voter(1).answered(answersTo(1, voter(2), voter(3, elsewhere)));
    const listed = ['1@h:9001', '2@h:9002', '3@[::1]:9003'];
    expect(outcome).toEqual({ kind: 'lists-differ', nodeId: 3, listed });
    expect(outcome !== undefined && isFault(outcome)).toBe(true);
  });

  it.each([3, 5])(
    'comes to one cluster of %i voters, whatever becomes of messages, processes and disks',
    (count) => {
      const outcomes = { formed: 0, formedTwice: 0, lost: 0 };
      assert(
        property(integer({ min: 1 }), integer({ min: 0, max: 1_000 }), (seed, steps) => {
          const world = new FormingWorld(count, seed);
          for (let step = 0; step < steps; step++) {
            world.step();
            world.check();
          }
          world.heal();
          world.check();
          const states = world.outcomes();
          expect(states).toContain('formed');
          expect(states).not.toContain('unformed');
          outcomes.formed++;
          if (world.formations > 1) outcomes.formedTwice++;
          if (states.includes('lost')) outcomes.lost++;
        }),
        { numRuns: 1_500, seed: 20_261_123 },
      );
      expect(outcomes.formed).toBe(1_500);
      // The faults that this is about have happened.
      expect(outcomes.formedTwice).toBeGreaterThan(10);
      expect(outcomes.lost).toBeGreaterThan(50);
    },
  );
});
