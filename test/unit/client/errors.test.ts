import { describe, expect, it } from 'vitest';
import { brokerError, KafkaError, toKafkaError } from '../../../client/errors.ts';
import { ErrorCode, errorInfo, ProtocolError } from '../../../protocol/index.ts';

describe('KafkaError', () => {
  it('knows every code of the protocol, and which may be retried', () => {
    for (const [name, code] of Object.entries(ErrorCode)) {
      expect(brokerError(code, 'x')).toMatchObject({ code: name, retriable: errorInfo(code).retriable });
    }
  });

  it('does not retry a code that it does not know', () => {
    expect(brokerError(29_999, 'x')).toMatchObject({ code: 'UNKNOWN_SERVER_ERROR', retriable: false });
  });

  it('says what was asked, what the broker said, and what to do', () => {
    const { message, brokerMessage } = brokerError(ErrorCode.MESSAGE_TOO_LARGE, 'write to t-0', 'too big');
    expect(brokerMessage).toBe('too big');
    expect(brokerError(ErrorCode.MESSAGE_TOO_LARGE, 'x', '').brokerMessage).toBeUndefined();
    expect(message).toBe(
      "Could not write to t-0: the broker answered MESSAGE_TOO_LARGE (10): too big. Raise the topic's max.message.bytes, or send smaller records or batches.",
    );
  });

  it('keeps what it is given, and wraps the rest with its cause', () => {
    const error = new KafkaError('TIMED_OUT', 'late');
    expect(toKafkaError(error, 'x')).toBe(error);
    const cause = new ProtocolError('short', 'cut off');
    expect(toKafkaError(cause, 'read')).toMatchObject({ code: 'BAD_RESPONSE', retriable: false, cause });
    expect(toKafkaError('text', 'read').message).toBe('Could not read: text.');
  });
});
