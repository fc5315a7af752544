/** What happens to a simulated cluster of whole nodes, step by step. */
import type { Random } from '../../../platform/random.ts';
import type { NodeMachine } from './node-machine.ts';
import type { NodesStep } from './nodes-options.ts';
import type { NodesSimulation } from './nodes-simulation.ts';

export const nodesMax = 5;

type Action = (simulation: NodesSimulation, random: Random) => void;

function pick({ machines }: NodesSimulation, random: Random): NodeMachine {
  return machines[random.below(machines.length)]!;
}

function hostsOf(simulation: NodesSimulation): string[] {
  return simulation.machines.map(({ host }) => host);
}

function cutBoth({ network }: NodesSimulation, one: string, other: string): void {
  network.cut(one, other);
  network.cut(other, one);
}

export const nodesStepActions: Readonly<Record<NodesStep, Action>> = {
  wait: () => undefined,
  restart: ({ machines }) => {
    for (const machine of machines) machine.start();
  },
  heal: (simulation) => {
    simulation.say('links and disks are healed');
    simulation.network.heal();
    for (const { disk } of simulation.machines) disk.repair();
  },
  create: ({ admin }, random) => admin.begin('create', random),
  delete: ({ admin }, random) => admin.begin('delete', random),
  configure: ({ admin }, random) => admin.begin('configure', random),
  elect: ({ admin }, random) => admin.begin('elect', random),
  reassign: ({ admin }, random) => admin.begin('reassign', random),
  stop: (simulation, random) => pick(simulation, random).stop(),
  'add-node': (simulation) => {
    if (simulation.present.length < nodesMax) simulation.addMachine().start();
  },
  kill: (simulation, random) => pick(simulation, random).kill(),
  'power-loss': (simulation, random) => pick(simulation, random).losePower(),
  pair: (simulation, random) => {
    pick(simulation, random).kill();
    pick(simulation, random).losePower();
  },
  blackout: (simulation) => {
    for (const machine of simulation.machines) machine.losePower();
  },
  cut: (simulation, random) => {
    const [one, other] = [pick(simulation, random).host, pick(simulation, random).host];
    if (one === other) return;
    simulation.say(`the link between ${one} and ${other} is cut`);
    cutBoth(simulation, one, other);
  },
  'cut-one-way': (simulation, random) => {
    const [one, other] = [pick(simulation, random).host, pick(simulation, random).host];
    if (one === other) return;
    simulation.say(`the link from ${one} to ${other} is cut`);
    simulation.network.cut(one, other);
  },
  isolate: (simulation, random) => {
    const { host } = pick(simulation, random);
    simulation.say(`${host} is cut off from the other nodes`);
    for (const other of hostsOf(simulation)) if (other !== host) cutBoth(simulation, host, other);
  },
  slow: (simulation, random) => {
    const { host } = pick(simulation, random);
    const times = 10 * (1 + random.below(20));
    simulation.say(`links of ${host} are ${times} times as slow`);
    for (const other of hostsOf(simulation)) {
      if (other === host) continue;
      simulation.network.slowDown(host, other, times);
      simulation.network.slowDown(other, host, times);
    }
  },
  'slow-disk': (simulation, random) => {
    const { disk, host } = pick(simulation, random);
    const times = 10 * (1 + random.below(10));
    simulation.say(`the disk of ${host} is ${times} times as slow`);
    disk.slowDown(times);
  },
  'wall-jump': (simulation, random) => {
    pick(simulation, random).clock.jumpWall(random.below(60_000) - 30_000);
  },
  drift: (simulation, random) => {
    pick(simulation, random).clock.runAt(0.9 + random.below(200) / 1000);
  },
};
