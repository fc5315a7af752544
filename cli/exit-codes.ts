/** How a command ended, for scripts. The README has this table; a test holds the two together. */
export const ExitCode = {
  /** Done. */
  ok: 0,
  /** It failed; the sentence on stderr says why. */
  error: 1,
  /** The command line is wrong; nothing was done. */
  usage: 2,
  /** A topic, group, partition, node or data directory that was named does not exist; nothing was done. */
  notFound: 3,
  /** The broker did not answer in time. */
  timeout: 4,
  /** Some of it was done and some not; the output says what. */
  partial: 5,
  /** `cluster status`: everything works, and less may fail than should. */
  degraded: 6,
  /** `cluster status`: a partition, or the metadata, cannot be used. */
  unavailable: 7,
  /** Ctrl-C ended something that has more to do, such as a replay; it can be taken up again. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
