import { describe, expect, it } from 'vitest';
import { DirectorySyncs } from '../../../../platform/real/directory-syncs.ts';

/** Syncs end when the test says so. */
function controlled() {
  const begun: { directory: string; end: () => void; fail: (error: Error) => void }[] = [];
  const syncs = new DirectorySyncs(
    (directory) =>
      new Promise<void>((resolve, reject) => {
        begun.push({ directory, end: resolve, fail: reject });
      }),
  );
  return { syncs, begun };
}

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
};

describe('syncs of directories', () => {
  it('let all who ask during one share the next, and none the one under way', async () => {
    const { syncs, begun } = controlled();
    const ended: string[] = [];
    const first = syncs.sync('/a').then(() => ended.push('first'));
    const later = ['second', 'third', 'fourth'].map((name) => syncs.sync('/a').then(() => ended.push(name)));
    expect(begun).toHaveLength(1);
    begun[0]!.end();
    await first;
    await settled();
    expect(ended).toEqual(['first']);
    expect(begun).toHaveLength(2);
    begun[1]!.end();
    await Promise.all(later);
    expect(ended).toEqual(['first', 'second', 'third', 'fourth']);
    expect(begun).toHaveLength(2);
  });

  it('begin another one for whoever asks while the shared one is under way', async () => {
    const { syncs, begun } = controlled();
    const asked = [syncs.sync('/a'), syncs.sync('/a')];
    begun[0]!.end();
    await settled();
    expect(begun).toHaveLength(2);
    asked.push(syncs.sync('/a'));
    begun[1]!.end();
    await settled();
    expect(begun).toHaveLength(3);
    begun[2]!.end();
    await Promise.all(asked);
  });

  it('begin at once when nothing is under way, and are apart for each directory', async () => {
    const { syncs, begun } = controlled();
    const asked = [syncs.sync('/a'), syncs.sync('/b')];
    expect(begun.map(({ directory }) => directory)).toEqual(['/a', '/b']);
    for (const { end } of begun) end();
    await Promise.all(asked);
    const again = syncs.sync('/a');
    expect(begun).toHaveLength(3);
    begun[2]!.end();
    await again;
  });

  it('fail for those who share one, and the next is tried nevertheless', async () => {
    const { syncs, begun } = controlled();
    const outcomes = [syncs.sync('/a'), syncs.sync('/a'), syncs.sync('/a')].map((each) =>
      each.then(
        () => 'ended',
        (error: Error) => error.message,
      ),
    );
    begun[0]!.fail(new Error('first'));
    await settled();
    expect(begun).toHaveLength(2);
    begun[1]!.fail(new Error('second'));
    expect(await Promise.all(outcomes)).toEqual(['first', 'second', 'second']);
    const after = syncs.sync('/a');
    expect(begun).toHaveLength(3);
    begun[2]!.end();
    await after;
  });
});
