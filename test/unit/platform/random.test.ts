import { describe, expect, it } from 'vitest';
import { RandomIds } from '../../../platform/random-ids.ts';
import { RealRandom } from '../../../platform/real/real-random.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';

describe('SeededRandom', () => {
  it('draws the same run for the same seed, on any machine', () => {
    const draw = (seed: number | string): number[] => {
      const random = new SeededRandom(seed);
      return Array.from({ length: 5 }, () => random.uint32());
    };
    expect(draw(42)).toEqual(draw('42'));
    expect(draw(42)).not.toEqual(draw(43));
    expect(draw(1)).toEqual([2459413349, 2527898873, 3173679677, 3201962525, 3338119738]);
  });

  it('forks by its seed and the label, not by what has been drawn', () => {
    const one = new SeededRandom(5);
    const other = new SeededRandom(5);
    other.uint32();
    expect(one.fork('disk').uint32()).toBe(other.fork('disk').uint32());
    expect(one.fork('disk').uint32()).not.toBe(one.fork('network').uint32());
  });
});

describe.each([
  { name: 'seeded', random: new SeededRandom(3) },
  { name: 'real', random: new RealRandom() },
])('the $name source', ({ random }) => {
  it('is uniform below a limit', () => {
    const counts = Array.from({ length: 6 }, () => 0);
    for (let draw = 0; draw < 60_000; draw++) counts[random.below(6)]!++;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(600);
    expect(random.below(1)).toBe(0);
    for (let draw = 0; draw < 100; draw++) expect(random.below(2 ** 32)).toBeLessThan(2 ** 32);
    for (const limit of [0, -1, 1.5, 2 ** 32 + 1]) expect(() => random.below(limit)).toThrow(RangeError);
  });

  it('gives as many bytes as asked, of all values', () => {
    for (const length of [0, 1, 3, 4, 17]) expect(random.bytes(length)).toHaveLength(length);
    expect(new Set(random.bytes(10_000)).size).toBe(256);
    expect(random.bytes(16).equals(random.bytes(16))).toBe(false);
  });

  it('makes UUIDs of version 4 in Kafka’s text that do not begin with a dash', () => {
    const ids = new RandomIds(random);
    const seen = new Set<string>();
    for (let count = 0; count < 2000; count++) {
      const id = ids.uuid();
      expect(id).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
      const bytes = Buffer.from(id, 'base64url');
      expect([bytes.length, bytes[6]! >> 4, bytes[8]! >> 6]).toEqual([16, 4, 2]);
      seen.add(id);
    }
    expect(seen.size).toBe(2000);
  });
});
