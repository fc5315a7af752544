import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyHasher } from '../../../../broker/log/compaction/key-hasher.ts';
import { KeyMap, slotBytes } from '../../../../broker/log/compaction/key-map.ts';
import { CountedYield } from '../../../../platform/counted-yield.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';

function newMap(options: { slots: number; loadFactor?: number }): KeyMap {
  return new KeyMap(new KeyHasher(new SeededRandom(1).bytes(16)), {
    memoryBytes: options.slots * slotBytes,
    loadFactor: options.loadFactor ?? 1,
  });
}

describe('KeyHasher', () => {
  it('is HalfSipHash-2-4 under each half of its key', () => {
    // Published with the algorithm: the key 00 01 .. 07, inputs 00 01 .. of rising length.
    const expected: [length: number, hash: string][] = [
      [0, '218d1f59b9b83cc8'],
      [1, 'be552412f8387315'],
      [2, '064f39ef7c50eb57'],
      [3, 'ce0f1a45f7060679'],
      [4, 'd5e78a175be52ea1'],
      [5, 'cb9d7c3f2f3db580'],
      [7, 'ff202728b07bc684'],
      [8, 'edfee820bce4858c'],
    ];
    const half = Buffer.from([0, 1, 2, 3, 4, 5, 6, 7]);
    const hasher = new KeyHasher(Buffer.concat([half, half]));
    for (const [length, hash] of expected) {
      const input = Buffer.from(Array.from({ length }, (_, place) => place));
      hasher.hash(Buffer.concat([Buffer.from('??'), input, Buffer.from('!!')]), 2, length);
      expect(Buffer.from(hasher.words.buffer).toString('hex')).toBe(hash + hash);
    }
  });

  it('gives halves that know nothing of each other under different keys', () => {
    const hasher = new KeyHasher(Buffer.from(Array.from({ length: 16 }, (_, place) => place)));
    hasher.hash(Buffer.from('key'), 0, 3);
    const { words } = hasher;
    expect([words[0], words[1]]).not.toEqual([words[2], words[3]]);
    const one = Buffer.from(words.buffer).toString('hex');
    hasher.hash(Buffer.from('kez'), 0, 3);
    expect(Buffer.from(words.buffer).toString('hex')).not.toBe(one);
  });
});

describe('KeyMap', () => {
  it('knows the latest offset of each key, as a Map does', async () => {
    const map = newMap({ slots: 64 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ maxLength: 3 }), { maxLength: 60, size: 'max' }),
        async (keys) => {
          await map.reset(60, new CountedYield());
          const model = new Map<string, number>();
          for (const [offset, key] of keys.entries()) {
            const bytes = Buffer.from(key);
            expect(map.put(bytes, 0, bytes.length, offset)).toBe(true);
            model.set(key, offset);
          }
          expect(map.count).toBe(model.size);
          for (const [key, offset] of model) {
            const bytes = Buffer.from(`<${key}>`);
            expect(map.latestOffset(bytes, 1, bytes.length - 2)).toBe(offset);
          }
          expect(map.latestOffset(Buffer.from('absent'), 0, 6)).toBe(-1);
        },
      ),
    );
  });

  it('takes new keys up to its limit and known ones beyond, at any load', async () => {
    for (const [slots, loadFactor, keysMax] of [
      [2, 1, 1],
      [100, 0.9, 90],
      [100, 1, 99],
      [10_000, 0.5, 5000],
    ] as const) {
      const map = newMap({ slots, loadFactor });
      await map.reset(1_000_000, new CountedYield());
      expect(map.keysMax).toBe(keysMax);
      const key = (number: number): Buffer => Buffer.from(`key-${number}`);
      for (let number = 0; number < keysMax; number++) {
        expect(map.put(key(number), 0, key(number).length, number)).toBe(true);
      }
      expect(map.put(key(keysMax), 0, key(keysMax).length, 9)).toBe(false);
      expect(map.put(key(0), 0, 5, 2 ** 53 - 2)).toBe(true);
      expect(map.latestOffset(key(0), 0, 5)).toBe(2 ** 53 - 2);
      expect(map.latestOffset(key(keysMax), 0, key(keysMax).length)).toBe(-1);
      for (let number = 1; number < keysMax; number++) {
        expect(map.latestOffset(key(number), 0, key(number).length)).toBe(number);
      }
      expect(map.utilization).toBe(keysMax / slots);
    }
  });

  it('takes memory only for the keys there may be, and yields while it clears much', async () => {
    const map = newMap({ slots: 1_000_000 });
    const yielding = new CountedYield();
    expect(map.sizeBytes).toBe(0);
    await map.reset(10, yielding);
    expect(map.sizeBytes).toBe(16 * slotBytes);
    await map.reset(5_000_000, yielding);
    expect(map.sizeBytes).toBe(1_000_000 * slotBytes);
    map.put(Buffer.from('a'), 0, 1, 5);
    expect(yielding.turns).toBe(0);
    await map.reset(10, yielding);
    expect(yielding.turns).toBe(5);
    expect(map.latestOffset(Buffer.from('a'), 0, 1)).toBe(-1);
  });
});
