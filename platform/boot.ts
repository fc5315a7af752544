/**
 * Which run of the operating system this is. What was written and not synced survives the end of a process, and not that of the
 * operating system: two processes of one run saw the same page cache.
 */
export interface Boot {
  /** Another one after each start of the operating system; undefined where it does not tell, and nothing may be concluded. */
  readonly id: string | undefined;
}

/** Whether what another process wrote is still there, synced or not. */
export function isSameBoot(boot: Boot, idThen: string | undefined): boolean {
  return boot.id !== undefined && boot.id === idThen;
}
