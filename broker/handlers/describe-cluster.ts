/**
 * DescribeCluster: the nodes, the controller and the cluster's id. From version 1 a client says whether it wants brokers (1) or
 * controllers (2); brokers are what this listener has. From version 2 it may ask for those that are fenced, too.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { clusterAuthorizedOperations } from './authorized-operations.ts';
import { visibleController, visibleNodes } from './cluster-view.ts';
import { defineHandler } from './handler.ts';

const brokerEndpoints = 1;
const controllerEndpoints = 2;

export const describeCluster = defineHandler({
  api: 'DescribeCluster',
  versions: [0, 2],
  handle(context, request) {
    if (request.endpointType === controllerEndpoints) {
      return {
        errorCode: ErrorCode.MISMATCHED_ENDPOINT_TYPE,
        errorMessage:
          'The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER',
      };
    }
    if (request.endpointType !== brokerEndpoints) {
      return {
        errorCode: ErrorCode.UNSUPPORTED_ENDPOINT_TYPE,
        errorMessage: `Unsupported endpoint type ${request.endpointType}`,
      };
    }
    const answer = {
      throttleTimeMs: 0,
      errorCode: ErrorCode.NONE,
      errorMessage: null,
      endpointType: brokerEndpoints,
      clusterId: context.node.clusterId,
      controllerId: visibleController(context),
      brokers: visibleNodes(context, request.includeFencedBrokers).map(
        ({ nodeId, host, port, rack, isFenced }) => ({
          brokerId: nodeId,
          host,
          port,
          rack,
          isFenced,
        }),
      ),
    };
    return request.includeClusterAuthorizedOperations
      ? { ...answer, clusterAuthorizedOperations: clusterAuthorizedOperations(context) }
      : answer;
  },
});
