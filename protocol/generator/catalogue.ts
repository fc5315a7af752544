/** What must be known of all messages, APIs and errors without loading their codecs: generated/catalogue.json. */
import type { Message } from './schema.ts';

export interface RawApi {
  readonly key: number;
  readonly name: string;
  readonly listeners: readonly string[];
  readonly removed?: boolean;
  readonly min?: number;
  readonly max?: number;
  readonly latestStable?: number;
  readonly latestUnstable?: boolean;
  readonly advertisedMinOnBroker?: number;
  readonly requestHeaderV2From?: number | null;
  readonly responseHeaderV1From?: number | null;
  readonly clusterAction: boolean;
  readonly forwardable: boolean;
}

export interface RawError {
  readonly code: number;
  readonly name: string;
  readonly retriable: boolean;
  readonly refreshMetadata: boolean;
}

export function emitCatalogue(
  messages: readonly Message[],
  apis: readonly RawApi[],
  errors: readonly RawError[],
): string {
  const catalogue = {
    messages: messages.map(({ name, type, apiKey, versions }) => ({
      name,
      type,
      apiKey: apiKey ?? null,
      min: versions.min,
      max: versions.max,
    })),
    apis: apis.filter((api) => api.removed !== true).map((api) => describeApi(api, messages)),
    errors: errors.map(({ code, name, retriable, refreshMetadata }) => ({
      code,
      name,
      retriable,
      refreshMetadata,
    })),
    errorCodes: Object.fromEntries(errors.map(({ name, code }) => [name, code])),
  };
  return `${JSON.stringify(catalogue)}\n`;
}

/** The table and the schemas must agree on what both say. */
function describeApi(api: RawApi, messages: readonly Message[]): object {
  const request = messages.find((message) => message.name === `${api.name}Request`);
  const response = messages.find((message) => message.name === `${api.name}Response`);
  if (request === undefined || response === undefined) throw new Error(`${api.name} has no schemas`);
  const { min, max } = request.versions;
  const requestV2From = api.requestHeaderV2From ?? null;
  if (
    request.apiKey !== api.key ||
    response.apiKey !== api.key ||
    min !== api.min ||
    max !== api.max ||
    response.versions.min !== min ||
    response.versions.max !== max ||
    requestV2From !== flexibleFrom(request)
  ) {
    throw new Error(`the table of APIs and the schemas disagree about ${api.name}`);
  }
  return {
    key: api.key,
    name: api.name,
    listeners: api.listeners,
    min,
    max,
    latestStable: api.latestStable ?? max,
    advertisedMin: api.advertisedMinOnBroker ?? min,
    requestHeaderV2From: requestV2From,
    responseHeaderV1From: api.responseHeaderV1From ?? null,
    clusterAction: api.clusterAction,
    forwardable: api.forwardable,
  };
}

function flexibleFrom(message: Message): number | null {
  const { min } = message.flexible;
  if (message.flexible.max < min || min > message.versions.max) return null;
  return Math.max(min, message.versions.min);
}
