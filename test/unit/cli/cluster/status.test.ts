import { describe, expect, it } from 'vitest';
import { KafkaError } from '../../../../client/index.ts';
import { assembleCluster } from '../../../../cli/cluster/cluster-state.ts';
import type { ClusterAnswers, ClusterState } from '../../../../cli/cluster/cluster-state.ts';
import { healthOf } from '../../../../cli/cluster/health.ts';
import { planInput } from '../../../../cli/cluster/rebalance.ts';
import { nameSome, renderStatus, statusDocument } from '../../../../cli/cluster/status.ts';

const directories = (broker: number, sizeBytes: number) =>
  [
    broker,
    [
      {
        broker,
        path: '/d',
        error: null,
        totalBytes: null,
        usableBytes: null,
        partitions: [{ topic: 'orders', partition: 0, sizeBytes, offsetLag: 0, isFuture: false }],
      },
    ],
  ] as const;

const member = (id: number, logEndOffset: number) => ({
  id,
  logEndOffset,
  lastFetchTimestamp: -1,
  lastCaughtUpTimestamp: -1,
});

/** Three nodes of which the third is fenced, node 4 drained; partitions as `leader:replicas:inSync`. */
function stateOf(partitions: readonly string[], rest: Partial<ClusterAnswers> = {}): ClusterState {
  const ids = (text = ''): number[] => text.split(',').filter(Boolean).map(Number);
  return assembleCluster({
    cluster: {
      clusterId: 'abc',
      controllerId: 1,
      brokers: [1, 2, 3, 4].map((id) => ({
        id,
        host: `h${id}`,
        port: 9092,
        rack: id === 1 ? 'r' : null,
        fenced: id === 3,
      })),
    },
    features: [
      { name: 'metadata.version', minVersion: 1, maxVersion: 9, level: 7 },
      { name: 'unused', minVersion: 0, maxVersion: 1, level: null },
    ],
    quorum: {
      leader: 1,
      leaderEpoch: 5,
      highWatermark: 98,
      voters: [member(1, 100), member(2, 97), member(3, -1)],
      observers: [member(4, 99)],
    },
    quorumError: null,
    topics: [
      {
        name: 'orders',
        topicId: 'x',
        internal: false,
        partitions: partitions.map((text, partition) => {
          const [leader, replicas, inSync] = text.split(':');
          return {
            partition,
            leader: Number(leader),
            leaderEpoch: 0,
            replicas: ids(replicas),
            inSyncReplicas: ids(inSync),
            offlineReplicas: [],
          };
        }),
      },
    ],
    minInSync: new Map([['orders', 2]]),
    drained: new Set([4]),
    reassignments: [],
    directories: new Map([directories(1, 10), directories(2, 2_048)]),
    silent: new Set(),
    ...rest,
  });
}

const partitionsOf = (list: readonly { partition: number }[]): number[] =>
  list.map(({ partition }) => partition);

describe('the picture of a cluster', () => {
  it('counts what each node leads, holds and lacks', () => {
    const { nodes } = stateOf(['1:1,2:1,2', '2:2,4:2,4', '1:1,3:1']);
    expect(
      nodes.map(({ id, leaders, replicas, sizeBytes, metadataRole, metadataLag, drained, fenced }) => [
        id,
        leaders,
        replicas,
        sizeBytes,
        metadataRole,
        metadataLag,
        drained,
        fenced,
      ]),
    ).toEqual([
      [1, 2, 2, 10, 'leader', 0, false, false],
      [2, 1, 2, 2_048, 'voter', 3, false, false],
      [3, 0, 1, null, 'voter', null, false, true],
      [4, 0, 1, null, 'observer', 1, true, false],
    ]);
  });

  it('has no roles where the brokers do not tell of a quorum', () => {
    const { nodes } = stateOf([], { quorum: null });
    expect(nodes.map(({ metadataRole, metadataLag }) => [metadataRole, metadataLag])).toEqual(
      Array.from({ length: 4 }, () => [null, null]),
    );
  });

  it('is planned with what may be used and is not on its way already', () => {
    const reassignments = [
      { topic: 'orders', partition: 1, replicas: [2, 4, 1], adding: [2], removing: [1] },
    ];
    const { nodes, partitions } = planInput(stateOf(['1:1,2:1,2', '2:2,4,1:4,1'], { reassignments }));
    expect(nodes).toEqual([
      { id: 1, rack: 'r', host: 'h1' },
      { id: 2, rack: null, host: 'h2' },
    ]);
    expect(partitions).toEqual([{ topic: 'orders', partition: 0, replicas: [1, 2], sizeBytes: 2_048 }]);
  });
});

