/**
 * Random plausible request bodies, drawn from the schemas: every field of the version, with values that a client might
 * send more often than not. Names come from small fixed sets, so that a million requests leave a handful of topics and
 * groups behind, and no timeout is longer than the harness is patient.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../platform/random.ts';
import { encodeBatch } from '../../protocol/index.ts';
import { projectDirectory } from '../support/broker-process.ts';

interface Field {
  readonly name: string;
  readonly type: string;
  readonly versions?: string;
  readonly nullableVersions?: string;
  readonly taggedVersions?: string;
  readonly entityType?: string;
  readonly fields?: readonly Field[];
}

interface Schema {
  readonly fields: readonly Field[];
  readonly commonStructs?: readonly { readonly name: string; readonly fields: readonly Field[] }[];
}

/** Topics that the fuzzer reads and writes; made before each round. */
export const fuzzTopics = ['fuzz-a', 'fuzz-b', 'fuzz-c'];

const oddTopics = ['fuzz-missing', '', '.', 'fuzz bad name', 'f'.repeat(250), '__consumer_offsets'];
const newTopics = ['fuzz-new-1', 'fuzz-new-2', 'fuzz-b', '', '..', 'fuzz/bad'];
const groups = ['fuzz-group-1', 'fuzz-group-2', 'fuzz-group-3', ''];
const strings = [
  '',
  'a',
  'consumer',
  'range',
  'roundrobin',
  'fuzz',
  '1',
  'schlüssel\u{1f511}',
  'x'.repeat(300),
];
const configNames = [
  'retention.ms',
  'cleanup.policy',
  'segment.bytes',
  'max.message.bytes',
  'no.such.config',
  '',
];
const int8s = [0, 1, 2, 3, 4, 8, 32, -1, 127];
const int16s = [0, 1, 3, -1, 32_767, -32_768];
const int32s = [0, 1, 2, 3, -1, -2, 100, 2 ** 31 - 1, -(2 ** 31)];
const int64s = [0, 1, 2, 10, -1, -2, -3, -5, 1_600_000_000_000, Number.MAX_SAFE_INTEGER];
const partitionCounts = [1, 1, 2, 3, 0, -1, 2_000_000];

/** Fields whose name ends so are times to wait; a few milliseconds each. */
const waits = /(MaxWaitMs|timeoutMs|TimeoutMs|MaxBlockMs)$/;

export class SchemaValues {
  readonly #random: Random;
  readonly #schemas = new Map<string, Schema>();
  /** Ids of the fuzz topics, as the broker gave them. */
  topicIds: readonly string[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** A body for `${api}Request` in this version, to be given to its codec. */
  request(api: string, version: number): Record<string, unknown> {
    const schema = this.#schema(`${api}Request`);
    return this.#struct(schema.fields, { api, version, schema, depth: 0 });
  }

  #schema(name: string): Schema {
    let schema = this.#schemas.get(name);
    if (schema === undefined) {
      const loaded: Schema = JSON.parse(
        readFileSync(join(projectDirectory, `protocol/schemas/${name}.json`), 'utf8'),
      );
      schema = loaded;
      this.#schemas.set(name, schema);
    }
    return schema;
  }

