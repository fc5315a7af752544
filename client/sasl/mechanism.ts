/** What a SASL mechanism is to the client: one conversation, of which it has the first word (RFC 4422). */
export interface SaslConversation {
  /** The mechanism's name, as brokers know it. */
  readonly mechanism: string;
  /** What is sent first. */
  first(): Promise<Buffer>;
  /**
   * The answer to what the broker sent; undefined when there is nothing more to say. Rejects with SASL_AUTHENTICATION_FAILED where the
   * broker does not prove what it has to.
   */
  next(challenge: Buffer): Promise<Buffer | undefined>;
  /** The broker counts the conversation as done. Throws SASL_AUTHENTICATION_FAILED where it has not proved what it has to. */
  finish(): void;
}
