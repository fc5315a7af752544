/** Runs seeds one after the other until one fails, and says which in one line of JSON: what the mutation check asks of a broken copy. */
import { runSeed, simulators } from './simulator.ts';

const [simulator = 'log', from = '0', seeds = '100', focus] = process.argv.slice(2);
let failed: { readonly seed: number; readonly message: string } | undefined;
let tried = 0;
for (let seed = Number(from); seed < Number(from) + Number(seeds) && failed === undefined; seed++) {
  const { failure } = await runSeed(simulators[simulator]!, { seed, focus });
  tried++;
  if (failure !== undefined) failed = { seed, message: failure.message.split('\n')[0]!.slice(0, 200) };
}
console.log(JSON.stringify({ tried, failed }));