  #struct(fields: readonly Field[], context: Context): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (const field of fields) {
      const tagged = covers(field.taggedVersions, context.version);
      if (!tagged && !covers(field.versions, context.version)) continue;
      if (tagged && this.#random.below(3) > 0) continue;
      value[field.name.slice(0, 1).toLowerCase() + field.name.slice(1)] = this.#field(field, context);
    }
    return value;
  }

  #field(field: Field, context: Context): unknown {
    if (covers(field.nullableVersions, context.version) && this.#random.below(6) === 0) return null;
    if (!field.type.startsWith('[]')) return this.#single(field, field.type, context);
    const most = context.depth > 2 ? 2 : 4;
    const length = this.#random.below(most);
    const inner = { ...context, depth: context.depth + 1 };
    return Array.from({ length }, () => this.#single(field, field.type.slice(2), inner));
  }

  #single(field: Field, type: string, context: Context): unknown {
    switch (type) {
      case 'bool':
        return field.name === 'ValidateOnly' ? this.#random.below(10) > 0 : this.#random.below(2) === 0;
      case 'int8':
        return this.#pick(int8s);
      case 'int16':
        return field.name === 'ReplicationFactor' ? this.#pick([1, 1, -1, 3]) : this.#pick(int16s);
      case 'uint16':
        return this.#random.below(65_536);
      case 'int32':
        return this.#int32(field.name);
      case 'uint32':
        return this.#random.uint32();
      case 'int64':
        return this.#pick(int64s);
      case 'float64':
        return this.#pick([0, 1.5, -1, Number.MAX_VALUE]);
      case 'uuid':
        return this.#pick([...this.topicIds, 'AAAAAAAAAAAAAAAAAAAAAA', 'AAAAAAAAAAAAAAAAAAAAZg']);
      case 'string':
        return this.#string(field, context);
      case 'bytes':
        return this.#random.bytes(this.#random.below(64));
      case 'records':
        return this.#records();
      default:
        return this.#struct(field.fields ?? commonStruct(context.schema, type), context);
    }
  }

  #int32(name: string): number {
    if (waits.test(name)) return this.#pick([0, 1, 10, 50, 100]);
    if (name === 'NumPartitions' || name === 'Count') return this.#pick(partitionCounts);
    // Mostly a partition, size or epoch that exists.
    return this.#random.below(3) > 0 ? this.#random.below(3) : this.#pick(int32s);
  }

  #string(field: Field, { api }: Context): string {
    const { name, entityType } = field;
    if (entityType === 'groupId' || name === 'GroupId' || name === 'GroupIds' || name === 'GroupsNames') {
      return this.#pick(groups);
    }
    if (api === 'CreateTopics' && entityType === 'topicName') return this.#pick(newTopics);
    // The fuzzer may delete what it made, and nothing that the broker needs.
    if (api === 'DeleteTopics') return this.#pick([...newTopics, ...fuzzTopics]);
    if (entityType === 'topicName' || name === 'ResourceName') {
      return this.#random.below(4) > 0 ? this.#pick(fuzzTopics) : this.#pick(oddTopics);
    }
    if (api.endsWith('Configs') && name === 'Name') return this.#pick(configNames);
    return this.#pick(strings);
  }

  /** A sound batch in half of the cases, else a damaged, foreign or empty one. */
  #records(): Buffer {
    const random = this.#random;
    const records = Array.from({ length: 1 + random.below(4) }, (_, i) => ({
      timestamp: this.#pick([Date.now(), Date.now() + i, -1, 0]),
      key: random.below(2) === 0 ? null : random.bytes(random.below(8)),
      value: random.below(8) === 0 ? null : random.bytes(random.below(100)),
    }));
    const batch = encodeBatch(records, {
      compression: this.#pick(['none', 'none', 'gzip', 'snappy', 'lz4', 'zstd'] as const),
      producerId: this.#pick([-1, -1, 0, 1, 1000]),
      producerEpoch: this.#pick([-1, 0, 1]),
      baseSequence: this.#pick([-1, 0, 1, 2 ** 31 - 1]),
    });
    switch (random.below(8)) {
      case 0:
        return random.bytes(random.below(200));
      case 1:
        return batch.subarray(0, random.below(batch.length));
      case 2:
        batch[random.below(batch.length)] = random.below(256);
        return batch;
      case 3:
        return Buffer.concat([batch, batch]);
      default:
        return batch;
    }
  }

  #pick<T>(list: readonly T[]): T {
    const element = list[this.#random.below(list.length)];
    if (element === undefined) throw new Error('There is nothing to pick from.');
    return element;
  }
}

interface Context {
  readonly api: string;
  readonly version: number;
  readonly schema: Schema;
  readonly depth: number;
}

/** Whether a range such as '3', '1-4' or '2+' holds the version. */
function covers(range: string | undefined, version: number): boolean {
  if (range === undefined || range === 'none') return false;
  const [low = '', high] = range.split(/[-+]/);
  if (range.endsWith('+')) return version >= Number(low);
  return version >= Number(low) && version <= Number(high ?? low);
}

function commonStruct(schema: Schema, name: string): readonly Field[] {
  const struct =
    schema.commonStructs?.find((candidate) => candidate.name === name) ?? nested(schema.fields, name);
  if (struct?.fields === undefined) throw new Error(`There is no struct ${name}.`);
  return struct.fields;
}

/** A struct may stand at another field, the first that uses it. */
function nested(fields: readonly Field[], name: string): Field | undefined {
  for (const field of fields) {
    if (field.fields === undefined) continue;
    if (field.type.replace('[]', '') === name) return field;
    const inner = nested(field.fields, name);
    if (inner !== undefined) return inner;
  }
  return undefined;
}
