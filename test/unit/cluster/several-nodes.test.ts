import { describe, expect, it } from 'vitest';
import { MetadataLogError } from '../../../broker/cluster/metadata/metadata-log.ts';
import { contents, topicNamed } from './cluster-fixtures.ts';
import { settle } from './memory-cluster.ts';
import { MemoryFleet } from './memory-fleet.ts';

async function formed(): Promise<MemoryFleet> {
  const fleet = new MemoryFleet([1, 2, 3]);
  await fleet.form();
  return fleet;
}

describe('several nodes', () => {
  it('have the same image, each made of what is committed', async () => {
    const fleet = await formed();
    await fleet.run(fleet.node(1).cluster.createTopics([topicNamed('t', { replicationFactor: 3 })]));
    await fleet.flow();
    const [one, two, three] = fleet.nodes.map(({ cluster }) => contents(cluster.image));
    expect(two).toEqual(one);
    expect(three).toEqual(one);
    expect([...fleet.node(3).cluster.image.brokers.keys()]).toEqual([1, 2, 3]);
    expect(fleet.nodes.map(({ host }) => host.calls)).toEqual([
      ['open t-0', 'opened'],
      ['open t-0', 'opened'],
      ['open t-0', 'opened'],
    ]);
    await fleet.close();
    expect(fleet.failures).toEqual([]);
  });

  it('can each be asked, and have what they asked for when they are answered', async () => {
    const fleet = await formed();
    const { cluster } = fleet.node(3);
    const [made] = await fleet.run(
      cluster.createTopics([topicNamed('t', { configs: [{ name: 'segment.ms', value: '9' }] })]),
    );
    expect(made).toMatchObject({ kind: 'created', name: 't', overrides: [['segment.ms', '9']] });
    expect(cluster.image.topic('t')).toBeDefined();
    expect(cluster.topicConfig('t').segmentMs).toBe(9);
    const [again] = await fleet.run(fleet.node(2).cluster.createTopics([topicNamed('t')]));
    expect(again).toMatchObject({ kind: 'refused', error: 'TOPIC_ALREADY_EXISTS' });
    const ids = [];
    for (const node of fleet.nodes) ids.push(await fleet.run(node.cluster.allocateProducerId()));
    expect(ids).toEqual([0, 1000, 2000]);
    await fleet.close();
  });

  it('are as current as the controller was, once one that was behind has caught up', async () => {
    const fleet = await formed();
    const [one, two] = fleet.nodes.map(({ replica }) => replica);
    const making = fleet.node(1).cluster.createTopics([topicNamed('t')]);
    for (let round = 0; round < 5; round++) {
      fleet.group.replicate(one!, two!, Infinity);
      await settle();
    }
    expect((await making)[0]?.kind).toBe('created');
    const late = fleet.node(3).cluster;
    expect(late.image.topic('t')).toBeUndefined();
    let isCurrent = false;
    const caughtUp = late.catchUp().then(() => {
      isCurrent = true;
    });
    await settle();
    expect(isCurrent).toBe(false);
    await fleet.run(caughtUp);
    expect(late.image.topic('t')).toBeDefined();
    await fleet.close();
  });

  it('answer from a deposed leader nothing that another leader has changed', async () => {
    const fleet = await formed();
    const [one, two, three] = fleet.nodes.map(({ replica }) => replica);
    const [made] = await fleet.run(fleet.node(1).cluster.createTopics([topicNamed('t')]));
    expect(made?.kind).toBe('created');
    // Node 1 does not hear that 2 leads, and that the topic is gone.
    expect(fleet.group.elect(two!, [two!, three!])).toBe(true);
    const deleting = fleet.node(2).cluster.deleteTopics([fleet.node(1).cluster.image.topic('t')!.id]);
    for (let round = 0; round < 5; round++) {
      fleet.group.replicate(two!, three!, Infinity);
      await settle();
    }
    expect((await deleting)[0]?.kind).toBe('deleted');
    expect(one!.isLeader).toBe(true);
    let answered = false;
    const asked = fleet.node(1).cluster.createTopics([topicNamed('t')]);
    void asked.then(() => (answered = true));
    await settle();
    expect(answered).toBe(false);
    fleet.group.confirm(one!, [one!, three!]);
    await settle();
    const [again] = await fleet.run(asked);
    expect(again?.kind).toBe('created');
    await fleet.close();
  });

  it('decide nothing before the image of the new leader has what the last one wrote', async () => {
    const fleet = await formed();
    const [, two, three] = fleet.nodes.map(({ replica }) => replica);
    two!.reading.close();
    await fleet.run(fleet.node(1).cluster.createTopics([topicNamed('t')]));
    fleet.group.elect(two!, [two!, three!]);
    const creating = fleet.node(2).cluster.createTopics([topicNamed('t')]);
    await fleet.flow();
    await fleet.flow();
    expect([two!.ready, fleet.node(2).cluster.image.topicCount]).toEqual([true, 0]);
    two!.reading.open();
    expect(await fleet.run(creating)).toMatchObject([{ kind: 'refused', error: 'TOPIC_ALREADY_EXISTS' }]);
    await fleet.close();
    expect(fleet.failures).toEqual([]);
  });

  it('know of a write by a leader that lost its place whether it stayed, once somebody else has committed', async () => {
    for (const isKept of [true, false]) {
      const fleet = await formed();
      const [one, two, three] = fleet.nodes.map(({ replica }) => replica);
      const creating = fleet.node(1).cluster.createTopics([topicNamed('t')]);
      await settle();
      if (isKept) fleet.group.replicate(one!, two!, Infinity);
      // Its majority never answers; 2 takes over.
      one!.committed = Math.min(one!.committed, one!.entries.length - 1);
      expect(fleet.group.elect(two!, [two!, three!])).toBe(true);
      await fleet.run(fleet.node(2).cluster.createTopics([topicNamed('u')]));
      const [made] = await fleet.run(creating);
      expect(made?.kind).toBe('created');
      const named = fleet.node(2).cluster.image.topic('t');
      expect(named).toBeDefined();
      expect(fleet.nodes.map(({ cluster }) => cluster.image.topicCount)).toEqual([2, 2, 2]);
      await fleet.close();
    }
  });

  it('give up a creation whose outcome is unknown, and repeat what may be repeated', async () => {
    const fleet = await formed();
    const { cluster } = fleet.node(2);
    const creating = cluster.createTopics([topicNamed('t')]).catch((error: unknown) => error);
    const allocating = cluster.allocateProducerId();
    await settle();
    // The controller gets both, and its answers are lost.
    for (const message of fleet.takeOperations()) message.deliver();
    for (let round = 0; round < 5; round++) {
      for (const { replica } of fleet.nodes) fleet.group.replicate(fleet.group.leader!, replica, Infinity);
      await settle();
    }
    const answers = fleet.takeOperations();
    expect(answers.map(({ to }) => to)).toEqual([2, 2]);
    for (const answer of answers) answer.lose();
    const error = await creating;
    expect(error).toBeInstanceOf(MetadataLogError);
    expect(error).toMatchObject({ code: 'unknown' });
    expect(await fleet.run(allocating)).toBe(1000);
    expect(cluster.image.topic('t')).toBeDefined();
    await fleet.close();
  });

  it('try again with the next leader what the last one never got', async () => {
    const fleet = await formed();
    const { cluster } = fleet.node(3);
    const creating = cluster.createTopics([topicNamed('t')]);
    await settle();
    const questions = fleet.takeOperations();
    expect(questions.map(({ to }) => to)).toEqual([1]);
    for (const question of questions) question.lose();
    const [, two, three] = fleet.nodes.map(({ replica }) => replica);
    fleet.group.elect(two!, [two!, three!]);
    expect((await fleet.run(creating))[0]?.kind).toBe('created');
    await fleet.close();
  });

  it('give up after a time without a leader, and say that nothing was changed', async () => {
    const fleet = await formed();
    for (const { replica } of fleet.nodes) replica.follow(9, undefined);
    const creating = fleet
      .node(3)
      .cluster.createTopics([topicNamed('t')])
      .catch((error: unknown) => error);
    await fleet.clock.advanceAsync(14_000);
    await fleet.clock.advanceAsync(2_000);
    expect(await creating).toMatchObject({ code: 'timed-out' });
    expect(fleet.takeOperations()).toEqual([]);
  });

  it('know that they may be fenced once no controller has heard them for as long as a session lasts', async () => {
    const fleet = await formed();
    const standings = () => fleet.nodes.map(({ cluster }) => cluster.standing);
    await fleet.pass(3_000);
    expect(standings()).toEqual(['in-service', 'in-service', 'in-service']);
    await fleet.pass(8_000, [3]);
    expect(standings()).toEqual(['in-service', 'in-service', 'in-service']);
    await fleet.pass(2_000, [3]);
    // It does not hear that it is fenced.
    expect(fleet.node(1).cluster.image.brokers.get(3)?.fenced).toBe(true);
    expect(fleet.node(3).cluster.image.brokers.get(3)?.fenced).toBe(false);
    expect(standings()).toEqual(['in-service', 'in-service', 'no-controller']);
    await fleet.pass(4_000);
    expect(standings()).toEqual(['in-service', 'in-service', 'in-service']);
    await fleet.close();
  });

  it('start when they know all that was committed before', async () => {
    const fleet = new MemoryFleet([1, 2, 3]);
    const [one, two, three] = fleet.nodes.map(({ replica }) => replica);
    fleet.group.elect(one!, [one!, two!, three!]);
    await fleet.run(fleet.node(1).cluster.start());
    await fleet.run(fleet.node(1).cluster.register(fleet.registration(1)));
    await fleet.run(fleet.node(1).cluster.createTopics([topicNamed('t')]));
    let isStarted = false;
    // Node 3 has heard who leads, and no more.
    three!.entries = three!.entries.slice(0, 1);
    three!.committed = 0;
    one!.matched.set(3, 1);
    const starting = fleet
      .node(3)
      .cluster.start()
      .then(() => (isStarted = true));
    await settle();
    for (const message of fleet.takeOperations()) message.deliver();
    await settle();
    fleet.group.confirm(one!, [one!, two!]);
    await settle();
    for (const message of fleet.takeOperations()) message.deliver();
    await settle();
    expect(isStarted).toBe(false);
    fleet.group.replicate(one!, three!, Infinity);
    await settle();
    expect(isStarted).toBe(true);
    expect(fleet.node(3).cluster.image.topic('t')).toBeDefined();
    expect(fleet.node(3).host.calls).toEqual([]);
    await starting;
  });
});
