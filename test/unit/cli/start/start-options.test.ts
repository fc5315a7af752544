import { describe, expect, it } from 'vitest';
import { parseConfigFile } from '../../../../cli/start/config-file.ts';
import {
  layerOfEnvironment,
  layerOfFlags,
  resolveStartConfiguration,
} from '../../../../cli/start/start-options.ts';

const nothing = layerOfFlags({});

describe('start configuration', () => {
  it('has defaults that bind to loopback', () => {
    expect(resolveStartConfiguration([nothing])).toEqual({
      host: '127.0.0.1',
      port: 9092,
      httpPort: 8080,
      dataDirs: ['./data'],
      advertisedHost: undefined,
      nodeId: 1,
      rack: undefined,
      internalPort: 9093,
      internalHost: undefined,
      internalTls: undefined,
      voters: undefined,
      join: undefined,
      acceptLostMemory: false,
      logLevel: 'info',
      settings: {},
    });
  });

  it('takes flags before the environment before the file, setting by setting', () => {
    const flags = layerOfFlags({ port: '1', set: ['num.partitions=3'] });
    const environment = layerOfEnvironment({
      KAPPALOG_PORT: '2',
      KAPPALOG_HTTP_PORT: 'off',
      KAPPALOG_SET: 'num.partitions=4; message.max.bytes=1000 ;',
    });
    const file = parseConfigFile(
      '# comment\nport=3\nhttp-port=9\nadvertised-host=example.org:9000\n\nlog.segment.bytes = 5000\nmessage.max.bytes=7\n',
      'kappalog.properties',
    );
    expect(resolveStartConfiguration([flags, environment, file])).toMatchObject({
      port: 1,
      httpPort: false,
      advertisedHost: 'example.org:9000',
      settings: { 'num.partitions': '3', 'message.max.bytes': '1000', 'log.segment.bytes': '5000' },
    });
  });

  it('reads JSON, with settings flat or in an object of their own', () => {
    const file = parseConfigFile(
      '{ "host": "0.0.0.0", "port": 0, "delete.topic.enable": false, "settings": { "num.partitions": 6 } }',
      'kappalog.json',
    );
    expect(resolveStartConfiguration([nothing, file])).toMatchObject({
      host: '0.0.0.0',
      port: 0,
      settings: { 'delete.topic.enable': 'false', 'num.partitions': '6' },
    });
  });

  it('takes several data directories, or the settings of Kafka that name them', () => {
    const named = (flags: Record<string, string | string[]>, file = '') => {
      const layers = [layerOfFlags(flags), parseConfigFile(file, 'kappalog.properties')];
      const { dataDirs, settings } = resolveStartConfiguration(layers);
      return [dataDirs, settings];
    };
    expect(named({ dataDir: '/a, /b' })).toEqual([['/a', '/b'], {}]);
    expect(named({}, 'log.dirs=/c,/d\nlog.dir=/e\nnum.partitions=2')).toEqual([
      ['/c', '/d'],
      { 'num.partitions': '2' },
    ]);
    expect(named({ set: ['log.dir=/e'] })).toEqual([['/e'], {}]);
    expect(() => named({ dataDir: '/a' }, 'log.dirs=/c')).toThrow(
      'data-dir (from the command line) and log.dirs say the same; leave one of them out.',
    );
    expect(() => named({ dataDir: ' , ' })).toThrow('data-dir must name at least one directory.');
  });

  it.each([
    [{ port: '70000' }, /port must be a port from 0 to 65535, not "70000" \(from the command line\)/],
    [{ port: '-1' }, /port must be a port/],
    [{ httpPort: 'on' }, /http-port must be a port/],
    [{ logLevel: 'loud' }, /log-level must be one of debug, info, warn, error, silent/],
    [{ set: ['num.partitions'] }, /--set takes KEY=VALUE/],
    [{ set: ['=1'] }, /--set takes KEY=VALUE/],
  ])('refuses %j in a sentence', (flags, message) => {
    expect(() => resolveStartConfiguration([layerOfFlags(flags)])).toThrow(message);
  });

  it.each([
    ['{ "port": ', /file\.json is not valid JSON/],
    ['{ "port": [1] }', /"port" in file\.json must be text, a number or true or false/],
    ['{ "settings": 3 }', /"settings" in file\.json must be an object/],
    ['port=1\nnonsense\n', /Line 2 of file\.json must be key=value, not "nonsense"/],
  ])('refuses the file %j and says where', (text, message) => {
    expect(() => parseConfigFile(text, 'file.json')).toThrow(message);
  });
});
