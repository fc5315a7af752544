/** The system under test has broken a promise; the text says which. */
export class SimulationFailure extends Error {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'SimulationFailure';
  }
}

export function check(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new SimulationFailure(message());
}

export function checkEqual(seen: unknown, expected: unknown, what: () => string): void {
  if (Object.is(seen, expected)) return;
  const [left, right] = [JSON.stringify(seen), JSON.stringify(expected)];
  if (left !== right) throw new SimulationFailure(`${what()}: ${left}, not ${right}`);
}
