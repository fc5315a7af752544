import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BrokerImage } from '../../../../broker/cluster/metadata/metadata-image.ts';
import { chooseMetadataMembers } from '../../../../broker/cluster/nodes/metadata-voters.ts';
import type {
  MetadataMembers,
  MetadataVotersRequest,
} from '../../../../broker/cluster/nodes/metadata-voters.ts';
import { nodeOf } from '../../../../broker/raft/member.ts';
import type { MemberId } from '../../../../broker/raft/member.ts';

/** Nodes as `1`, `2@a` (on host a), `3!` (fenced), `4@b!`; the directory of node n is `dn` unless `5=x` names another. */
function broker(text: string): BrokerImage {
  const [, id, host, directory, fenced] = /^(\d+)(?:@(\w+))?(?:=(\w+))?(!)?$/.exec(text)!;
  return {
    id: Number(id),
    epoch: Number(id),
    incarnationId: `incarnation-${id}`,
    endpoints: [],
    features: [],
    rack: null,
    host: host ?? `h${id}`,
    fenced: fenced !== undefined,
    inControlledShutdown: false,
    logDirectories: [directory ?? `d${id}`, 'another'],
    cordonedDirectories: [],
  };
}

function members(text: string): MemberId[] {
  return text.split(' ').flatMap((id): MemberId[] => (id === '' ? [] : [`${Number(id)}/d${id}`]));
}

function choose(
  brokers: string,
  voters: string,
  rest: Partial<MetadataVotersRequest> = {},
): { voters: string; learners: string } {
  const chosen = chooseMetadataMembers({
    brokers: brokers.split(' ').flatMap((text) => (text === '' ? [] : [broker(text)])),
    admitted: [],
    isGone: () => false,
    isDrained: () => false,
    voters: members(voters),
    learners: [],
    leader: members(voters)[0]!,
    ...rest,
  });
  const shown = (list: readonly MemberId[]): string => list.map((member) => nodeOf(member)).join(' ');
  return { voters: shown(chosen.voters), learners: shown(chosen.learners) };
}

