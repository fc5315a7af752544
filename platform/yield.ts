/** Where long work lets others run. The simulator decides what happens in between. */
export interface Yield {
  /** Resolves in a later turn of the event loop, after what was waiting for the present one to end has had its turn. */
  turn(): Promise<void>;
}
