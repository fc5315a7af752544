import { describe, expect, it } from 'vitest';
import { readConfigurationFile } from '../../../broker/partition/consensus/configuration-file.ts';
import { KeptConfiguration } from '../../../broker/partition/kept-configuration.ts';
import type { PlacedConfiguration } from '../../../broker/raft/configuration.ts';
import { memberId } from '../../../broker/raft/member.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';

const directory = '/data/t-0';

function placed(index: number): PlacedConfiguration {
  const voters = [memberId(index, 'AAAAAAAAAAAAAAAAAAAAAQ')];
  return { index, configuration: { voters, outgoing: [], learners: [], revision: index } };
}

async function start(): Promise<{ disk: MemoryDisk; kept: KeptConfiguration }> {
  const disk = new MemoryDisk({ crashes: new SeededRandom(5) });
  await disk.makeDirectory(directory);
  for (const path of ['/', '/data']) await disk.syncDirectory(path);
  return { disk, kept: new KeptConfiguration(disk, directory, placed(0)) };
}

describe('the file of a configuration', () => {
  it('has the newest configuration, durably, when whoever asked goes on', async () => {
    const { disk, kept } = await start();
    await kept.keep(placed(4));
    expect(kept.placed).toEqual(placed(4));
    expect(await readConfigurationFile(disk.crash(), directory)).toEqual(placed(4));
  });

  it('has what was asked for last, also where the log has lost what was there before', async () => {
    const { disk, kept } = await start();
    await Promise.all([kept.keep(placed(9)), kept.keep(placed(4))]);
    expect(kept.placed).toEqual(placed(4));
    expect(await readConfigurationFile(disk, directory)).toEqual(placed(4));
  });

  it('is written once for one configuration, and is what another log has brought', async () => {
    const { disk, kept } = await start();
    await kept.keep(placed(9));
    await disk.remove(`${directory}/raft-configuration`);
    await kept.keep(placed(9));
    kept.replaced(placed(5));
    await kept.keep(placed(5));
    expect(await readConfigurationFile(disk, directory)).toBeUndefined();
    await kept.keep({ ...placed(5), configuration: placed(6).configuration });
    expect((await readConfigurationFile(disk, directory))?.configuration).toEqual(placed(6).configuration);
  });

  it('is written to its end where the replica is closed meanwhile, and never after that', async () => {
    const { disk, kept } = await start();
    const writing = kept.keep(placed(4));
    await disk.exists(directory);
    await kept.end();
    expect(await readConfigurationFile(disk, directory)).toEqual(placed(4));
    await Promise.all([writing, kept.keep(placed(9))]);
    expect(await readConfigurationFile(disk, directory)).toEqual(placed(4));
  });
});
