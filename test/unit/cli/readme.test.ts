import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { startBroker } from '../../../broker/index.ts';
import { ExitCode } from '../../../cli/exit-codes.ts';
import { startOptions } from '../../../cli/start/start-options.ts';

const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
const operations = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8');

/** What stands between the comment that begins with `name` and the one that ends it. */
function section(name: string, document = readme): string {
  const match = new RegExp(`<!-- ${name}[^>]*-->\n([\\s\\S]*?)<!-- end of ${name} -->`).exec(document);
  expect(match, `there is no section "${name}"`).not.toBeNull();
  return match![1]!;
}

describe('README', () => {
  it('has the start options as the command line has them', () => {
    const rows = startOptions.map(({ name, placeholder, environment, default: preset, description }) => {
      const shown = preset === undefined ? '' : `\`${preset}\``;
      return `| \`--${name} ${placeholder}\` | \`${environment}\` | ${shown} | ${description} |\n`;
    });
    const table = `| Flag | Environment | Default | Meaning |\n|---|---|---|---|\n${rows.join('')}`;
    expect(section('start options')).toBe(table);
  });

  it('has every exit code', () => {
    const documented = [...section('exit codes').matchAll(/^\| (\d+) \|/gm)].map((match) => Number(match[1]));
    expect(documented).toEqual(Object.values(ExitCode));
  });

  it('has every metric that a node tells, with its type and meaning', async () => {
    await using broker = await startBroker({ port: 0, httpPort: 0, storage: 'memory' });
    const response = await fetch(`http://127.0.0.1:${broker.httpPort}/metrics`);
    const text = await response.text();
    const help = new Map([...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map((match) => [match[1]!, match[2]!]));
    const told = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(
      (match) => `${match[1]} ${match[2]} ${help.get(match[1]!)}`,
    );
    // As Prometheus wants it: what only grows is a counter and ends in _total, and nothing else does.
    for (const each of told.filter((line) => !line.includes(' histogram '))) {
      expect(each).toMatch(/^\S+(_total counter|(?<!_total) gauge) /);
      expect(each).not.toMatch(/ gauge .*since the start/);
    }
    const documented = [...section('metrics').matchAll(/^\| `(\S+)` \| (\S+) \| (.*) \|$/gm)].map(
      (match) => `${match[1]} ${match[2]} ${match[3]!.replace(' (label `api`)', '')}`,
    );
    const rows = /^\| `(\S+)` \| (\S+) \| ([^|]*) \| [^|]*\|$/gm;
    for (const name of ['cluster metrics', 'group metrics']) {
      for (const match of section(name, operations).matchAll(rows)) {
        documented.push(`${match[1]} ${match[2]} ${match[3]}`);
      }
    }
    expect(documented.sort()).toEqual(told.sort());
  });
});

describe('documents', () => {
  it.each(['README.md', 'CHANGELOG.md', 'docs/README.md'])('%s names only files that exist', (name) => {
    const document = new URL(`../../../${name}`, import.meta.url);
    const text = readFileSync(document, 'utf8');
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(
      (match) => new URL(match[1]!, document),
    );
    const paths = [
      ...text.matchAll(/`((?:bin|broker|cli|client|demo|platform|protocol|test)\/[\w./-]*)`/g),
    ].map((match) => new URL(`../../../${match[1]}`, import.meta.url));
    expect([...links, ...paths].filter((file) => !existsSync(file)).map(String)).toEqual([]);
    expect(name === 'CHANGELOG.md' || links.length + paths.length > 3).toBe(true);
  });
});
