/** Fresh identities. Kafka writes a UUID as 22 characters of unpadded URL-safe base64. */
export interface Ids {
  /** A random (version 4) UUID in Kafka's text form; never begins with '-', as command lines would take it for an option. */
  uuid(): string;
}
