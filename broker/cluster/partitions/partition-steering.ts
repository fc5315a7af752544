/**
 * What a node does for the partitions that it leads, beyond serving them: tells all nodes so, brings their members to what the
 * metadata wants, and hands leadership over where it is asked to. The composition root makes one, and gives it every change of
 * a replica.
 */
import type { Clock } from '../../../platform/clock.ts';
import type { BrokerConfig } from '../../config/broker-config.ts';
import type { Replica } from '../../partition/replica.ts';
import type { PeerRequests, PeerService } from '../../peers/peer-requests.ts';
import type { Cluster } from '../cluster.ts';
import { LeaderBalance } from './leader-balance.ts';
import { LeadershipExchange, leadershipsKind } from './leadership-exchange.ts';
import { LeadershipTransfers, transferKind } from './leadership-transfers.ts';
import type { Leaderships } from './leaderships.ts';
import { MembershipDriver } from './membership-driver.ts';

export interface PartitionSteeringOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly cluster: Cluster;
  /** What is heard goes there. */
  readonly leaderships: Leaderships;
  /** The open replica of this node. */
  readonly replica: (topic: string, partition: number) => Replica | undefined;
  readonly peers: PeerRequests | undefined;
  readonly config: BrokerConfig;
  readonly onFailure: (error: unknown) => void;
}

export class PartitionSteering {
  readonly transfers: LeadershipTransfers;
  readonly #exchange: LeadershipExchange;
  readonly #driver: MembershipDriver;
  readonly #balance: LeaderBalance;

  constructor(options: PartitionSteeringOptions) {
    const { cluster } = options;
    const shared = { ...options, image: () => cluster.image };
    this.transfers = new LeadershipTransfers(shared);
    this.#exchange = new LeadershipExchange(shared);
    this.#driver = new MembershipDriver({
      ...shared,
      complete: (completed) => cluster.completeReassignments(completed),
    });
    const { config } = options;
    this.#balance = new LeaderBalance({
      ...shared,
      transfers: this.transfers,
      isEnabled: () => config.autoLeaderRebalanceEnable,
      intervalMs: () => config.leaderImbalanceCheckIntervalSeconds * 1000,
    });
    cluster.onChange((change) => {
      if (change.kind === 'broker-changed') this.#balance.nodesChanged();
      this.#exchange.metadataChanged(change);
      this.#driver.metadataChanged(change);
    });
    this.#exchange.nodesChanged();
  }

  /** What this node answers others, by the kind of question. */
  get services(): ReadonlyMap<string, PeerService> {
    return new Map([
      [leadershipsKind, this.#exchange.service],
      [transferKind, this.transfers.service],
    ]);
  }

  replicaChanged(replica: Replica): void {
    this.#exchange.replicaChanged(replica);
    this.#driver.replicaChanged(replica);
  }

  close(): void {
    this.#exchange.close();
    this.#driver.close();
    this.#balance.close();
  }
}
