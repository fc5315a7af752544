import { describe, expect, test } from 'vitest';
import { CoordinatorLogError } from '../../../broker/coordinator/coordinator-log.ts';
import { CoordinatorShard } from '../../../broker/coordinator/shard.ts';
import { ShardTimer } from '../../../broker/coordinator/shard-timers.ts';
import type {
  Effects,
  ReplayedRecord,
  RequestId,
  StateMachine,
} from '../../../broker/coordinator/state-machine.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { decodeBatch } from '../../../protocol/index.ts';
import { MemoryCoordinatorLog } from './memory-coordinator-log.ts';

type Command =
  | { readonly kind: 'add'; readonly values: readonly string[] }
  | { readonly kind: 'read' | 'break' }
  | { readonly kind: 'add-later'; readonly value: string; readonly delayMs: number };

/** A list of strings, each of which is a record. */
class ListMachine implements StateMachine<Command, string, { value: string; request: RequestId }> {
  list: string[] = [];
  activatedWith: string | undefined = undefined;

  execute(
    command: Command,
    request: RequestId,
    effects: Effects<string, { value: string; request: RequestId }>,
  ): void {
    if (command.kind === 'add-later') {
      effects.arm(new ShardTimer({ value: command.value, request }), command.delayMs);
      return;
    }
    if (command.kind === 'break') throw new Error('broken');
    if (command.kind === 'add') for (const value of command.values) this.#add(value, effects);
    effects.reply(request, this.list.join());
  }

  expire(
    event: { value: string; request: RequestId },
    effects: Effects<string, { value: string; request: RequestId }>,
  ): void {
    this.#add(event.value, effects);
    effects.reply(event.request, `${this.list.join()} at ${effects.monotonicMs}`);
  }

  replay({ key, value, offset }: ReplayedRecord): void {
    if (key.toString() === 'poison') throw new Error('cannot be understood');
    expect(offset).toBe(this.list.length);
    this.list.push(value!.toString());
  }

  activate(): void {
    this.activatedWith = this.list.join();
  }

  #add(value: string, effects: Effects<string, { value: string; request: RequestId }>): void {
    this.list.push(value);
    effects.append(Buffer.from('k'), Buffer.from(value));
  }
}

async function turn(): Promise<void> {
  for (let step = 0; step < 20; step += 1) await Promise.resolve();
}

function makeShard(log = new MemoryCoordinatorLog(), batchSizeBytesMax = 1_000_000) {
  const clock = new ManualClock();
  const machine = new ListMachine();
  const failures: unknown[] = [];
  const shard = new CoordinatorShard({
    log,
    clock,
    machine,
    batchSizeBytesMax: () => batchSizeBytesMax,
    onFailure: (cause) => failures.push(cause),
  });
  return { clock, machine, shard, log, failures };
}

async function activeShard(log = new MemoryCoordinatorLog(), batchSizeBytesMax = 1_000_000) {
  const made = makeShard(log, batchSizeBytesMax);
  const loaded = made.shard.load();
  log.becomeReady();
  await loaded;
  expect(made.shard.state).toBe('active');
  return made;
}

/** Whether a promise has settled, and how. */
function watched<T>(promise: Promise<T>): { outcome: T | undefined } {
  const watch: { outcome: T | undefined } = { outcome: undefined };
  void promise.then((outcome) => {
    watch.outcome = outcome;
  });
  return watch;
}

const unavailable = { kind: 'unavailable', reason: 'not-coordinator' };

