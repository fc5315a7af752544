/** What is said of nodes that a command could not ask, next to what the others have answered. */
import type { CommandContext } from '../command-context.ts';

/** `consequence`: what is missing for it, as the end of the sentence. */
export function warnOfSilent(
  nodes: readonly number[],
  consequence: string,
  { output }: CommandContext,
): void {
  if (nodes.length === 0) return;
  const who = nodes.length === 1 ? `Node ${nodes[0]} does` : `Nodes ${nodes.join(', ')} do`;
  output.warn(`${who} not answer; ${consequence}.`);
}
