import { expect, it } from 'vitest';
import { formCluster, formationKind, joinKind } from '../../../broker/formation/form-cluster.ts';
import type { FormingOptions, FormingPeers, JoinAnswer } from '../../../broker/formation/form-cluster.ts';
import {
  nextIncarnation,
  readFormation,
  readIncarnation,
  writeFormation,
  writeKnownNodes,
} from '../../../broker/formation/formation-files.ts';
import { DialError } from '../../../broker/peers/dial.ts';
import type { RefusalCode } from '../../../broker/peers/peer-handshake.ts';
import { PeerError } from '../../../broker/peers/peer-requests.ts';
import type { PeerService } from '../../../broker/peers/peer-requests.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { replaceFile } from '../../../platform/whole-files.ts';
import { memberId } from '../../../broker/raft/member.ts';

const directory = '/data';
const voters = new Map([1, 2, 3].map((id) => [id, { host: `db${id}`, port: 9093 }]));
const formation = { clusterId: 'c', voters: [1, 2, 3].map((id) => memberId(id, `d${id}`)) };

async function formedDisk(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  await writeFormation(disk, directory, formation);
  await writeKnownNodes(disk, directory, new Map([[4, { host: 'db4', port: 9093 }]]));
  return disk;
}

function form(
  disk: MemoryDisk,
  warnings: string[],
  changes: Partial<FormingOptions> = {},
): ReturnType<typeof formCluster> {
  const options: FormingOptions = {
    disk,
    clock: new ManualClock(),
    directory,
    nodeId: 1,
    directoryId: 'd1',
    clusterId: 'c',
    peers: undefined,
    address: undefined,
    voters,
    join: undefined,
    newClusterId: () => 'another',
    onWaiting: () => {},
    onWarning: (message) => warnings.push(message),
    isStopping: () => false,
    ...changes,
  };
  return formCluster(options);
}

it('a node that was in its cluster before knows it, and where the others were', async () => {
  const warnings: string[] = [];
  const formed = await form(await formedDisk(), warnings);
  expect(formed).toMatchObject(formation);
  expect([...formed.addresses.keys()]).toEqual([1, 2, 3, 4]);
  expect(warnings).toEqual([]);
});

it('damaged addresses of other nodes are ignored with a warning: its list does as well', async () => {
  const disk = await formedDisk();
  await replaceFile(disk, directory, 'known-nodes', Buffer.from('not what was written'));
  const warnings: string[] = [];
  const formed = await form(disk, warnings);
  expect(formed).toMatchObject(formation);
  expect([...formed.addresses.keys()]).toEqual([1, 2, 3]);
  expect(warnings).toEqual([
    '/data/known-nodes is damaged: it is ignored, and written anew once other nodes are heard of',
  ]);
});

it('a cluster of one that is told to join another says so, and is not started as its own again', async () => {
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  const join = { host: 'db9', port: 9093 };
  await expect(form(disk, [], { voters: undefined, join })).rejects.toThrow(
    'this node began as a cluster of its own (c) and cannot join another',
  );
  await expect(form(disk, [], { voters: undefined })).resolves.toMatchObject({ clusterId: 'c' });
});

it('a cluster of one that others have joined, or that may have forgotten them, is started again with --join', async () => {
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  const join = { host: 'db4', port: 9093 };
  await writeKnownNodes(disk, directory, new Map([[4, join]]));
  await expect(form(disk, [], { voters: undefined, join })).resolves.toMatchObject({ clusterId: 'c' });
  await replaceFile(disk, directory, 'known-nodes', Buffer.from('not what was written'));
  const warnings: string[] = [];
  await expect(form(disk, warnings, { voters: undefined, join })).resolves.toMatchObject({ clusterId: 'c' });
  expect(warnings).toHaveLength(1);
});

/** Others answer as told; undefined: not at all. */
function peersThat(answer: (host: string) => Error | undefined): FormingPeers & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    request: () => Promise.reject(new PeerError('unreachable', 'nobody is there')),
    requestAt: ({ host }) => {
      asked.push(host);
      return Promise.reject(answer(host) ?? new PeerError('unreachable', 'nobody is there'));
    },
    setAddress: () => {},
    serve: () => {},
  };
}

function refused(refusal: RefusalCode): PeerError {
  const cause = new DialError('refused', 'It does not want to.', { refusal });
  return new PeerError('unreachable', cause.message, { cause });
}

it.each([{ join: { host: 'db9', port: 9093 } }, {}])(
  'a node does not start among those of another cluster (%o)',
  async (given) => {
    const disk = await formedDisk();
    const peers = peersThat(() => refused('wrong-cluster'));
    const [host, option] = 'join' in given ? ['db9', 'join'] : ['db2', 'voters'];
    await expect(form(disk, [], { peers, ...given })).rejects.toThrow(
      `this node belongs to the cluster c, and the node at ${host}:9093 (--${option}) to another one`,
    );
  },
);

