import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { brokerConfigDefinitions, topicConfigDefinitions } from '../../../broker/config/config-definition.ts';
import type { ConfigDefinition } from '../../../broker/config/config-definition.ts';
import { parseConfigValue } from '../../../broker/config/config-value.ts';

function definition(type: ConfigDefinition['type'], rest: Partial<ConfigDefinition> = {}): ConfigDefinition {
  return { name: 'x', type, default: null, ...rest };
}

/** The value and the text that it is shown as, or what is wrong with it. */
function parse(subject: ConfigDefinition, text: string): unknown {
  const parsed = parseConfigValue(subject, text);
  return parsed.kind === 'fault' ? parsed.reason : [parsed.value, parsed.text];
}

const cleanup = { of: ['compact', 'delete'], distinct: true, emptyAllowed: true, nullAllowed: false };

describe('values of settings', () => {
  it.each([
    [definition('BOOLEAN'), ' TRUE ', [true, 'true']],
    [definition('BOOLEAN'), 'yes', 'must be either true or false'],
    [definition('INT'), '007', [7, '7']],
    [definition('INT'), '+7', [7, '7']],
    [definition('INT'), '2147483647', [2_147_483_647, '2147483647']],
    [definition('INT'), '2147483648', 'is not a number of type INT (-2147483648 to 2147483647)'],
    [definition('SHORT'), '-32769', 'is not a number of type SHORT (-32768 to 32767)'],
    [definition('INT'), '1.5', 'is not a number of type INT'],
    [definition('INT'), '', 'is not a number of type INT'],
    [definition('INT'), '0x10', 'is not a number of type INT'],
    [definition('LONG'), '9223372036854775807', [2 ** 63, '9223372036854775807']],
    [
      definition('LONG'),
      '9223372036854775808',
      'is not a number of type LONG (-9223372036854775808 to 9223372036854775807)',
    ],
    [definition('LONG'), '1'.repeat(21), 'is not a number of type LONG'],
    [definition('DOUBLE'), '0.5', [0.5, '0.5']],
    [definition('DOUBLE'), '1', [1, '1.0']],
    [definition('DOUBLE'), 'half', 'is not a number of type DOUBLE'],
    [definition('DOUBLE'), '', 'is not a number of type DOUBLE'],
    [definition('DOUBLE', { valid: '[0,...,1]' }), '1.1', 'must be no more than 1'],
    [definition('INT', { valid: '[1,...,9] or -1' }), '-1', [-1, '-1']],
    [definition('INT', { valid: '[1,...,9] or -1' }), '0', 'must be at least 1'],
    [definition('INT', { valid: '[1,...,9] or -1' }), '10', 'must be no more than 9'],
    [definition('LONG', { valid: '[-2,...]' }), '-2', [-2, '-2']],
    [definition('LONG', { valid: '[-2,...]' }), '-3', 'must be at least -2'],
    [
      definition('STRING', { valid: '[CreateTime, LogAppendTime]' }),
      'CreateTime',
      ['CreateTime', 'CreateTime'],
    ],
    [
      definition('STRING', { valid: '[CreateTime, LogAppendTime]' }),
      'createtime',
      'must be one of CreateTime, LogAppendTime',
    ],
    [definition('STRING', { valid: '(case insensitive) [A, B]' }), 'b', ['b', 'b']],
    [definition('STRING', { valid: '(case insensitive) [A, B]' }), 'c', 'must be one of A, B'],
    [definition('STRING', { valid: 'non-empty string' }), ' ', 'must not be empty'],
    [definition('LIST', { list: cleanup }), 'compact , delete', [['compact', 'delete'], 'compact,delete']],
    [definition('LIST', { list: cleanup }), '', [[], '']],
    [definition('LIST', { list: cleanup }), 'compact,compact', 'must not hold an entry twice'],
    [definition('LIST', { list: cleanup }), 'compact,', 'must not hold empty entries'],
    [definition('LIST', { list: cleanup }), 'keep', 'must hold only compact, delete, and "keep" is not one'],
    [definition('LIST', { list: { ...cleanup, emptyAllowed: false } }), '', 'must not be empty'],
    [definition('LIST', { valid: '[partitionId]:[brokerId],...' }), '*', [['*'], '*']],
    [definition('LIST', { valid: '[partitionId]:[brokerId],...' }), '0:1,1:2', [['0:1', '1:2'], '0:1,1:2']],
    [
      definition('LIST', { valid: '[partitionId]:[brokerId],...' }),
      '0-1',
      'must be "*" or a list of the form partition:broker,partition:broker',
    ],
  ] as const)('%j reads %j', (subject, text, expected) => {
    expect(parse(subject, text)).toEqual(expected);
  });

  it('takes every default', () => {
    const all = [...topicConfigDefinitions.values(), ...brokerConfigDefinitions.values()];
    expect([topicConfigDefinitions.size, brokerConfigDefinitions.size]).toEqual([39, 391]);
    const refused = all.filter(
      (subject) =>
        typeof subject.default === 'string' && parseConfigValue(subject, subject.default).kind === 'fault',
    );
    // Kafka has these empty unless set, and refuses to have them set to nothing.
    expect(refused.map(({ name }) => name)).toEqual([
      'controller.quorum.bootstrap.servers',
      'controller.quorum.voters',
    ]);
  });

  it('reads what it shows, whatever it was given', () => {
    const all = [...topicConfigDefinitions.values()];
    const texts = fc.oneof(fc.string(), fc.integer().map(String), fc.double().map(String));
    fc.assert(
      fc.property(fc.constantFrom(...all), texts, (subject, text) => {
        const parsed = parseConfigValue(subject, text);
        if (parsed.kind === 'fault') expect(parsed.reason).not.toBe('');
        else expect(parseConfigValue(subject, parsed.text)).toEqual(parsed);
      }),
    );
  });
});
