/** For libraries that send what they are given in one call: batches of a size that is good for them, several under way at a time. */

/** Over all partitions of the topic together. */
const chunkBytes = 1_000_000;
const underWay = 5;

/** Hands out the values over and over until there were `count` of them; resolves when all parts are sent. */
export async function chunks(
  values: readonly Buffer[],
  count: number,
  send: (part: readonly Buffer[]) => Promise<void>,
): Promise<void> {
  const perChunk = Math.max(1, Math.floor(chunkBytes / values[0]!.length));
  let handedOut = 0;
  const lane = async (): Promise<void> => {
    while (handedOut < count) {
      const first = handedOut;
      handedOut = Math.min(count, first + perChunk);
      const part = Array.from(
        { length: handedOut - first },
        (_, at) => values[(first + at) % values.length]!,
      );
      await send(part);
    }
  };
  await Promise.all(Array.from({ length: underWay }, lane));
}
