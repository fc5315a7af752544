/** `kappalog cluster recover`: says on a stopped node which nodes are left of a cluster whose majority is lost for good. */
import { CliError, usageError } from '../cli-error.ts';
import { parseCount } from '../client.ts';
import type { CommandContext } from '../command-context.ts';

export interface RecoverFlags {
  readonly dataDir: string;
  readonly survivors: string;
  readonly acceptDataLoss?: boolean;
}

/** Changes nothing but what the next start of the node does. */
export async function recoverCluster(flags: RecoverFlags, { output }: CommandContext): Promise<void> {
  const survivors = [...new Set(flags.survivors.split(',').map((id) => parseCount(id, '--survivors', 0)))];
  if (flags.acceptDataLoss !== true) {
    throw usageError(
      'Records that only the lost nodes had are lost by this, acknowledged or not. Say --accept-data-loss where there is no other way.',
    );
  }
  // The first of several holds the metadata, and what the node is to do.
  const [directory = ''] = flags.dataDir.split(',');
  const { DirectoryLocked, keepSurvivors, StartError } = await import('../../broker/index.ts');
  try {
    const nodeId = await keepSurvivors(directory, survivors);
    output.result({ nodeId, survivors }, () => {
      const others = survivors.filter((id) => id !== nodeId).map((id) => `node ${id}`);
      const also = others.length === 0 ? '' : `Do the same on ${others.join(', ')}. `;
      return (
        `At its next start node ${nodeId} goes on with the nodes ${survivors.join(', ')} alone. ${also}` +
        'No other node may ever be started again with the data that it had.'
      );
    });
  } catch (error) {
    if (error instanceof StartError) throw new CliError(error.code, `${error.message}.`, { cause: error });
    if (error instanceof DirectoryLocked) {
      throw new CliError('directory-locked', `${error.message}; stop the node first.`, { cause: error });
    }
    throw error;
  }
}
