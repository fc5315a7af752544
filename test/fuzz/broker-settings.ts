/** Settings under which a fuzzed broker cannot be filled with topics, and groups do not keep the harness waiting. */
export const brokerSettings: Readonly<Record<string, string>> = {
  'auto.create.topics.enable': 'false',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1',
};
