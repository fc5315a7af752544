/** Runs the consensus core under faults: `node test/raft/main.ts [--seeds 2000] [--from 1] [--first] [--seed N]`; one seed prints its trace. */
import { parseArgs } from 'node:util';
import { Harness } from './harness.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    seed: { type: 'string' },
    /** Stops at the first failure. */
    first: { type: 'boolean' },
  },
});
if (values.seed !== undefined) {
  const harness = new Harness(values.seed, { isTraced: true });
  try {
    console.log(harness.run());
  } catch (error) {
    console.log(harness.lines.join('\n'));
    console.log(error);
    process.exitCode = 1;
  }
} else {
  const from = Number(values.from ?? 1);
  const count = Number(values.seeds ?? 2000);
  const totals: Record<string, number> = {};
  let failures = 0;
  const startedAt = performance.now();
  for (let seed = from; seed < from + count && failures < (values.first === true ? 1 : 10); seed++) {
    try {
      for (const [name, value] of Object.entries(new Harness(seed).run())) {
        totals[name] = (totals[name] ?? 0) + value;
      }
    } catch (error) {
      failures++;
      const reason =
        error instanceof Error
          ? (error.stack ?? error.message).split('\n').slice(0, 4).join('\n')
          : String(error);
      console.log(`seed ${seed}: ${reason}\n  again: npx node test/raft/main.ts --seed ${seed}`);
    }
  }
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(totals, `${((count * 60) / seconds).toFixed(0)} seeds a minute, ${failures} failed`);
  if (failures > 0) process.exitCode = 1;
}
