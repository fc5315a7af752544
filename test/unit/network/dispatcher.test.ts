import { describe, expect, it } from 'vitest';
import { Dispatcher } from '../../../broker/network/dispatcher.ts';
import { encodeRequest } from '../../../protocol/index.ts';
import { serveNode } from '../handlers/served-node.ts';

describe('Dispatcher', () => {
  it('passes over bytes behind a request, which librdkafka sends when it asks for all topics', async () => {
    await using node = await serveNode();
    const dispatcher = new Dispatcher({ node: node.services, authorize: () => true, observe: () => {} });
    const head = { api: 'Metadata', apiVersion: 13, correlationId: 7, clientId: 'rdkafka' } as const;
    const frame = Buffer.concat([
      ...encodeRequest(head, { topics: null, allowAutoTopicCreation: false }),
      Buffer.from([0, 0, 0]),
    ]).subarray(4);

    const { body, header } = dispatcher.decode(frame);

    expect(header).toMatchObject({ apiKey: 3, apiVersion: 13, correlationId: 7, clientId: 'rdkafka' });
    expect(body).toEqual({
      topics: null,
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    });
  });
});