describe('a log that takes nothing for a while', () => {
  test('holds up the step, what comes after it and the timers, and nothing else', async () => {
    const { shard, log, machine, clock, failures } = await activeShard();
    const later = watched(shard.submit({ kind: 'add-later', value: 'later', delayMs: 30 }));
    log.refusesAppends = true;
    const held = watched(shard.submit({ kind: 'add', values: ['a', 'b'] }));
    expect(await shard.submit({ kind: 'read' })).toEqual({ kind: 'unavailable', reason: 'busy' });
    clock.advance(1_000);
    await turn();
    expect([held.outcome, later.outcome, log.batches, machine.list]).toEqual([
      undefined,
      undefined,
      [],
      ['a', 'b'],
    ]);
    log.refusesAppends = false;
    clock.advance(20);
    await turn();
    expect(held.outcome).toEqual({ kind: 'replied', reply: 'a,b' });
    // Of its 30 ms it has all left: nobody could be heard of meanwhile.
    clock.advance(29);
    await turn();
    expect(later.outcome).toBeUndefined();
    clock.advance(1);
    await turn();
    expect(later.outcome).toEqual({ kind: 'replied', reply: 'a,b,later at 30' });
    expect(await shard.submit({ kind: 'read' })).toEqual({ kind: 'replied', reply: 'a,b,later' });
    expect([shard.state, failures]).toEqual(['active', []]);
  });

  test('goes on in the middle of a step that takes several batches', async () => {
    const { shard, log, clock } = await activeShard(new MemoryCoordinatorLog(), 300);
    const values = Array.from({ length: 20 }, (_, number) => `value ${number}`);
    log.appendsLeft = 2;
    const held = watched(shard.submit({ kind: 'add', values }));
    await turn();
    expect([held.outcome, log.batches.length]).toEqual([undefined, 2]);
    log.appendsLeft = Infinity;
    clock.advance(20);
    await turn();
    expect(held.outcome).toEqual({ kind: 'replied', reply: values.join() });
    const stored = log.batches.flatMap((batch) => decodeBatch(batch).map(({ value }) => value!.toString()));
    expect(stored).toEqual(values);
  });

  test('and is lost then ends the shard', async () => {
    const { shard, log, clock, failures } = await activeShard();
    log.refusesAppends = true;
    const held = watched(shard.submit({ kind: 'add', values: ['a'] }));
    log.lose('not-leader');
    await turn();
    clock.advance(1_000);
    expect([held.outcome, shard.state, log.batches, failures]).toEqual([unavailable, 'failed', [], []]);
  });
});

describe('a step that throws', () => {
  test('ends the shard, as the machine may have changed by half', async () => {
    const { shard, log, failures } = await activeShard();
    log.autoCommit = false;
    const held = watched(shard.submit({ kind: 'add', values: ['a'] }));
    expect(await shard.submit({ kind: 'break' })).toEqual(unavailable);
    await turn();
    expect([held.outcome, shard.state]).toEqual([unavailable, 'failed']);
    expect(failures).toEqual([new Error('broken')]);
  });
});

describe('who leads', () => {
  test('is confirmed by the log, and by nothing once the shard has ended', async () => {
    const { shard, log } = await activeShard();
    expect(await shard.confirm()).toBe(true);
    log.isDeposed = true;
    expect(await shard.confirm()).toBe(false);
    log.isDeposed = false;
    shard.unload();
    expect(await shard.confirm()).toBe(false);
  });
});

