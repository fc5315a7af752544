/**
 * IncrementalAlterConfigs: sets, deletes, appends to and subtracts from single settings of topics, brokers and groups. Each
 * resource stands or falls as a whole.
 */
import { alterResources } from './alter-configs-answers.ts';
import { defineHandler } from './handler.ts';

export const incrementalAlterConfigs = defineHandler({
  api: 'IncrementalAlterConfigs',
  versions: [0, 1],
  async handle(context, request) {
    const { cluster } = context.node;
    const responses = await alterResources(context, request.resources, (allowed) =>
      cluster.alterConfigs(allowed, request.validateOnly),
    );
    return { throttleTimeMs: 0, responses };
  },
});
