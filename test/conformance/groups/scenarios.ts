/** What happens to a group while it reads: members come, go, crash, restart and are replaced one after another. */
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { GroupRun, type GroupSpec, type GroupsSuite } from './group-run.ts';
import type { LedgerSums } from './ledger.ts';
import type { MemberClient } from './member-process.ts';

/** `clients` are taken in turn for the members. */
export async function lifecycle(
  suite: GroupsSuite,
  spec: GroupSpec,
  clients: readonly MemberClient[],
): Promise<LedgerSums> {
  return within(suite, spec, async (run) => {
    const start = startInTurn(run, clients);
    const size = Math.max(3, clients.length);
    for (let count = 0; count < size; count++) start();
    await run.untilShared(`after ${size} have joined`);
    start();
    await run.untilShared('after one more has joined');
    await run.leave(run.members[0]!);
    await run.untilShared('after one has left');
    await run.crash(run.members[0]!);
    await run.untilShared('after one was killed');
    start();
    await run.untilShared('after one has taken its place');
    for (const old of run.members) {
      await run.leave(old);
      run.start(old.client, { protocol: old.config.protocol });
      await run.untilShared(`after ${old.name} was replaced`);
    }
  });
}

const stormRounds = 16;
const stormSize = { min: 2, max: 6 };

/** Nobody waits for the group: members come, go and crash while others still do, in the middle of whatever state. */
export async function storm(
  suite: GroupsSuite,
  spec: GroupSpec,
  clients: readonly MemberClient[],
): Promise<LedgerSums> {
  const random = new SeededRandom(spec.name);
  return within(suite, spec, async (run) => {
    const start = startInTurn(run, clients);
    const leaving: Promise<void>[] = [];
    for (let count = 0; count < 3; count++) start();
    for (let round = 1; round <= stormRounds; round++) {
      await run.untilSomeRead(`in round ${round} of the storm`, random.below(150));
      const { members } = run;
      const one = members[random.below(members.length)]!;
      const turn = random.below(3);
      if (members.length <= stormSize.min || (turn === 0 && members.length < stormSize.max)) start();
      else if (turn === 1) await run.crash(one);
      else {
        const left = run.leave(one);
        // What is wrong with it is told when all of them are awaited.
        left.catch(() => undefined);
        leaving.push(left);
      }
    }
    await Promise.all(leaving);
    await run.untilShared('after the storm');
  });
}

/** Starts members of one client after another, and of one protocol after the other where the group is of both. */
function startInTurn(run: GroupRun, clients: readonly MemberClient[]): () => void {
  let turn = 0;
  return () => {
    const client = clients[turn % clients.length]!;
    const isOther = run.spec.isOfBothProtocols === true && turn % 2 === 1;
    turn += 1;
    run.start(client, isOther ? { protocol: 'consumer' } : {});
  };
}

/** Static members that restart come back to what they had, and the others notice nothing. */
export async function staticRestarts(
  suite: GroupsSuite,
  spec: GroupSpec,
  clients: readonly MemberClient[],
): Promise<LedgerSums> {
  // Nobody is to be given up for dead while he starts.
  return within(suite, { ...spec, sessionTimeoutMs: 30_000 }, async (run) => {
    for (let count = 0; count < 3; count++)
      run.start(clients[count % clients.length]!, { instanceId: `instance-${count}` });
    await run.untilShared('after three static members have joined');
    for (const [at, old] of run.members.entries()) {
      const others = run.members.filter((member) => member !== old);
      const changes = others.map((other) => other.changes);
      const had = [...old.owned].sort().join(' ');
      // In the consumer protocol the name of one who has not said that he will be back stays taken until his session ends.
      const isKilled = at === 0 && spec.protocol === 'classic';
      if (isKilled) await run.crash(old);
      else await run.stop(old);
      const restarted = run.start(old.client, { instanceId: old.config.instanceId });
      const when = `after the static member ${old.name} ${isKilled ? 'was killed' : 'has stopped'} and restarted`;
      await run.until(`${when}, it owns what it had`, () => {
        const has = [...restarted.owned].sort().join(' ');
        return has === had ? undefined : `it owns ${has || 'nothing'} and had ${had}`;
      });
      await run.untilRead(when);
      for (const [index, other] of others.entries()) {
        // Members of a cooperative group may join again, as long as they keep what they have.
        if (other.changes !== changes[index])
          throw new Error(`${when}, ${other.name} had to give up partitions: the group was rebalanced.`);
      }
    }
  });
}

/** `disturb` does something to the brokers; the group goes on, and all keep what they have. */
export async function disturbed(
  suite: GroupsSuite,
  spec: GroupSpec,
  options: { readonly clients: readonly MemberClient[]; disturb(run: GroupRun): Promise<void> },
): Promise<LedgerSums> {
  return within(suite, spec, async (run) => {
    for (const client of options.clients) run.start(client);
    await run.untilShared('after all have joined');
    const changes = run.members.map((member) => member.changes);
    await options.disturb(run);
    for (const [at, { name, changes: now }] of run.members.entries())
      if (now !== changes[at])
        throw new Error(`${name} had to give up partitions for a change of coordinators.`);
    run.start(options.clients[0]!);
    await run.untilShared('after one more has joined');
  });
}

/** Members of the classic protocol are replaced one by one by those of the consumer protocol, and these by classic ones again. */
export async function migration(
  suite: GroupsSuite,
  spec: GroupSpec,
  clients: readonly MemberClient[],
): Promise<LedgerSums> {
  return within(suite, spec, async (run) => {
    const size = Math.max(3, clients.length);
    for (let count = 0; count < size; count++) run.start(clients[count % clients.length]!);
    await run.untilShared('after all have joined by the classic protocol');
    const { assignor } = spec;
    for (const as of [
      { protocol: 'consumer', assignor: assignor === 'range' ? 'range' : 'uniform' },
      { protocol: 'classic', assignor },
    ] as const) {
      for (const old of run.members) {
        await run.leave(old);
        run.start(old.client, as);
        await run.untilShared(`after ${old.name} was replaced by a member of the protocol ${as.protocol}`);
      }
    }
  });
}

async function within(
  suite: GroupsSuite,
  spec: GroupSpec,
  body: (run: GroupRun) => Promise<void>,
): Promise<LedgerSums> {
  const run = await GroupRun.begin(suite, spec);
  try {
    await body(run);
    return await run.finish();
  } catch (error) {
    await run.abandon();
    throw error;
  }
}
