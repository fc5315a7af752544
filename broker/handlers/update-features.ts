/**
 * UpdateFeatures: other levels of the features that the cluster has agreed on (KIP-584). All of a request is done or nothing of it;
 * up to version 1 each update is answered on its own, too. Lowering a level needs `allowDowngrade` (version 0) or an upgrade type that is a
 * downgrade (1 and later).
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { Refusal } from '../cluster/controller/controller.ts';
import type { FeatureOutcome } from '../cluster/controller/features.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { ResponseOf } from './handler.ts';
import { unlessLogRefuses } from './metadata-log-refusal.ts';

type Updated =
  | { readonly kind: 'decided'; readonly outcomes: readonly FeatureOutcome[] }
  | ({ readonly kind: 'refused' } & Refusal);

const upgradeTypes = { upgrade: 1, safeDowngrade: 2, unsafeDowngrade: 3 } as const;

export const updateFeatures = defineHandler({
  api: 'UpdateFeatures',
  versions: [0, 2],
  async handle(context, request) {
    if (!context.authorize('ALTER', 'CLUSTER', clusterResource)) {
      return failed('CLUSTER_AUTHORIZATION_FAILED', 'Cluster authorization failed.');
    }
    const byType = context.apiVersion >= 1;
    const unknown = request.featureUpdates.find(
      ({ upgradeType }) =>
        byType && !(upgradeType >= upgradeTypes.upgrade && upgradeType <= upgradeTypes.unsafeDowngrade),
    );
    if (unknown !== undefined) {
      return failed('INVALID_REQUEST', `There is no upgrade type ${unknown.upgradeType}.`);
    }
    const updates = request.featureUpdates.map(
      ({ feature, maxVersionLevel, allowDowngrade, upgradeType }) => ({
        name: feature,
        level: maxVersionLevel,
        allowDowngrade: byType ? upgradeType !== upgradeTypes.upgrade : allowDowngrade,
      }),
    );
    const validateOnly = byType && request.validateOnly;
    const decided = context.node.cluster
      .updateFeatures(updates, validateOnly)
      .then((outcomes): Updated => ({ kind: 'decided', outcomes }));
    const updated = await unlessLogRefuses(decided, (refusal): Updated => ({ kind: 'refused', ...refusal }));
    if (updated.kind === 'refused') return failed(updated.error, updated.message);
    return answer(updated.outcomes, context.apiVersion);
  },
});

function answer(outcomes: readonly FeatureOutcome[], version: number): ResponseOf<'UpdateFeatures'> {
  const first = outcomes.find(({ refusal }) => refusal !== undefined);
  // From version 2 the error of one is the error of all.
  if (version >= 2 && first?.refusal !== undefined) {
    return failed(first.refusal.error, `The update of ${first.name} was refused: ${first.refusal.message}`);
  }
  const results = outcomes.map(({ name, refusal }) => ({
    feature: name,
    errorCode: refusal === undefined ? ErrorCode.NONE : ErrorCode[refusal.error],
    errorMessage: refusal?.message ?? null,
  }));
  return {
    throttleTimeMs: 0,
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    results: version < 2 ? results : [],
  };
}

function failed(error: keyof typeof ErrorCode, errorMessage: string | null): ResponseOf<'UpdateFeatures'> {
  return { throttleTimeMs: 0, errorCode: ErrorCode[error], errorMessage, results: [] };
}
