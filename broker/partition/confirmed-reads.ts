/** Linearizable reads of one group that wait for their leader's confirmation: each is asked for once and answered once. */
export class ConfirmedReads {
  readonly #waiting = new Map<number, (endIndex: number | undefined) => void>();
  #lastToken = 0;

  /** `request` asks consensus, which may answer within the call; false: it is not the leader. */
  ask(request: (token: number) => boolean): Promise<number | undefined> {
    const token = ++this.#lastToken;
    return new Promise((resolve) => {
      this.#waiting.set(token, resolve);
      if (!request(token)) this.confirmed(token, undefined);
    });
  }

  confirmed(token: number, endIndex: number | undefined): void {
    const resolve = this.#waiting.get(token);
    this.#waiting.delete(token);
    resolve?.(endIndex);
  }

  /** Nothing more will be confirmed. */
  end(): void {
    for (const token of this.#waiting.keys()) this.confirmed(token, undefined);
  }
}
