import { expect, it, vi } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { produceOf, produceVersion } from './embedded.ts';

const partitionCount = 6;

/** The value of each series of a node, by name and labels. */
async function seriesOf(cluster: EmbeddedCluster, id: number): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${cluster.node(id).broker.httpPort}/metrics`);
  expect(answer.status).toBe(200);
  const lines = (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

it('the metrics of three nodes tell who leads, who is behind and what goes between them', async () => {
  await using cluster = await EmbeddedCluster.start({
    httpPort: 0,
    settings: {
      'broker.session.timeout.ms': '2000',
      'broker.heartbeat.interval.ms': '200',
      'replica.lag.time.max.ms': '2000',
    },
  });
  const connection = await cluster.connect(1);
  const made = await connection.call('CreateTopics', 7, {
    topics: [
      {
        name: 't',
        numPartitions: partitionCount,
        replicationFactor: 3,
        assignments: [],
        configs: [{ name: 'min.insync.replicas', value: '3' }],
      },
    ],
    timeoutMs: 10_000,
  });
  expect(made.topics[0]?.errorCode).toBe(ErrorCode.NONE);
  const sumOf = async (name: string): Promise<number> => {
    const all = await Promise.all(cluster.running.map((id) => seriesOf(cluster, id)));
    return all.reduce((sum, series) => sum + (series.get(name) ?? Number.NaN), 0);
  };
  await vi.waitFor(
    async () => {
      expect(await sumOf('kappalog_partitions_led')).toBe(partitionCount);
      expect(await sumOf('kappalog_partitions_under_replicated')).toBe(0);
      expect(await sumOf('kappalog_metadata_is_leader')).toBe(1);
    },
    { timeout: 10_000, interval: 100 },
  );
  for (let partition = 0; partition < partitionCount; partition++) {
    // Whoever leads takes it.
    for (const id of [1, 2, 3]) {
      await using leader = await cluster.connect(id);
      await leader.call('Produce', produceVersion, produceOf('t', ['x'.repeat(50_000)], { partition }));
    }
  }
  for (const id of [1, 2, 3]) {
    const series = await seriesOf(cluster, id);
    expect(series.get('kappalog_cluster_partitions')).toBe(partitionCount);
    expect(series.get('kappalog_cluster_partitions_without_leader')).toBe(0);
    expect([series.get('kappalog_cluster_nodes'), series.get('kappalog_cluster_nodes_fenced')]).toEqual([
      3, 0,
    ]);
    expect(series.get('kappalog_metadata_voters')).toBe(3);
    expect(series.get('kappalog_elections_total')).toBeGreaterThanOrEqual(
      series.get('kappalog_partitions_led')!,
    );
    for (const other of [1, 2, 3].filter((each) => each !== id)) {
      const labels = `{node="${other}"}`;
      for (const way of ['sent', 'received']) {
        expect(series.get(`kappalog_peer_${way}_bytes_total${labels}`)).toBeGreaterThan(100);
        expect(series.get(`kappalog_peer_${way}_frames_total${labels}`)).toBeGreaterThan(3);
      }
    }
    // Nobody but the other two nodes.
    const lags = [...series.keys()].filter((key) => key.startsWith('kappalog_follower_lag_entries'));
    expect(lags.length).toBeLessThanOrEqual(2);
  }
  // What a leader appends goes to both others.
  expect(await sumOf('kappalog_catch_up_sent_bytes_total')).toBe(0);

  await cluster.stopNode(3);
  await vi.waitFor(
    async () => {
      const series = await seriesOf(cluster, 1);
      expect(series.get('kappalog_cluster_nodes_fenced')).toBe(1);
      expect(series.get('kappalog_cluster_partitions_without_leader')).toBe(0);
      expect(await sumOf('kappalog_partitions_led')).toBe(partitionCount);
      expect(await sumOf('kappalog_partitions_under_replicated')).toBe(partitionCount);
      expect(await sumOf('kappalog_partitions_under_min_isr')).toBe(partitionCount);
    },
    { timeout: 20_000, interval: 200 },
  );
  const gaps = await sumOf('kappalog_leaderless_total');
  expect(await sumOf('kappalog_leaderless_seconds_total')).toBeLessThan(gaps * 5 + 1);
}, 60_000);
