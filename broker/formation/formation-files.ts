/**
 * What a node keeps of its cluster in its first data directory (storage-format.md): `formation`, which cluster it belongs to and
 * whom the metadata's group began with; `known-nodes`, where the others were last; `incarnation`, how often it was started;
 * `survivors`, which nodes are left of a lost majority, until what they have is a cluster again.
 */
import type { Disk } from '../../platform/disk.ts';
import type { Address } from '../../platform/network.ts';
import type { Formation } from './formation.ts';
import { readSealedJson, writeSealedJson } from './sealed-json.ts';

const formationFile = { name: 'formation', magic: 'KLFORMA1' };
const nodesFile = { name: 'known-nodes', magic: 'KLNODES1' };
const incarnationFile = { name: 'incarnation', magic: 'KLINCAR1' };
const survivorsFile = { name: 'survivors', magic: 'KLSURVI1' };

/** Undefined for a node that began alone, or belongs to no cluster yet. Rejects with a DamagedFile or a DiskError. */
export async function readFormation(disk: Disk, directory: string): Promise<Formation | undefined> {
  const { name, magic } = formationFile;
  const content = await readSealedJson(disk, `${directory}/${name}`, magic);
  if (content === undefined) return undefined;
  const formation: Formation = JSON.parse(content);
  return formation;
}

export async function writeFormation(disk: Disk, directory: string, formation: Formation): Promise<void> {
  const { clusterId, voters } = formation;
  await writeSealedJson(disk, { directory, ...formationFile }, { clusterId, voters });
}

/** By node id. Rejects with a DamagedFile or a DiskError. */
export async function readKnownNodes(disk: Disk, directory: string): Promise<Map<number, Address>> {
  const { name, magic } = nodesFile;
  const nodes: [number, Address][] = JSON.parse(
    (await readSealedJson(disk, `${directory}/${name}`, magic)) ?? '[]',
  );
  return new Map(nodes);
}

export async function writeKnownNodes(
  disk: Disk,
  directory: string,
  nodes: ReadonlyMap<number, Address>,
): Promise<void> {
  const entries = [...nodes].map(([id, { host, port }]) => [id, { host, port }]);
  await writeSealedJson(disk, { directory, ...nodesFile }, entries);
}

/** Larger than at any earlier start, and durable when it resolves. Rejects with a DamagedFile or a DiskError. */
export async function nextIncarnation(disk: Disk, directory: string): Promise<number> {
  return raiseIncarnation(disk, directory, 0);
}

/** Larger than before, and than that; durable when it resolves. Rejects with a DamagedFile or a DiskError. */
export async function raiseIncarnation(disk: Disk, directory: string, above: number): Promise<number> {
  const incarnation = Math.max(await readIncarnation(disk, directory), above) + 1;
  await writeSealedJson(disk, { directory, ...incarnationFile }, incarnation);
  return incarnation;
}

/** 0 before the first start. Rejects with a DamagedFile or a DiskError. */
export async function readIncarnation(disk: Disk, directory: string): Promise<number> {
  const { name, magic } = incarnationFile;
  return JSON.parse((await readSealedJson(disk, `${directory}/${name}`, magic)) ?? '0');
}

/** The nodes that an operator has said are left; undefined where nobody has. Rejects with a DamagedFile or a DiskError. */
export async function readSurvivors(disk: Disk, directory: string): Promise<readonly number[] | undefined> {
  const { name, magic } = survivorsFile;
  const content = await readSealedJson(disk, `${directory}/${name}`, magic);
  if (content === undefined) return undefined;
  const nodes: number[] = JSON.parse(content);
  return nodes;
}

export async function writeSurvivors(disk: Disk, directory: string, nodes: readonly number[]): Promise<void> {
  await writeSealedJson(disk, { directory, ...survivorsFile }, nodes);
}

export async function removeSurvivors(disk: Disk, directory: string): Promise<void> {
  await disk.remove(`${directory}/${survivorsFile.name}`);
  await disk.syncDirectory(directory);
}