it('and starts where nobody says so, or anybody is of its own', async () => {
  for (const peers of [
    peersThat(() => undefined),
    peersThat((host) => (host === 'db2' ? refused('wrong-cluster') : new PeerError('unsupported', 'what?'))),
    peersThat(() => refused('same-node-id')),
  ]) {
    await expect(form(await formedDisk(), [], { peers })).resolves.toMatchObject({ clusterId: 'c' });
    expect(peers.asked).toEqual(['db2', 'db3']);
  }
});

it('a node whose number another process has gives up after a while, and says why', async () => {
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  const clock = new ManualClock();
  // Nobody is there for a minute.
  const peers = peersThat(() => (clock.monotonicMs() < 60_000 ? undefined : refused('same-node-id')));
  const join = { host: 'db9', port: 9093 };
  const joining = form(disk, [], { peers, join, clusterId: undefined, address: join, clock });
  let outcome: unknown;
  void joining.catch((error: unknown) => {
    outcome = error;
  });
  await clock.advanceAsync(89_000);
  expect(outcome).toBeUndefined();
  await clock.advanceAsync(2_000);
  expect(outcome).toMatchObject({ code: 'cluster', message: 'It does not want to.' });
});

it('a voter that finds an empty disk joins through those who are there, also when all of them have joined later', async () => {
  const joined = { clusterId: 'c', voters: [1, 2].map((id) => memberId(id, `new${id}`)) };
  const services = new Map<number, Map<string, PeerService>>();
  const asked: string[] = [];
  const peersOf = (nodeId: number): FormingPeers => {
    const own = new Map<string, PeerService>();
    services.set(nodeId, own);
    const ask = async (to: number, kind: string, payload: readonly Buffer[]): Promise<Buffer> => {
      const service = services.get(to)?.get(kind);
      if (service === undefined) throw new PeerError('unreachable', `node ${to} is not there`);
      return Buffer.concat(await service({ from: nodeId, payload: Buffer.concat(payload) }));
    };
    return {
      request: (to, kind, payload) => ask(to, kind, payload),
      requestAt: ({ host }, kind, payload) => {
        asked.push(host);
        return ask(Number(host.slice(2)), kind, payload);
      },
      setAddress: () => {},
      serve: (kind, service) => {
        expect(own.has(kind)).toBe(false);
        own.set(kind, service);
      },
    };
  };
  for (const id of [1, 2]) {
    const disk = new MemoryDisk();
    await disk.makeDirectory(directory);
    await writeFormation(disk, directory, { ...joined, voters: [memberId(3, 'old')] });
    await form(disk, [], { nodeId: id, directoryId: `new${id}`, peers: peersOf(id) });
  }
  const answer: JoinAnswer = { ...joined, nodes: [...voters] };
  services.get(2)!.set(joinKind, () => Promise.resolve([Buffer.from(JSON.stringify(answer))]));
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  const said: string[] = [];
  const clock = new ManualClock();
  asked.length = 0;
  const forming = form(disk, [], {
    nodeId: 3,
    directoryId: 'new3',
    clusterId: undefined,
    address: voters.get(3)!,
    peers: peersOf(3),
    clock,
    onWaiting: (message) => said.push(message),
  });
  await clock.advanceAsync(5_000);
  expect(await forming).toMatchObject(joined);
  expect(await readFormation(disk, directory)).toEqual(joined);
  expect(asked).toEqual(['db1', 'db2']);
  const [state] = await services.get(3)!.get(formationKind)!({
    from: 1,
    payload: Buffer.from('{"nodeId":1}'),
  });
  expect(JSON.parse(String(state))).toMatchObject({ nodeId: 3, directoryId: 'new3', joined: 'c' });
  expect(said[0]).toBe(
    'the cluster c has been formed, and whoever answers has joined it later; node 3 joins it as a new member',
  );
});

it('a node that joins begins above all incarnations of an earlier one of its number, which others may remember', async () => {
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  expect(await nextIncarnation(disk, directory)).toBe(1);
  const answer: JoinAnswer = {
    ...formation,
    nodes: [...voters],
    metadataEndOffset: 70,
  };
  const peers: FormingPeers = {
    request: () => Promise.reject(new PeerError('unreachable', 'nobody is known yet')),
    requestAt: () => Promise.resolve(Buffer.from(JSON.stringify(answer))),
    setAddress: () => {},
    serve: () => {},
  };
  const joining = { nodeId: 4, directoryId: 'd4', clusterId: undefined, voters: undefined };
  await form(disk, [], { ...joining, peers, join: voters.get(2)!, address: { host: 'db4', port: 9093 } });
  const first = await readIncarnation(disk, directory);
  expect(first).toBeGreaterThan(1_000_000);
  // Whoever gets the number later is taken in by a leader that has its registration, and so one record more.
  const next = new MemoryDisk();
  await next.makeDirectory(directory);
  await nextIncarnation(next, directory);
  const later: FormingPeers = {
    ...peers,
    requestAt: () => Promise.resolve(Buffer.from(JSON.stringify({ ...answer, metadataEndOffset: 71 }))),
  };
  await form(next, [], {
    ...joining,
    peers: later,
    join: voters.get(2)!,
    address: { host: 'db4', port: 9093 },
  });
  expect(await readIncarnation(next, directory)).toBeGreaterThan(first + 1_000_000);
});