describe('replies', () => {
  test('wait for the commit of what came before them', async () => {
    const { shard, log, machine } = await activeShard();
    log.autoCommit = false;
    const first = watched(shard.submit({ kind: 'add', values: ['a', 'b'] }));
    const second = watched(shard.submit({ kind: 'add', values: ['c'] }));
    const read = watched(shard.submit({ kind: 'read' }));
    await turn();
    expect(machine.list).toEqual(['a', 'b', 'c']);
    expect([first.outcome, second.outcome, read.outcome]).toEqual([undefined, undefined, undefined]);
    log.commit(2);
    await turn();
    expect(first.outcome).toEqual({ kind: 'replied', reply: 'a,b' });
    expect([second.outcome, read.outcome]).toEqual([undefined, undefined]);
    log.commit();
    await turn();
    expect(second.outcome).toEqual({ kind: 'replied', reply: 'a,b,c' });
    expect(read.outcome).toEqual({ kind: 'replied', reply: 'a,b,c' });
  });

  test('come at once when nothing waits to be committed', async () => {
    const { shard } = await activeShard();
    const read = watched(shard.submit({ kind: 'read' }));
    await turn();
    expect(read.outcome).toEqual({ kind: 'replied', reply: '' });
  });

  test('of timers come by the same way', async () => {
    const { shard, log, clock } = await activeShard();
    log.autoCommit = false;
    const later = watched(shard.submit({ kind: 'add-later', value: 'x', delayMs: 100 }));
    const sooner = watched(shard.submit({ kind: 'add-later', value: 'y', delayMs: 50 }));
    await clock.advanceAsync(99);
    expect([later.outcome, sooner.outcome]).toEqual([undefined, undefined]);
    log.commit();
    await turn();
    expect(sooner.outcome).toEqual({ kind: 'replied', reply: 'y at 50' });
    await clock.advanceAsync(1);
    expect(later.outcome).toBeUndefined();
    log.commit();
    await turn();
    expect(later.outcome).toEqual({ kind: 'replied', reply: 'y,x at 100' });
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('records', () => {
  test('of one step are one batch, with the time of the step', async () => {
    const { shard, log, clock } = await activeShard();
    clock.advance(7);
    await shard.submit({ kind: 'add', values: ['a', 'b'] });
    await shard.submit({ kind: 'add', values: ['c'] });
    const batches = log.batches.map((batch) =>
      decodeBatch(batch).map(({ offset, value, timestamp }) => [offset, value!.toString(), timestamp]),
    );
    expect(batches).toEqual([
      [
        [0, 'a', clock.wallMs()],
        [1, 'b', clock.wallMs()],
      ],
      [[2, 'c', clock.wallMs()]],
    ]);
  });

  test('that are too many for one batch are several, and the reply waits for the last', async () => {
    const { shard, log } = await activeShard(new MemoryCoordinatorLog(), 1_000);
    log.autoCommit = false;
    const values = Array.from({ length: 20 }, (_, index) => `${index}`.padStart(100, '0'));
    const added = watched(shard.submit({ kind: 'add', values }));
    expect(log.batches.length).toBeGreaterThan(2);
    for (const batch of log.batches) expect(batch.length).toBeLessThanOrEqual(1_000);
    expect(log.batches.flatMap((batch) => decodeBatch(batch).map(({ value }) => value!.toString()))).toEqual(
      values,
    );
    log.commit(19);
    await turn();
    expect(added.outcome).toBeUndefined();
    log.commit();
    await turn();
    expect(added.outcome).toEqual({ kind: 'replied', reply: values.join() });
  });
});

describe('loading', () => {
  test('waits for the first entry of the term, then replays all that is committed', async () => {
    const before = await activeShard();
    await before.shard.submit({ kind: 'add', values: ['a', 'b'] });
    await before.shard.submit({ kind: 'add', values: ['c'] });
    before.log.autoCommit = false;
    void before.shard.submit({ kind: 'add', values: ['lost'] });

    const { shard, machine, log } = makeShard(before.log.successor());
    const loaded = shard.load();
    await turn();
    expect(shard.state).toBe('loading');
    expect(await shard.submit({ kind: 'read' })).toEqual({ kind: 'unavailable', reason: 'loading' });
    log.becomeReady();
    await loaded;
    expect(machine.activatedWith).toBe('a,b,c');
    expect(await shard.submit({ kind: 'add', values: ['d'] })).toEqual({ kind: 'replied', reply: 'a,b,c,d' });
    expect(log.openReads).toBe(0);
  });

  test('goes in slices, between which other work is done', async () => {
    const source = await activeShard();
    for (let batch = 0; batch < 10; batch += 1) {
      await source.shard.submit({
        kind: 'add',
        values: Array.from({ length: 1_000 }, (_, index) => `${batch}-${index}`),
      });
    }
    const { shard, machine, log, clock } = makeShard(source.log.successor());
    const loaded = shard.load();
    log.becomeReady();
    const seen: number[] = [];
    const lags: number[] = [];
    expect(shard.applyLagRecords).toBe(10_000);
    const done = await clock.runUntil(() => {
      seen.push(machine.list.length);
      lags.push(shard.applyLagRecords);
      return shard.state === 'active';
    }, 1_000);
    expect(done).toBe(true);
    await loaded;
    expect(machine.list).toHaveLength(10_000);
    expect(seen).toEqual([2_000, 4_000, 6_000, 8_000, 10_000, 10_000]);
    expect(lags).toEqual([8_000, 6_000, 4_000, 2_000, 0, 0]);
  });

  test('starts at the log’s start and skips what lies before it in a batch', async () => {
    const source = await activeShard();
    await source.shard.submit({ kind: 'add', values: ['a', 'b', 'c'] });
    const log = source.log.successor();
    log.startOffset = 1;
    const seen: number[] = [];
    const shard = new CoordinatorShard<Command, string, never>({
      log,
      clock: new ManualClock(),
      machine: {
        execute() {},
        expire() {},
        activate() {},
        replay: ({ offset }) => {
          seen.push(offset);
        },
      },
      batchSizeBytesMax: () => 1_000,
      onFailure: (cause) => {
        throw cause;
      },
    });
    expect(shard.applyLagRecords).toBe(2);
    log.becomeReady();
    await shard.load();
    expect(seen).toEqual([1, 2]);
    expect(shard.applyLagRecords).toBe(0);
  });

  test('that fails is reported, and the shard is nobody’s coordinator', async () => {
    const { shard, log, failures } = makeShard();
    const cause = new Error('bad sector');
    log.append([{ key: Buffer.from('k'), value: Buffer.from('v'), timestamp: 0 }]);
    log.commit();
    log.readFailure = cause;
    log.becomeReady();
    await shard.load();
    expect(shard.state).toBe('failed');
    expect(shard.applyLagRecords).toBe(1);
    expect(failures).toEqual([cause]);
    expect(await shard.submit({ kind: 'read' })).toEqual(unavailable);
  });

  test('of a record that cannot be understood fails, with the read given back', async () => {
    const { shard, log, failures } = makeShard();
    log.append([{ key: Buffer.from('poison'), value: null, timestamp: 0 }]);
    log.commit();
    log.becomeReady();
    await shard.load();
    expect(shard.state).toBe('failed');
    expect(failures).toHaveLength(1);
    expect(log.openReads).toBe(0);
  });

  test('that loses leadership ends quietly', async () => {
    const { shard, log, failures } = makeShard();
    const loaded = shard.load();
    log.lose('not-leader');
    await loaded;
    expect(shard.state).toBe('failed');
    expect(failures).toEqual([]);
    shard.unload();
    expect(shard.state).toBe('unloaded');
  });

  test('that is unloaded in the middle stops there', async () => {
    const source = await activeShard();
    await source.shard.submit({
      kind: 'add',
      values: Array.from({ length: 9_000 }, (_, index) => `${index}`),
    });
    const { shard, machine, log, clock } = makeShard(source.log.successor());
    const loaded = shard.load();
    log.becomeReady();
    await turn();
    shard.unload();
    await clock.advanceAsync(1_000);
    await loaded;
    expect(shard.state).toBe('unloaded');
    expect(machine.activatedWith).toBeUndefined();
    expect(machine.list.length).toBeLessThan(9_000);
    expect(log.openReads).toBe(0);
  });
});

describe('losing the log', () => {
  test('answers all who wait, and drops what was not committed', async () => {
    const { shard, log, clock } = await activeShard();
    await shard.submit({ kind: 'add', values: ['a'] });
    log.autoCommit = false;
    const added = watched(shard.submit({ kind: 'add', values: ['b'] }));
    const later = watched(shard.submit({ kind: 'add-later', value: 'x', delayMs: 10 }));
    shard.unload();
    await turn();
    expect([added.outcome, later.outcome]).toEqual([unavailable, unavailable]);
    expect(clock.pendingTimers).toBe(0);
    // A commit that comes too late changes nothing.
    log.commit();
    clock.advance(100);
    expect(await shard.submit({ kind: 'read' })).toEqual(unavailable);
    expect(log.batches).toHaveLength(2);
  });

  test('in an append ends the shard at once; a failed log is reported', async () => {
    for (const [code, reports] of [
      ['not-leader', 0],
      ['failed', 1],
    ] as const) {
      const { shard, log, failures } = await activeShard();
      log.autoCommit = false;
      const held = watched(shard.submit({ kind: 'add', values: ['a'] }));
      log.failure = new CoordinatorLogError(code, 'no');
      expect(await shard.submit({ kind: 'add', values: ['b'] })).toEqual(unavailable);
      expect(held.outcome).toEqual(unavailable);
      expect(shard.state).toBe('failed');
      expect(failures).toHaveLength(reports);
    }
  });

  test('while a commit is awaited answers who waits; a failed log is reported', async () => {
    for (const [code, reports] of [
      ['not-leader', 0],
      ['failed', 1],
    ] as const) {
      const { shard, log, failures } = await activeShard();
      log.autoCommit = false;
      const held = watched(shard.submit({ kind: 'add', values: ['a'] }));
      log.lose(code);
      await turn();
      expect(held.outcome).toEqual(unavailable);
      expect(shard.state).toBe('failed');
      expect(failures).toHaveLength(reports);
    }
  });

  test('in a timer’s append ends the shard as well', async () => {
    const { shard, log, clock } = await activeShard();
    const first = watched(shard.submit({ kind: 'add-later', value: 'x', delayMs: 10 }));
    const second = watched(shard.submit({ kind: 'add-later', value: 'y', delayMs: 20 }));
    log.failure = new CoordinatorLogError('not-leader', 'no');
    await clock.advanceAsync(50);
    expect([first.outcome, second.outcome]).toEqual([unavailable, unavailable]);
    expect(clock.pendingTimers).toBe(0);
  });
});
