/** A planted bug: one exact change of a source file, and where to look for what finds it. */
export interface Mutation {
  /** The rule that is broken. */
  readonly name: string;
  /** From the root of the repository. */
  readonly file: string;
  /** Stands in the file exactly once... */
  readonly from: string;
  /** ...and becomes this. */
  readonly to: string;
  /** Tried one after the other until one finds it. */
  readonly hunts: readonly Hunt[];
}

export type Hunt = NamedTest | TestFolders | Seeds;

/** One test has to fail: its file, and words of its name. For bugs that no history can show, or only once in a long while. */
export interface NamedTest {
  readonly kind: 'test';
  readonly file: string;
  readonly name: string;
}

/** Any test in these has to fail. */
export interface TestFolders {
  readonly kind: 'tests';
  readonly folders: readonly string[];
}

/** One of the histories of a simulator has to fail. */
export interface Seeds {
  readonly kind: 'seeds';
  readonly simulator: 'log' | 'cluster' | 'core' | 'groups';
  /** What has to happen often for it to be found soon. */
  readonly focus?: string;
}
