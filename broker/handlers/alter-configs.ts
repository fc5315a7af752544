/**
 * AlterConfigs, the older form: the settings given take the place of all that the resource has; those left out go back to
 * their defaults. Kept for clients that know no other (kafkajs, sarama).
 */
import { alterResources } from './alter-configs-answers.ts';
import { defineHandler } from './handler.ts';

export const alterConfigs = defineHandler({
  api: 'AlterConfigs',
  versions: [0, 2],
  async handle(context, request) {
    const { cluster } = context.node;
    const responses = await alterResources(context, request.resources, (allowed) =>
      cluster.replaceConfigs(allowed, request.validateOnly),
    );
    return { throttleTimeMs: 0, responses };
  },
});
