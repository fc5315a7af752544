/** What was thrown, as an Error: promises reject with nothing else. */
export function toError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}
