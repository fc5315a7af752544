/**
 * Whether a node is ready for more than being alive, as load balancers and rolling restarts ask: it has started, the cluster counts on it,
 * and since this start each of its replicas has been in sync once.
 *
 * That last part is said once: a replica that lags later is the metrics' business. Not waited for are replicas that cannot catch up by
 * waiting: those that have failed, are damaged or offline, those that a reassignment is just bringing in, and, after a while, those of
 * groups that nobody leads. Otherwise nodes that wait for each other would never be ready.
 *
 * Who is in sync is the leaders' word (`leaderships.ts`). Made by the composition root once the node is registered.
 */
import type { Clock } from '../platform/clock.ts';
import type { Cluster } from './cluster/cluster.ts';
import { isStanding } from './cluster/partitions/leaderships.ts';
import type { Leadership, Leaderships } from './cluster/partitions/leaderships.ts';
import type { Readiness } from './http/http-server.ts';

/** What of a replica is looked at. */
export interface SettlingReplica {
  readonly identity: { readonly topicId: string };
  readonly failed: boolean;
  readonly hasDamage: boolean;
}

export interface NodeReadinessOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly cluster: Pick<Cluster, 'image' | 'replicasHere' | 'standing'>;
  readonly leaderships: Pick<Leaderships, 'of' | 'onNews'>;
  /** The open replicas of this node. */
  readonly partitions: { replica(topic: string, partition: number): SettlingReplica | undefined };
}

interface Behind {
  readonly topicId: string;
  readonly topic: string;
  readonly partition: number;
}

/** How long replicas of groups without a leader are waited for: after a cold start of all nodes elections are over long before. */
export const leaderlessMsMax = 30_000;
/** Until then another leader may not have noticed that this node has begun anew, and count what the process before it had. */
export const noticeMsMin = 1_000;
const namesShownMax = 20;

const messages = {
  stopping: 'this node stops',
  fenced:
    'the cluster does not count on this node: its session with the controller has ended and is to begin anew',
  'no-controller':
    'no controller has heard this node for as long as a session lasts: it is cut off, or there is none',
} as const;

export class NodeReadiness {
  readonly #options: NodeReadinessOptions;
  readonly #sinceMs: number;
  /** Replicas that have yet to be in sync in this run, by topic id and partition. */
  readonly #behind = new Map<string, Behind>();
  #forgetNews: () => void = () => {};

  constructor(options: NodeReadinessOptions) {
    const { clock, cluster, leaderships } = options;
    this.#options = options;
    this.#sinceMs = clock.monotonicMs();
    for (const { topicId, topic, partition } of cluster.replicasHere()) {
      this.#behind.set(keyOf(topicId, partition), { topicId, topic, partition });
    }
    this.#forgetNews = leaderships.onNews((news) => this.#heard(news));
    this.#look();
  }

  /** `isServing`: it has not been told to stop. */
  now(isServing: boolean): Readiness {
    const reason = isServing ? this.#options.cluster.standing : 'stopping';
    if (reason !== 'in-service') return { kind: 'waiting', reason, message: messages[reason] };
    const behind = this.#look();
    if (behind.length === 0) {
      // Those that were not waited for are not waited for later either.
      this.#behind.clear();
      this.#forgetNews();
      return { kind: 'ready' };
    }
    return {
      kind: 'waiting',
      reason: 'catching-up',
      message: `${behind.length} replica(s) of this node have not been in sync since it was started`,
      partitionsBehind: behind.length,
      partitions: behind.slice(0, namesShownMax).map(({ topic, partition }) => `${topic}-${partition}`),
    };
  }

  #heard(news: Leadership): void {
    if (this.#isInSync(news)) this.#behind.delete(keyOf(news.topicId, news.partition));
  }

  /** Those that have to be waited for. */
  #look(): Behind[] {
    const { cluster, leaderships, partitions, nodeId } = this.#options;
    const mayBeLeaderless = this.#ageMs >= leaderlessMsMax;
    const waitedFor: Behind[] = [];
    for (const [key, behind] of this.#behind) {
      const { topicId, topic, partition } = behind;
      const leadership = leaderships.of(topicId, partition);
      const wanted = cluster.image.topicById(topicId)?.partitions[partition];
      const belongsHere = wanted?.replicas.includes(nodeId) === true && !wanted.adding.includes(nodeId);
      if (!belongsHere || this.#isInSync(leadership)) {
        this.#behind.delete(key);
        continue;
      }
      const open = partitions.replica(topic, partition);
      if (open?.identity.topicId !== topicId || open.failed || open.hasDamage) continue;
      if (mayBeLeaderless && !isStanding(leadership, cluster.image.brokers)) continue;
      waitedFor.push(behind);
    }
    return waitedFor;
  }

  /** A leader that is there counts this node, and said so itself. */
  #isInSync(leadership: Leadership | undefined): boolean {
    const { nodeId, cluster } = this.#options;
    if (!isStanding(leadership, cluster.image.brokers)) return false;
    if (leadership.leader === nodeId) return true;
    return this.#ageMs >= noticeMsMin && leadership.version > 0 && leadership.inSync.includes(nodeId);
  }

  get #ageMs(): number {
    return this.#options.clock.monotonicMs() - this.#sinceMs;
  }
}

function keyOf(topicId: string, partition: number): string {
  return `${topicId} ${partition}`;
}
