/** Named checks: each prints one line as it ends, and the sums decide the exit code. */

/** Thrown by a check that cannot run here (a tool is missing, say); the message says why. */
export class SkipCheck extends Error {}

export class Checks {
  passed = 0;
  failed = 0;
  skipped = 0;
  readonly #only: string | undefined;

  /** `only`: run just the checks whose names contain it. */
  constructor(only: string | undefined) {
    this.#only = only;
  }

  /** Whether any check with a name that begins with `suite` may run. */
  wants(suite: string): boolean {
    return this.#only === undefined || this.#only.startsWith(suite) || suite.includes(this.#only);
  }

  /** Whether a check of this name will run: what it needs is worth preparing. */
  mayRun(name: string): boolean {
    return this.#only === undefined || name.includes(this.#only);
  }

  /** Runs one check; a rejection fails it and the run goes on. */
  async check(name: string, body: () => Promise<void>): Promise<void> {
    if (this.mayRun(name)) await this.#run(name, body);
  }

  /** Runs what has checks of its own. That it does not get to its end, for what is between them, is a failure too, and the run goes on. */
  async suite(name: string, body: () => Promise<void>): Promise<void> {
    try {
      await body();
    } catch (error) {
      this.#fail(`${name} to its end`, error);
    }
  }

  async #run(name: string, body: () => Promise<void>): Promise<void> {
    const begin = performance.now();
    try {
      await body();
      this.passed += 1;
      console.log(`ok    ${name} (${((performance.now() - begin) / 1000).toFixed(1)} s)`);
    } catch (error) {
      if (error instanceof SkipCheck) {
        this.skip(name, error.message);
        return;
      }
      this.#fail(name, error);
    }
  }

  #fail(name: string, error: unknown): void {
    this.failed += 1;
    const message = error instanceof Error ? error.message : String(error);
    console.log(`FAIL  ${name}\n      ${message.replaceAll('\n', '\n      ')}`);
  }

  skip(name: string, reason: string): void {
    this.skipped += 1;
    console.log(`SKIP  ${name}: ${reason}`);
  }

  summary(): string {
    return `${this.passed} passed, ${this.failed} failed, ${this.skipped} skipped`;
  }
}
