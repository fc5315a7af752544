/** JSON between nodes. Nodes of one cluster trust each other: what is read is taken for what it is said to be. */

export function toJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** Throws a SyntaxError where it is not JSON. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- says at each use what the other node has sent
export function fromJson<Value>(bytes: Buffer): Value {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see the head of this file
  return JSON.parse(bytes.toString()) as Value;
}
