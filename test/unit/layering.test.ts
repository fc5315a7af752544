/** Imports only go down: who may import whom, by folder. docs/README.md shows the same picture. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** Each layer with all that it may import besides itself. The first name that a file's path begins with is its layer. */
const layers: readonly (readonly [layer: string, below: readonly string[]])[] = [
  ['protocol/generator', ['protocol']],
  ['protocol', []],
  ['platform', ['protocol']],
  ['broker/raft', ['platform', 'protocol']],
  ['broker/log', ['platform', 'protocol']],
  ['broker/config', ['platform', 'protocol']],
  ['broker/peers', ['platform', 'protocol']],
  [
    'broker/partition',
    ['broker/raft', 'broker/log', 'broker/peers', 'broker/config', 'platform', 'protocol'],
  ],
  // Of consensus both only know who its members are.
  [
    'broker/cluster',
    [
      'broker/partition',
      'broker/raft/member.ts',
      'broker/raft/configuration.ts',
      'broker/peers',
      'broker/config',
      'platform',
      'protocol',
    ],
  ],
  ['broker/coordinator', ['broker/partition', 'platform', 'protocol']],
  ['broker/groups', ['broker/coordinator', 'broker/config', 'platform', 'protocol']],
  [
    'broker/handlers',
    [
      'broker/groups',
      'broker/cluster',
      'broker/partition',
      'broker/raft/member.ts',
      'broker/log',
      'broker/config',
      'platform',
      'protocol',
    ],
  ],
  ['broker/network', ['broker/handlers', 'broker/logger.ts', 'platform', 'protocol']],
  [
    'broker/http',
    ['broker/node-storage.ts', 'broker/cluster-figures.ts', 'broker/groups/lag', 'platform', 'protocol'],
  ],
  ['broker', ['broker', 'platform', 'protocol']],
  ['client', ['platform', 'protocol']],
  [
    'cli',
    [
      'client',
      'broker/index.ts',
      'broker/config',
      'broker/groups/lag/partition-progress.ts',
      'platform',
      'protocol',
    ],
  ],
];

interface Import {
  readonly file: string;
  readonly target: string;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found = text.matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g);
  return [...found].map(([, path]) => ({ file, target: relative(root, join(root, dirname(file), path!)) }));
}

function layerOf(file: string): (typeof layers)[number] {
  const layer = layers.find(([name]) => isIn(file, name));
  if (layer === undefined) throw new Error(`${file} is in no layer`);
  return layer;
}

function isIn(file: string, place: string): boolean {
  return file === place || file.startsWith(`${place}/`);
}

const files = ['protocol', 'platform', 'broker', 'client', 'cli'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((name) => name.endsWith('.ts') && !name.includes('/generated/')),
);

describe('layering', () => {
  it('finds the sources and their imports', () => {
    expect(files.length).toBeGreaterThan(150);
    expect(importsOf('broker/partition/replica.ts').map(({ target }) => target)).toContain(
      'broker/log/commit-log.ts',
    );
  });

  it('has no import that goes up or across', () => {
    const wrong = files.flatMap(importsOf).filter(({ file, target }) => {
      const [own, below] = layerOf(file);
      return layerOf(target)[0] !== own && !below.some((place) => isIn(target, place));
    });
    expect(wrong).toEqual([]);
  });
});
