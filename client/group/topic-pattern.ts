/**
 * Topics by a regular expression, which a topic's whole name has to match. It is given as text in the syntax of RE2, or as a RegExp, and
 * comes out in the form that a protocol wants: text for the broker, or a RegExp that the client matches by itself.
 */
import { KafkaError } from '../errors.ts';

const ignoresCase = '(?i)';

/** In the syntax of RE2, where the pattern has nothing that RE2 lacks; the broker says so otherwise. */
export function patternText(pattern: string | RegExp): string {
  if (typeof pattern === 'string') return pattern;
  // Names are one line of ASCII: no other flag says anything of them.
  return pattern.ignoreCase ? ignoresCase + pattern.source : pattern.source;
}

/** Throws INVALID_REGULAR_EXPRESSION for text that a RegExp cannot be made of. */
export function compilePattern(pattern: string | RegExp): RegExp {
  const text = patternText(pattern);
  const isCaseIgnored = text.startsWith(ignoresCase);
  const source = isCaseIgnored ? text.slice(ignoresCase.length) : text;
  const needed = typeof pattern === 'string' ? '' : pattern.flags.replace(/[^uv]/g, '');
  try {
    return new RegExp(`^(?:${source})$`, isCaseIgnored ? `i${needed}` : needed);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KafkaError(
      'INVALID_REGULAR_EXPRESSION',
      `\`topicPattern\` is not a regular expression that this client can match by itself: ${reason}.`,
      { cause: error },
    );
  }
}
