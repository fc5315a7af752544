import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isDynamic } from '../../../broker/config/broker-config.ts';
import { brokerConfigDefinitions, topicConfigDefinitions } from '../../../broker/config/config-definition.ts';
import { honouredSettings } from '../../../broker/config/honoured-settings.ts';
import { topicConfigNotes } from '../../../broker/config/topic-config-notes.ts';

const document = readFileSync(join(import.meta.dirname, '../../../docs/settings.md'), 'utf8');

/** The cells of the table under a heading, without its head. */
function table(heading: string): string[][] {
  const section = document.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('|'));
  return rows.slice(2).map((line) => line.slice(2, -2).split(' | '));
}

function shown(text: string | null | undefined): string {
  return text === null || text === undefined || text === '' ? '' : `\`${text}\``;
}

describe('docs/settings.md', () => {
  it('has every setting of a broker that is honoured, as it is', () => {
    const expected = [...honouredSettings].map(([name, sentence]) => {
      const definition = brokerConfigDefinitions.get(name);
      const running = definition !== undefined && isDynamic(definition) ? 'yes' : '';
      return [`\`${name}\``, shown(definition?.default), running, sentence];
    });
    expect(table('Settings of a broker')).toEqual(expected);
  });

  it('has every setting of a topic, as it is', () => {
    const expected = [...topicConfigDefinitions.values()].map((definition) => [
      `\`${definition.name}\``,
      shown(definition.default),
      topicConfigNotes.get(definition.name) ?? '',
    ]);
    expect(table('Settings of a topic')).toEqual(expected);
  });
});
