import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DiskError } from '../../../../platform/disk.ts';
import { RealDisk } from '../../../../platform/real/real-disk.ts';

describe('RealDisk', () => {
  it.runIf(existsSync('/proc/self'))('gives up on a directory in which none can be made', async () => {
    const making = new RealDisk().makeDirectory('/proc/kappalog/data');
    await expect(making).rejects.toThrow(DiskError);
    await expect(making).rejects.toMatchObject({ code: 'not-found' });
  });
});