describe('the voters of the metadata group', () => {
  it.each([
    ['one node', '1', '1', '1', ''],
    ['two nodes: one voter', '1 2', '1', '1', '2'],
    ['three nodes: three voters', '1 2 3', '1', '1 2 3', ''],
    ['a third node that is silent is no reason for two', '1 2 3!', '1', '1', '2 3'],
    ['four nodes', '1 2 3 4', '1 2 3', '1 2 3', '4'],
    ['five nodes', '1 2 3 4 5', '1 2 3', '1 2 3 4 5', ''],
    ['seven nodes', '1 2 3 4 5 6 7', '2 3 4', '2 3 4 1 5', '6 7'],
    ['all on one machine', '1@m 2@m 3@m', '1', '1 2 3', ''],
    ['five nodes on three hosts: one on each', '1@a 2@a 3@b 4@b 5@c', '1', '1 3 5', '2 4'],
    ['a crowded host gives one up to a free one', '1@a 2@a 3@b 4@c', '1 2 3', '1 4 3', '2'],
    ['but not to a node that is silent', '1@a 2@a 3@b 4@c!', '1 2 3', '1 2 3', '4'],
    ['a silent voter stays', '1 2! 3 4', '1 2 3', '1 2 3', '4'],
    ['one that has yet to register stays', '1', '1 2 3', '1 2 3', ''],
    ['another directory is another member', '1 2=new 3', '1 2 3', '1 3 2', ''],
  ])('%s', (_, brokers, voters, expected, learners) => {
    expect(choose(brokers, voters)).toEqual({ voters: expected, learners });
  });

  it('leave out who was unregistered, and become fewer with the nodes', () => {
    const isGone = (id: number): boolean => id === 3;
    expect(choose('1 2 4', '1 2 3', { isGone })).toEqual({ voters: '1 2 4', learners: '' });
    expect(choose('1 2', '1 2 3', { isGone })).toEqual({ voters: '1', learners: '2' });
    expect(choose('1 2', '1 2 3', { isGone, leader: '2/d2' })).toEqual({ voters: '2', learners: '1' });
    // Silence is no reason to wait for ever for an odd number.
    expect(choose('1 2 4!', '1 2 3', { isGone })).toEqual({ voters: '1 2', learners: '4' });
  });

  it('give way to others when they are drained, the leader too, and go on voting where there are none', () => {
    const drained = (...ids: number[]) => ({ isDrained: (id: number) => ids.includes(id) });
    expect(choose('1 2 3 4', '1 2 3', drained(2))).toEqual({ voters: '1 3 4', learners: '2' });
    expect(choose('1 2 3 4', '1 2 3', drained(1))).toEqual({ voters: '2 3 4', learners: '1' });
    expect(choose('1 2 3 4!', '1 2 3', drained(2))).toEqual({ voters: '1 2 3', learners: '4' });
    expect(choose('1 2 3', '1 2 3', drained(2))).toEqual({ voters: '1 2 3', learners: '' });
    expect(choose('1 2 3 4 5', '1 2 3 4 5', drained(5, 2))).toEqual({ voters: '1 2 3 4 5', learners: '' });
    expect(choose('1 2 3 4 5 6', '1 2 3 4 5', drained(5, 2))).toEqual({ voters: '1 3 4 5 6', learners: '2' });
    // Nor do they become voters, or stay when one has to go.
    expect(choose('1 2 3 4', '1 2', drained(3))).toEqual({ voters: '1 2 4', learners: '3' });
    const isGone = (id: number): boolean => id === 5;
    expect(choose('1 2 3 4', '1 2 3 4 5', { isGone, ...drained(3) })).toEqual({
      voters: '1 2 4',
      learners: '3',
    });
  });

  it('get who is to join as a learner, in the directory that it has now', () => {
    const request = {
      brokers: [broker('1'), broker('2')],
      admitted: ['3/d3', '2/fresh'] as const,
      isGone: () => false,
      isDrained: () => false,
      voters: members('1'),
      learners: members('2'),
      leader: '1/d1' as const,
    };
    expect(chooseMetadataMembers(request)).toEqual({
      voters: ['1/d1'],
      learners: ['2/fresh', '3/d3'],
    });
  });

  it('are chosen once: choosing again changes nothing, and the leader stays', () => {
    const oneInTen = fc.integer({ min: 0, max: 9 });
    const node = fc.record({ host: fc.nat(4), fenced: fc.boolean(), gone: oneInTen, drained: oneInTen });
    fc.assert(
      fc.property(fc.array(node, { minLength: 1, maxLength: 8 }), fc.nat(4), (nodes, voterCount) => {
        const gone = new Set(nodes.flatMap((each, at) => (each.gone === 0 && at > 0 ? [at + 1] : [])));
        const brokers = nodes.flatMap(({ host, fenced }, at) =>
          gone.has(at + 1) ? [] : [broker(`${at + 1}@h${host}${fenced && at > 0 ? '!' : ''}`)],
        );
        const all = nodes.map((_, at): MemberId => `${at + 1}/d${at + 1}`);
        let present: MetadataMembers = {
          voters: all.slice(0, 1 + (voterCount % nodes.length)),
          learners: [],
        };
        const drained = new Set(nodes.flatMap((each, at) => (each.drained === 0 && at > 0 ? [at + 1] : [])));
        const request = {
          brokers,
          admitted: [],
          isGone: (id: number) => gone.has(id),
          isDrained: (id: number) => drained.has(id),
          leader: all[0]!,
        };
        // One crowded host is relieved at a time.
        for (let round = 0; round < 8; round++) {
          present = chooseMetadataMembers({ ...request, ...present });
        }
        const again = chooseMetadataMembers({ ...request, ...present });
        expect(again).toEqual(present);
        expect(present.voters).toContain(all[0]);
        expect([...present.voters, ...present.learners].map(nodeOf).toSorted((a, b) => a - b)).toEqual(
          brokers.map(({ id }) => id),
        );
        expect(present.voters.length).toBeLessThanOrEqual(5);
        const used = new Set(
          present.voters.map((member) => brokers.find(({ id }) => id === nodeOf(member))!.host),
        );
        const free = brokers.filter(({ id, host, fenced }) => !fenced && !used.has(host) && !drained.has(id));
        // Nobody who is drained votes while another node could.
        const idle = brokers.filter(
          ({ id, fenced }) => !fenced && !drained.has(id) && !present.voters.map(nodeOf).includes(id),
        );
        if (idle.length > 0) expect(present.voters.map(nodeOf).filter((id) => drained.has(id))).toEqual([]);
        // No host votes twice while another one that is alive has no vote, but for the leader's.
        if (used.size < present.voters.length && free.length > 0) {
          const crowded = present.voters.filter((one) =>
            present.voters.some(
              (other) =>
                other !== one &&
                brokers.find(({ id }) => id === nodeOf(other))!.host ===
                  brokers.find(({ id }) => id === nodeOf(one))!.host,
            ),
          );
          expect(crowded).toEqual([]);
        }
      }),
    );
  });
});
