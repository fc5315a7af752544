import { expect, it } from 'vitest';
import { formCluster } from '../../../broker/formation/form-cluster.ts';
import type { FormingOptions } from '../../../broker/formation/form-cluster.ts';
import { writeFormation, writeKnownNodes } from '../../../broker/formation/formation-files.ts';
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

function form(disk: MemoryDisk, warnings: string[]): ReturnType<typeof formCluster> {
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
