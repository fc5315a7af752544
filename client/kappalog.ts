/** The client's front: one object that knows the cluster's address and makes producers, consumers and admins of it. */
import { realPlatform } from '../platform/real/real-platform.ts';
import { Admin } from './admin/admin.ts';
import type { Components } from './components.ts';
import { Consumer } from './consumer/consumer.ts';
import { closedError } from './errors.ts';
import type { ConsumerOptions, KappalogOptions, ProducerOptions } from './options.ts';
import { Producer } from './producer/producer.ts';
import { Replay, type ReplayOptions } from './replay/replay.ts';
import { resolveSettings } from './settings.ts';
import { silentLogger } from './telemetry/logger.ts';

export class Kappalog {
  readonly #components: Components;
  readonly #open = new Set<Producer | Consumer | Admin>();
  #closing: Promise<void> | undefined;

  /** Connects to nothing yet: what it makes does, when it is first used. Throws INVALID_ARGUMENT. */
  constructor(options: KappalogOptions) {
    const { clock, network, random } = options.platform ?? realPlatform();
    const logger = options.logger ?? silentLogger;
    this.#components = { clock, network, random, logger, settings: resolveSettings(options) };
  }

  producer(options: ProducerOptions = {}): Producer {
    this.#throwIfClosed();
    const producer: Producer = new Producer(this.#components, options, () => this.#open.delete(producer));
    this.#open.add(producer);
    return producer;
  }

  consumer(options: ConsumerOptions): Consumer {
    this.#throwIfClosed();
    const consumer: Consumer = new Consumer(this.#components, options, () => this.#open.delete(consumer));
    this.#open.add(consumer);
    return consumer;
  }

  admin(): Admin {
    this.#throwIfClosed();
    const admin: Admin = new Admin(this.#components, () => this.#open.delete(admin));
    this.#open.add(admin);
    return admin;
  }

  /** A bounded, resumable replay of a topic; nothing happens before its `plan()` or `run()`. Throws a ReplayError. */
  replay(options: ReplayOptions): Replay {
    this.#throwIfClosed();
    return new Replay(this, this.#components, options);
  }

  /** Closes all that it made: producers deliver what they hold first. Always settles; rejects if closing one did. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const results = await Promise.allSettled([...this.#open].map((product) => product.close()));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw closedError('client');
  }
}
