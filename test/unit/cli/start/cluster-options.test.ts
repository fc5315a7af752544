import { describe, expect, it } from 'vitest';
import {
  layerOfEnvironment,
  layerOfFlags,
  resolveStartConfiguration,
} from '../../../../cli/start/start-options.ts';
import type { StartFlags } from '../../../../cli/start/start.ts';

const resolve = (flags: StartFlags): ReturnType<typeof resolveStartConfiguration> =>
  resolveStartConfiguration([layerOfFlags(flags)]);

const voters = '1@db1:9093,2@db2:9093,3@[::1]:9093';

describe('options of a node among others', () => {
  it('takes the list of voters, and tells others the address that the list has for it', () => {
    const configuration = resolve({ nodeId: '2', voters, rack: 'a' });
    expect(configuration).toMatchObject({ nodeId: 2, rack: 'a', internalPort: 9093, internalHost: 'db2' });
    expect([...configuration.voters!]).toEqual([
      [1, { host: 'db1', port: 9093 }],
      [2, { host: 'db2', port: 9093 }],
      [3, { host: '::1', port: 9093 }],
    ]);
  });

  it('takes an address of its own before that of the list', () => {
    expect(resolve({ nodeId: '2', voters, internalHost: '10.0.0.2' }).internalHost).toBe('10.0.0.2');
  });

  it('takes a member to join, and the number 0, from the environment too', () => {
    const environment = layerOfEnvironment({ KAPPALOG_NODE_ID: '0', KAPPALOG_JOIN: 'db1:9093' });
    expect(resolveStartConfiguration([environment])).toMatchObject({
      nodeId: 0,
      join: { host: 'db1', port: 9093 },
      voters: undefined,
    });
  });

  it('takes no internal port, where none is to join', () => {
    expect(resolve({ internalPort: 'off' }).internalPort).toBe(false);
  });

  it('takes three files for TLS', () => {
    const files = { internalTlsCert: 'c', internalTlsKey: 'k', internalTlsCa: 'a' };
    expect(resolve(files).internalTls).toEqual({ cert: 'c', key: 'k', ca: 'a' });
  });

  it.each<[string, StartFlags, RegExp]>([
    ['both a list and a member', { voters, join: 'db1:9093' }, /voters and join exclude each other/],
    ['a list without this node', { nodeId: '4', voters }, /must name this node, 4, too; they are 1, 2, 3/],
    [
      'another port than the list has',
      { voters, internalPort: '9094' },
      /node 1 .* port 9093.* internal-port is 9094/,
    ],
    [
      'a node on all addresses that does not say how others reach it',
      { nodeId: '4', host: '0.0.0.0', join: 'db1:9093' },
      /internal-host must say where other nodes reach this one/,
    ],
    [
      'a list without a port to be reached at',
      { voters, internalPort: 'off' },
      /internal-port must not be off/,
    ],
    ['an even number of voters', { voters: '1@db1:9093,2@db2:9093' }, /1, 3 or 5 nodes, not 2.*--join/],
    ['a voter twice', { voters: '1@db1:9093,1@db2:9093,3@db3:9093' }, /names node 1 twice/],
    ['a voter without an address', { voters: '1,2,3' }, /ID@HOST:PORT.* not "1" \(from the command line\)/],
    ['a voter without a number', { voters: 'a@db1:9093' }, /a voter must be a number.* not "a"/],
    ['a member without a port', { join: 'db1' }, /join takes HOST:PORT.* not "db1"/],
    ['a port of a member that is none', { join: 'db1:70000' }, /join takes HOST:PORT/],
    ['a node id that is none', { nodeId: '-1' }, /node-id must be a number from 0 to 2147483647, not "-1"/],
    ['a key without its certificate', { internalTlsKey: 'k' }, /internal-tls-ca go together; one is missing/],
  ])('refuses %s', (_, flags, message) => {
    expect(() => resolve(flags)).toThrow(message);
  });
});
