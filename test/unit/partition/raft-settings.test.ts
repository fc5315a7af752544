import { describe, expect, it } from 'vitest';
import { BrokerConfig, BrokerConfigError } from '../../../broker/config/broker-config.ts';
import { raftSettings, raftSettingsFrom } from '../../../broker/partition/raft-settings.ts';

const enable = 'kappalog.leader.lease.enable';
const drift = 'kappalog.leader.lease.clock.drift.percent';

function settingsOf(given: Readonly<Record<string, string>>): typeof raftSettings {
  return raftSettingsFrom(new BrokerConfig(new Map(Object.entries(given))));
}

describe('the settings of leases', () => {
  it('leave them off unless somebody asks for them', () => {
    expect(settingsOf({}).leases).toBeUndefined();
    expect(settingsOf({ [drift]: '20' })).toEqual(raftSettings);
    expect(settingsOf({ [enable]: 'false' })).toEqual(raftSettings);
  });

  it('give the drift in ticks of an election timeout of a hundred, and nothing else', () => {
    expect(raftSettings.timing.electionTicks).toBe(100);
    expect(settingsOf({ [enable]: 'true' })).toEqual({ ...raftSettings, leases: { driftTicks: 10 } });
    for (const percent of [1, 25, 50]) {
      expect(settingsOf({ [enable]: 'true', [drift]: `${percent}` }).leases).toEqual({ driftTicks: percent });
    }
  });

  it.each([
    [enable, 'perhaps'],
    [drift, '0'],
    [drift, '51'],
    [drift, '2.5'],
  ])('refuse %s=%s', (name, value) => {
    expect(() => settingsOf({ [name]: value })).toThrow(BrokerConfigError);
  });
});
