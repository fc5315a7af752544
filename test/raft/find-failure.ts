/** Runs seeds of the core one after the other until one fails, and says which in one line of JSON: what the mutation check asks. */
import { Harness } from './harness.ts';

const [from = '1', seeds = '600'] = process.argv.slice(2);
let failed: { readonly seed: number; readonly message: string } | undefined;
let tried = 0;
for (let seed = Number(from); seed < Number(from) + Number(seeds) && failed === undefined; seed++) {
  tried++;
  try {
    new Harness(seed).run();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    failed = { seed, message: text.split('\n')[0]!.slice(0, 200) };
  }
}
console.log(JSON.stringify({ tried, failed }));
