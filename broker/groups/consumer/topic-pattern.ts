/**
 * The topics that a member subscribes to by a pattern (SubscribedTopicRegex), in the syntax of RE2 and matched in time linear in
 * the name: there is no backtracking, so no pattern can stall the broker. Lookaround and backreferences do not exist.
 *
 * RE2 bounds one repetition, and nested ones together, by 1000 times, but not how many stand in a row. So a pattern is
 * refused before it is compiled where it could grow too large, and after it where it did. What matching a name costs is at most
 * its length times `size`: who matches many names must not do it in one go.
 */
import { RE2JS, RE2JSSyntaxException } from 're2js';

/** The longest pattern, in UTF-16 units. */
export const patternLengthMax = 1_000;
/** The most instructions that a pattern may compile to. */
export const patternSizeMax = 2_000;
/** The length of a pattern times how often its repetitions may copy it, which bounds what compiling it costs. */
const expansionMax = 50_000;
/** What RE2 allows nested repetitions together. */
const repetitionMax = 1_000;

/** A pattern that is not taken; the message is a sentence for the user. */
export class TopicPatternError extends Error {
  readonly pattern: string;

  constructor(pattern: string, reason: string) {
    super(`SubscribedTopicRegex \`${shortened(pattern)}\` is not a valid regular expression: ${reason}.`);
    this.name = 'TopicPatternError';
    this.pattern = pattern;
  }
}

export class TopicPattern {
  readonly #compiled: RE2JS;
  readonly text: string;
  /** Instructions of the compiled pattern. */
  readonly size: number;

  private constructor(text: string, compiled: RE2JS) {
    this.text = text;
    this.#compiled = compiled;
    this.size = compiled.programSize();
  }

  /** Throws a TopicPatternError where the pattern is not one of RE2's, or is too large. */
  static compile(text: string): TopicPattern {
    if (text.length > patternLengthMax) {
      throw new TopicPatternError(text, `it is longer than ${patternLengthMax} characters`);
    }
    if (text.length * repetitionsAtMost(text) > expansionMax) throw tooLarge(text);
    const pattern = new TopicPattern(text, compiled(text));
    if (pattern.size > patternSizeMax) throw tooLarge(text);
    return pattern;
  }

  /** Whether the whole name matches, from its first to its last character. */
  matches(topicName: string): boolean {
    return this.#compiled.matches(topicName);
  }
}

function compiled(text: string): RE2JS {
  try {
    return RE2JS.compile(text);
  } catch (error) {
    if (error instanceof RE2JSSyntaxException) throw new TopicPatternError(text, reasonOf(error));
    throw error;
  }
}

/** RE2's own words, without what they begin with. */
function reasonOf({ message }: Error): string {
  return message.replace(/^error parsing regexp: /, '');
}

/** How many copies of one character the repetitions {n,m} can make, as if all were nested. */
function repetitionsAtMost(text: string): number {
  let product = 1;
  for (const [, low = '', high = ''] of text.matchAll(/\{(\d+)(?:,(\d*))?\}/g)) {
    product = Math.min(product * Math.max(Number(low), Number(high), 1), repetitionMax);
  }
  return product;
}

function tooLarge(text: string): TopicPatternError {
  return new TopicPatternError(text, 'its repetitions make it too large');
}

function shortened(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 100)}...`;
}