describe('its health', () => {
  const whole = stateOf(['1:1,2:1,2']);
  const alive = {
    ...whole,
    nodes: whole.nodes.map((node) => ({ ...node, fenced: false, answers: true })),
  };

  it('is good where all are there', () => {
    expect(healthOf(alive)).toEqual({
      status: 'healthy',
      offline: [],
      underMinInSync: [],
      underReplicated: [],
      fencedNodes: [],
      unansweringNodes: [],
      silentVoters: [],
      hasMetadataLeader: true,
    });
  });

  it('is less than it should be where a node does not answer of which the cluster does not know that yet', () => {
    const [first, ...others] = alive.nodes;
    const state = { ...alive, nodes: [{ ...first!, answers: false }, ...others] };
    expect(healthOf(state)).toMatchObject({ status: 'degraded', unansweringNodes: [1] });
    expect(renderStatus(state, healthOf(state))).toMatch(/^Partitions: 1 in 1 topic$/m);
    // Nobody is there who would fence it: what it led is not led.
    const undecided = { ...state, quorum: null, quorumError: 'Nobody leads.' };
    const { status, offline } = healthOf(undecided);
    expect([status, partitionsOf(offline)]).toEqual(['unavailable', [0]]);
    expect(renderStatus(state, healthOf(state))).toMatch(/^ +1 +h1:9092 +r +no answer /m);
    expect(stateOf([], { silent: new Set([2]) }).nodes.map(({ answers }) => answers)).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });

  it('tells partitions apart by what is wrong with them', () => {
    const health = healthOf(
      stateOf(['1:1,2:1,2', '-1:1,2:', '1:1,2,3:1,2', '2:2,3,4:2', '1:1,2,3:1,2,3', '2:2,3:2,3']),
    );
    // The last of them lost its majority with node 3; that its leader has stepped down may not be known yet.
    expect(partitionsOf(health.offline)).toEqual([1, 5]);
    expect(partitionsOf(health.underMinInSync)).toEqual([3]);
    // The last has a replica on a node that is not heard of, which its leader has yet to notice.
    expect(partitionsOf(health.underReplicated)).toEqual([2, 3, 4]);
    expect(health).toMatchObject({ status: 'unavailable', fencedNodes: [3], silentVoters: [3] });
  });

  it('is not worse for replicas that are just being added or on their way out', () => {
    const reassignments = [
      { topic: 'orders', partition: 0, replicas: [1, 2, 4, 3], adding: [4], removing: [3] },
    ];
    const state = stateOf(['1:1,2,4,3:1,2'], { reassignments });
    expect(healthOf(state).underReplicated).toEqual([]);
  });

  it('is only less than it should be while a node is away', () => {
    expect(healthOf(whole).status).toBe('degraded');
  });

  it('is bad without a leader of the metadata, but not for not being told of one', () => {
    expect(healthOf({ ...alive, quorum: { ...alive.quorum!, leader: -1 } }).status).toBe('unavailable');
    const { message } = new KafkaError('TIMED_OUT', 'No answer.');
    expect(healthOf({ ...alive, quorum: null, quorumError: message })).toMatchObject({
      status: 'unavailable',
      hasMetadataLeader: false,
    });
    expect(healthOf({ ...alive, quorum: null })).toMatchObject({
      status: 'healthy',
      hasMetadataLeader: true,
    });
  });
});

describe('what people read', () => {
  it('is the whole picture, with names of what is wrong', () => {
    const reassignments = [
      { topic: 'orders', partition: 0, replicas: [1, 2, 4], adding: [2], removing: [4] },
    ];
    const state = stateOf(['1:1,2,4:1,2', '-1:3:', '2:2,3,4:2'], { reassignments });
    expect(renderStatus(state, healthOf(state))).toBe(
      [
        'Cluster abc is unavailable.',
        '',
        'NODE  ADDRESS  RACK  STATE         LEADERS  REPLICAS     SIZE  METADATA  LAG',
        '   1  h1:9092  r     up                  1         1     10 B  leader      0',
        '   2  h2:9092  -     up                  1         2  2.0 KiB  voter       3',
        '   3  h3:9092  -     fenced              0         2        -  voter       -',
        '   4  h4:9092  -     up, draining        0         2        -  observer    1',
        '',
        'Metadata: node 1 leads in term 5; voters 1, 2, 3; observers 4; 3 entries behind at most; voters not heard of: 3',
        'Features: metadata.version 7',
        'Partitions: 3 in 1 topic',
        '  1 without a leader: orders-1',
        '  1 with too few replicas in sync for acks=all: orders-2',
        '  1 under-replicated: orders-2',
        'Nodes that are not heard of: 3',
        'Reassignments: 1 under way: orders-0',
      ].join('\n'),
    );
  });

  it('names only the first of many partitions, and machines get all', () => {
    const many = Array.from({ length: 12 }, (_, partition) => ({ topic: 't', partition }));
    expect(nameSome(many)).toBe('t-0, t-1, t-2, t-3, t-4, t-5, t-6, t-7, t-8, t-9 and 2 more');
    expect(nameSome(many.slice(0, 2))).toBe('t-0, t-1');
    const state = stateOf(Array.from({ length: 12 }, () => '-1:1:'));
    expect(statusDocument(state, healthOf(state))).toMatchObject({
      status: 'unavailable',
      partitions: 12,
      offline: many.map(({ partition }) => ({ topic: 'orders', partition })),
      metadata: { leader: 1, voters: [1, 2, 3], observers: [4], lagMax: 3, error: null },
    });
  });

  it('says why the metadata cannot be told of', () => {
    const away = stateOf([], { quorum: null, quorumError: 'Nobody answers.' });
    expect(renderStatus(away, healthOf(away))).toContain('Metadata: not available. Nobody answers.');
    const silent = stateOf([], { quorum: null });
    expect(renderStatus(silent, healthOf(silent))).toContain('Metadata: the brokers do not tell.');
  });
});
