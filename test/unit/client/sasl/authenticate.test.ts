import { describe, expect, it } from 'vitest';
import { Kappalog } from '../../../../client/index.ts';
import type { SaslOptions } from '../../../../client/index.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { realPlatform } from '../../../../platform/real/real-platform.ts';
import { address, SaslBroker, scramTalk } from './sasl-broker.ts';
import type { Talk } from './sasl-broker.ts';

const scram = { mechanism: 'SCRAM-SHA-256', username: 'ann', password: 'secret' } as const;
const known = scramTalk({ name: 'ann', password: 'secret' });

/** Takes exactly this. */
function wants(expected: string): Talk {
  return () => (said) => (said === expected ? Buffer.alloc(0) : 'refused');
}

async function setUp(talks: Readonly<Record<string, Talk>>, sasl: SaslOptions | undefined) {
  const clock = new ManualClock();
  const broker = await SaslBroker.start(clock, talks);
  const client = new Kappalog({
    brokers: `${address.host}:${address.port}`,
    platform: { ...realPlatform(), clock, network: broker.network },
    retry: { timeoutMs: 5_000 },
    ...(sasl && { sasl }),
  });
  const admin = client.admin();
  /** Lists the topics, in the clock's time. */
  const list = async (): Promise<unknown> => {
    const outcomes: unknown[] = [];
    const listing = admin.listTopics().then(
      () => {
        outcomes.push('listed');
      },
      (error: unknown) => {
        outcomes.push(error);
      },
    );
    // Keys are derived in threads, whose time is not the clock's.
    while (outcomes.length === 0) {
      await clock.advanceAsync(1);
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    await listing;
    return outcomes[0];
  };
  return { broker, clock, client, list };
}

describe('a client with `sasl`', () => {
  it.each<[string, SaslOptions, Readonly<Record<string, Talk>>]>([
    ['PLAIN', { ...scram, mechanism: 'PLAIN' }, { PLAIN: wants('\0ann\0secret') }],
    ['SCRAM', scram, { PLAIN: wants('?'), 'SCRAM-SHA-256': known }],
    [
      'a password that is asked for',
      { ...scram, password: async () => 'secret' },
      { 'SCRAM-SHA-256': known },
    ],
    [
      'OAUTHBEARER',
      { mechanism: 'OAUTHBEARER', token: () => ({ value: 'abc.def', extensions: { tenant: 'x y' } }) },
      { OAUTHBEARER: wants('n,,\u0001auth=Bearer abc.def\u0001tenant=x y\u0001\u0001') },
    ],
  ])('says who it is before anything else: %s', async (_, sasl, talks) => {
    const { broker, client, list } = await setUp(talks, sasl);
    expect(await list()).toBe('listed');
    expect(broker.asked.slice(0, 4)).toEqual([
      'ApiVersions',
      'ApiVersions',
      'SaslHandshake',
      'SaslAuthenticate',
    ]);
    expect(broker.asked.at(-1)).toBe('Metadata');
    await client.close();
  });

  it.each<[string, SaslOptions, Readonly<Record<string, Talk>>, object]>([
    [
      'the broker does not know it',
      { ...scram, password: 'wrong' },
      { 'SCRAM-SHA-256': known },
      { code: 'SASL_AUTHENTICATION_FAILED', retriable: false, message: expect.stringContaining(': no') },
    ],
    [
      'it does not know the broker',
      scram,
      { 'SCRAM-SHA-256': scramTalk({ name: 'ann', password: 'secret', isTrue: false }) },
      { code: 'SASL_AUTHENTICATION_FAILED', message: expect.stringContaining('does not prove') },
    ],
    [
      'the broker takes other mechanisms',
      scram,
      { PLAIN: wants('?'), OAUTHBEARER: wants('?') },
      { code: 'UNSUPPORTED_SASL_MECHANISM', message: expect.stringContaining('it takes PLAIN, OAUTHBEARER') },
    ],
    [
      'the token is none',
      { mechanism: 'OAUTHBEARER', token: () => 'a b' },
      { OAUTHBEARER: wants('?') },
      { code: 'INVALID_ARGUMENT' },
    ],
    [
      'the token is refused with a reason',
      { mechanism: 'OAUTHBEARER', token: () => 'abc' },
      {
        OAUTHBEARER: () => (said) =>
          said === '\u0001' ? 'refused' : Buffer.from('{"status":"invalid_token"}'),
      },
      { code: 'SASL_AUTHENTICATION_FAILED' },
    ],
  ])('fails at once where %s', async (_, sasl, talks, error) => {
    const { broker, client, list } = await setUp(talks, sasl);
    expect(await list()).toMatchObject(error);
    expect(broker.connections).toBe(1);
    await client.close();
  });

  it('says it again before its session is over, on the same connection', async () => {
    const { broker, clock, client, list } = await setUp({ 'SCRAM-SHA-256': known }, scram);
    broker.sessionLifetimeMs = 10_000;
    expect(await list()).toBe('listed');
    const first = broker.asked.length;
    for (let second = 0; second < 60; second++) {
      await clock.advanceAsync(1_000);
      expect(await list()).toBe('listed');
    }
    const since = broker.asked.slice(first);
    expect(since.filter((api) => api === 'Metadata')).toHaveLength(60);
    expect(since.filter((api) => api === 'SaslHandshake').length).toBeGreaterThan(5);
    expect(broker.connections).toBe(1);
    await client.close();
  });
});

it('a client without `sasl` is told of it where the broker ends the connection instead of an answer', async () => {
  const { client, list } = await setUp({ PLAIN: wants('?') }, undefined);
  expect(await list()).toMatchObject({ message: expect.stringContaining('see the option `sasl`') });
  await client.close();
});

it.each([
  [{ mechanism: 'GSSAPI', username: 'a', password: 'b' }, 'must be one of PLAIN'],
  [{ mechanism: 'PLAIN', username: '', password: 'b' }, '`sasl.username` must not be empty'],
  [{ mechanism: 'PLAIN', username: 'a' }, '`sasl.password` must be a string'],
  [{ mechanism: 'OAUTHBEARER', token: 'abc' }, '`sasl.token` must be a function'],
])('what cannot be meant is refused: %j', (sasl, message) => {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as a program without types could call it.
  expect(() => new Kappalog({ brokers: 'b', sasl: sasl as SaslOptions })).toThrow(message);
});
