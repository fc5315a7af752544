/** What operators are told of groups that change their protocol, or do not. */
export interface MigrationNotice {
  readonly kind: 'upgraded' | 'downgraded' | 'not-upgraded' | 'not-downgraded' | 'not-joined';
  readonly groupId: string;
  /** Why it did not: a sentence without its subject and full stop, as in "online upgrades are disabled". Empty where it did. */
  readonly reason: string;
}

export type NoticeMigration = (notice: MigrationNotice) => void;
