/** The command line: every command with its options, and what runs it. Definitions only; commands are loaded when they run. */
import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import type { CommandContext } from './command-context.ts';
import type { ExitCode } from './exit-codes.ts';
import { startOptions } from './start/start-options.ts';

/** `finish` takes the exit code of a command that ends without throwing and yet has something to say with it. */
export function buildProgram(context: CommandContext, finish: (code: ExitCode) => void): Command {
  const program = new Command('kappalog')
    .description('A Kafka-compatible commit log: broker, client and replay.')
    .version(packageVersion(), '-V, --version')
    .configureOutput({ outputError: () => undefined })
    .exitOverride();
  addStart(program, context);
  addTopic(program, context);
  addProduce(program, context, finish);
  addConsume(program, context);
  addGroup(program, context);
  addLogDirs(program, context);
  addCluster(program, context, finish);
  addReplay(program, context, finish);
  addLog(program, context, finish);
  return program;
}

function addStart(program: Command, context: CommandContext): void {
  const command = program.command('start').description('start a broker in this process');
  for (const { name, placeholder, description, environment, default: preset } of startOptions) {
    const note = preset === undefined ? `env: ${environment}` : `default: ${preset}, env: ${environment}`;
    const option = new Option(`--${name} <${placeholder}>`, `${description} (${note})`);
    command.addOption(name === 'set' ? option.argParser(collect) : option);
  }
  command.addOption(outputOption()).option('-q, --quiet', 'only data and errors');
  command.action(async (flags) => {
    const { start } = await import('./start/start.ts');
    await start(flags, context);
  });
}

function addTopic(program: Command, context: CommandContext): void {
  const topic = program
    .command('topic')
    .description('create, list, describe, alter and delete topics, and their oldest records');
  const load = () => import('./topic/topic.ts');
  client(topic.command('create').argument('<name...>').description('create topics'))
    .option('-p, --partitions <count>', "partitions (default: the broker's num.partitions)")
    .option('-r, --replication-factor <count>', 'replicas of each partition')
    .option('-c, --config <KEY=VALUE>', 'a topic setting; can be repeated', collect)
    .option('--if-not-exists', 'no error where the topic is there already')
    .option('--dry-run', 'let the broker check it and create nothing')
    .action(async (names, options) => (await load()).createTopics(names, options, context));
  client(topic.command('list').description('list topics'))
    .option('--internal', "the broker's own topics too")
    .action(async (options) => (await load()).listTopics(options, context));
  client(
    topic.command('describe').argument('<name...>').description('partitions, offsets and settings of topics'),
  )
    .option('--all-configs', 'settings that have their default value too')
    .action(async (names, options) => (await load()).describeTopics(names, options, context));
  client(topic.command('alter').argument('<name>').description('change settings, add partitions'))
    .option('-p, --partitions <count>', 'the new, larger number of partitions')
    .option('-c, --config <KEY=VALUE>', 'a setting to set; can be repeated', collect)
    .option('--delete-config <KEY>', 'a setting to put back to its default; can be repeated', collect)
    .action(async (name, options) => (await load()).alterTopic(name, options, context));
  client(topic.command('delete').argument('<name...>').description('delete topics with all their records'))
    .option('-y, --yes', 'do not ask')
    .action(async (names, options) => (await load()).deleteTopics(names, options, context));
  client(
    topic.command('delete-records').argument('<topic>').description('delete the oldest records of a topic'),
  )
    .requiredOption(
      '--before <POSITION>',
      'the first record that stays: end, an offset, -N (keep the last N) or a time',
    )
    .option('-p, --partitions <LIST>', 'only these partitions, such as 0,2')
    .option('-y, --yes', 'do not ask')
    .action(async (name, options) => {
      const { deleteRecords } = await import('./topic/delete-records.ts');
      await deleteRecords(name, options, context);
    });
}

function addProduce(program: Command, context: CommandContext, finish: (code: ExitCode) => void): void {
  client(
    program
      .command('produce')
      .argument('<topic>')
      .description('write records, one for each line of stdin or a file'),
  )
    .option('-f, --file <FILE>', 'read this file instead of stdin')
    .addOption(
      new Option('--format <FORMAT>', 'what a line is: a value, or a record as `consume -o json` prints it')
        .choices(['lines', 'json'])
        .default('lines'),
    )
    .option('-K, --key-separator <TEXT>', 'text between key and value in a line (\\t for a tab)')
    .option('-k, --key <KEY>', 'the key of every record')
    .option('-H, --header <NAME=VALUE>', 'a header for every record; can be repeated', collect)
    .option('-p, --partition <NUMBER>', "the partition of every record (default: by the key's hash)")
    .option('--timestamp <TIME>', 'the time of every record (default: now)')
    .addOption(
      new Option('-z, --compression <CODEC>', 'compression of batches')
        .choices(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
        .default('none'),
    )
    .addOption(
      new Option('--acks <ACKS>', 'whose acknowledgement counts').choices(['all', '1', '0']).default('all'),
    )
    .addOption(
      new Option('--on-error <ACTION>', 'what a line that cannot be read does')
        .choices(['stop', 'skip'])
        .default('stop'),
    )
    .action(async (topic, options) => {
      const { produce } = await import('./produce/produce.ts');
      finish(await produce(topic, options, context));
    });
}

function addConsume(program: Command, context: CommandContext): void {
  client(program.command('consume').argument('<topic>').description('read records and print them'))
    .option('--from <POSITION>', 'start, end, an offset, -N (the last N) or a time (default: start)')
    .option(
      '--until <POSITION>',
      'stop before an offset or a time, or at what is now the end (default: never)',
    )
    .option('-n, --count <NUMBER>', 'stop after so many records')
    .option('-p, --partitions <LIST>', 'only these partitions, such as 0,2')
    .option('-g, --group <GROUP>', 'read as a member of this group and commit what was read')
    .addOption(
      new Option(
        '--group-protocol <PROTOCOL>',
        'who shares the partitions out: a member, or the broker (KIP-848)',
      )
        .choices(['classic', 'consumer'])
        .default('classic'),
    )
    .option(
      '-f, --format <FORMAT>',
      'how to print a record: %k %v %t %p %o %T (time) %s (epoch ms) %h (default: %v\\n)',
    )
    .addOption(
      new Option('--isolation <LEVEL>', 'records of open and aborted transactions: hidden or shown')
        .choices(['read_committed', 'read_uncommitted'])
        .default('read_committed'),
    )
    .option(
      '--rack <NAME>',
      'read from in-sync replicas in this rack where the cluster has any (default: from leaders)',
    )
    .action(async (topic, options) => {
      const { consume } = await import('./consume/consume.ts');
      await consume(topic, options, context);
    });
}

function addGroup(program: Command, context: CommandContext): void {
  const group = program
    .command('group')
    .description('list, describe, watch, reset and delete consumer groups');
  client(group.command('list').description('list groups'))
    .option('--state <STATE>', 'only groups in this state, such as Stable or Empty; can be repeated', collect)
    .option('--type <TYPE>', 'only groups of this type: classic or consumer; can be repeated', collect)
    .action(async (options) => (await import('./group/list.ts')).listGroups(options, context));
  client(group.command('describe').argument('<group...>').description('members, offsets and lag of groups'))
    .option('--members', 'what each member reads')
    .action(async (groups, options) =>
      (await import('./group/describe.ts')).describeGroups(groups, options, context),
    );
  client(
    group
      .command('lag')
      .argument('<group>')
      .description('watch how far a group is behind, and when it will have caught up'),
  )
    .option('--every <TIME>', 'how often to look', '10s')
    .option('--count <NUMBER>', 'end after so many looks (default: with Ctrl-C)')
    .action(async (name, options) => (await import('./group/lag.ts')).showLag(name, options, context));
  client(
    group
      .command('reset')
      .argument('<group>')
      .description('set where a group reads on; shows what would change unless told to --execute'),
  )
    .option('--to <POSITION>', 'start, end, current, an offset, -N (the last N), or a time: -2h, 2026-11-22')
    .option('--shift <RECORDS>', 'on from where it is, or back where negative')
    .option('--file <FILE>', 'lines of topic,partition,offset')
    .option(
      '--topic <TOPIC[:PARTITIONS]>',
      'only these, such as orders:0,2 (default: all that is committed); can be repeated',
      collect,
    )
    .option('--execute', 'do it')
    .option('--export', 'print it as lines that --file reads; nothing is changed')
    .action(async (name, options) => (await import('./group/reset.ts')).resetGroup(name, options, context));
  const load = () => import('./group/delete.ts');
  client(group.command('delete').argument('<group...>').description('delete groups without members'))
    .option('-y, --yes', 'do not ask')
    .action(async (groups, options) => (await load()).deleteGroups(groups, options, context));
  client(
    group
      .command('delete-offsets')
      .argument('<group>')
      .description('delete what a group has committed for topics'),
  )
    .requiredOption('--topic <TOPIC[:PARTITIONS]>', 'such as orders or orders:0,2; can be repeated', collect)
    .option('-y, --yes', 'do not ask')
    .action(async (name, options) => (await load()).deleteOffsets(name, options, context));
  client(group.command('remove-member').argument('<group>').description('take members out of a group'))
    .option('--instance <NAME>', 'a static member by its instance id; can be repeated', collect)
    .option('--member <ID>', 'a member by its id; can be repeated', collect)
    .option('--all', 'all members')
    .option('-y, --yes', 'do not ask')
    .action(async (name, options) => (await load()).removeMembers(name, options, context));
}

function addReplay(program: Command, context: CommandContext, finish: (code: ExitCode) => void): void {
  client(
    program
      .command('replay')
      .argument('<topic>')
      .description('read a bounded range of a topic again, into another topic or to stdout, resumable'),
  )
    .option('--to <TOPIC>', 'the topic to write to (default: JSON lines on stdout)')
    .option('--create', 'make that topic where it is missing, with the partitions and settings of the source')
    .option('--from <POSITION>', 'start, an offset, -N (the last N) or a time (default: start)')
    .option(
      '--until <POSITION>',
      'end, an offset or a time; exclusive (default: end, as it is when the replay begins)',
    )
    .option('-p, --partitions <LIST>', 'only these partitions, such as 0,2')
    .option('--out-of-order', 'with times: read on to the end for records that came late')
    .option('--filter <EXPRESSION>', "JavaScript over `message`, such as 'message.json.delay > 60'")
    .option('--module <FILE>', 'a module that exports `filter` and/or `transform`')
    .option('--rate <RECORDS>', 'at most so many records per second')
    .option('--bytes-per-second <BYTES>', 'at most so many bytes per second (k, M and G are taken)')
    .option('--speed <FACTOR>', 'original timing: 1 as it was, 10 ten times as fast')
    .addOption(
      new Option('--on-error <ACTION>', 'what a filter or transform that throws does')
        .choices(['stop', 'skip'])
        .default('stop'),
    )
    .addOption(
      new Option('--partitioning <BY>', 'which partition a record goes to').choices(['source', 'key']),
    )
    .addOption(
      new Option('-z, --compression <CODEC>', 'compression of batches')
        .choices(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
        .default('none'),
    )
    .option(
      '--rack <NAME>',
      'read from in-sync replicas in this rack where the cluster has any (default: from leaders)',
    )
    .option('--no-provenance', 'write no headers that say where a record comes from')
    .option('--id <ID>', 'name of the replay; one of the same name goes on where it stopped')
    .option('--restart', 'forget the progress of that name and begin anew')
    .option('--dry-run', 'print the plan and do nothing')
    .action(async (topic, options) => {
      const { replay } = await import('./replay/replay.ts');
      finish(await replay(topic, options, context));
    });
}

function addLog(program: Command, context: CommandContext, finish: (code: ExitCode) => void): void {
  const log = program
    .command('log')
    .description('check, print and repair logs on the disk, without a broker');
  const load = () => import('./log/log.ts');
  const paths = '<path...>';
  const what = 'data directories, directories of partitions, or single files of them';
  logOptions(
    log.command('verify').argument(paths, what).description('check every byte; changes nothing'),
  ).action(async (path, options) => finish(await (await load()).verifyLog(path, options, context)));
  logOptions(
    log
      .command('dump')
      .argument(paths, what)
      .description("print batches, indexes and states as Kafka's kafka-dump-log does"),
  )
    .option('--print-data-log', 'keys and values of records too')
    .option('--deep-iteration', 'records too, without their contents')
    .option('--offsets-decoder', 'records are those of __consumer_offsets')
    .option('--transaction-log-decoder', 'records are those of __transaction_state')
    .option('--cluster-metadata-decoder', 'records are those of __cluster_metadata')
    .option('--skip-record-metadata', 'of records, only keys and values')
    .option('--max-bytes <BYTES>', 'no more than so much of each segment')
    .action(async (path, options) => finish(await (await load()).dumpLog(path, options, context)));
  logOptions(
    log
      .command('repair')
      .argument('<path...>', 'data directories, or directories of partitions')
      .description('make good what can be made good; no broker may run there'),
  )
    .option('--accept-data-loss', 'give up what follows on damage, and let the log go on from there')
    .option('--dry-run', 'print what would be done and do nothing')
    .option('--index-interval-bytes <BYTES>', "the topic's index.interval.bytes (default: 4096)")
    .action(async (path, options) => finish(await (await load()).repairLog(path, options, context)));
}

function logOptions(command: Command): Command {
  return command
    .option('--json', 'one JSON object a line, as -o json')
    .addOption(outputOption())
    .option('-q, --quiet', 'only data and errors');
}

function addLogDirs(program: Command, context: CommandContext): void {
  client(
    program
      .command('log-dirs')
      .argument('[topic...]')
      .description('data directories of the brokers: what is free, and what topics take'),
  )
    .option('--partitions', 'each partition with its size')
    .action(async (topics, options) => {
      const { describeLogDirs } = await import('./log-dirs/log-dirs.ts');
      await describeLogDirs(topics, options, context);
    });
}

function addCluster(program: Command, context: CommandContext, finish: (code: ExitCode) => void): void {
  const cluster = program
    .command('cluster')
    .description('nodes of the cluster: how it is, and what goes where');
  client(
    cluster.command('status').description('the cluster at a glance; the exit code says whether it is well'),
  ).action(async (options) => {
    const { showStatus } = await import('./cluster/status.ts');
    finish(await showStatus(options, context));
  });
  client(
    cluster.command('nodes').description('the nodes, what they hold and who votes on the metadata'),
  ).action(async (options) => {
    const { showNodes } = await import('./cluster/status.ts');
    await showNodes(options, context);
  });
  const load = () => import('./cluster/drain.ts');
  client(
    cluster
      .command('drain')
      .argument('<node>')
      .description('move all that a node holds to others, and keep it empty'),
  )
    .option('--undo', 'let the node take replicas again')
    .option('--dry-run', 'say what would move, and whether it can')
    .option('--no-wait', 'do not wait until it is empty')
    .action(async (node, options) => finish(await (await load()).drainNode(node, options, context)));
  client(
    cluster
      .command('decommission')
      .argument('<node>')
      .description('drain a node, then take it out of the cluster for good'),
  )
    .option('-y, --yes', 'do not ask')
    .action(async (node, options) => (await load()).decommissionNode(node, options, context));
  addMoves(cluster, context, finish);
  cluster
    .command('recover')
    .description(
      'on a stopped node: go on without nodes whose data is lost for good, when they were the majority',
    )
    .requiredOption('--data-dir <DIRECTORY>', 'the data directory of this node')
    .requiredOption('--survivors <NODES>', 'all nodes that are left, such as 1,4')
    .option('--accept-data-loss', 'what only the lost nodes had is lost')
    .addOption(outputOption())
    .option('-q, --quiet', 'only data and errors')
    .action(async (options) => {
      const { recoverCluster } = await import('./cluster/recover.ts');
      await recoverCluster(options, context);
    });
}

function addMoves(cluster: Command, context: CommandContext, finish: (code: ExitCode) => void): void {
  client(
    cluster
      .command('rebalance')
      .description('give leadership back to preferred leaders, or spread replicas evenly'),
  )
    .option('--replicas', 'spread replicas and preferred leaderships evenly first, as after a node was added')
    .option('--at-once <COUNT>', 'with --replicas: partitions that are moved at one time', '10')
    .option('--dry-run', 'print what would be done and do nothing')
    .option('-y, --yes', 'do not ask')
    .action(async (options) => {
      const { rebalance } = await import('./cluster/rebalance.ts');
      finish(await rebalance(options, context));
    });
  client(
    cluster
      .command('reassign')
      .argument('[topic...]', 'NAME for all of its partitions, or NAME:0-2,5')
      .description('put partitions on other nodes'),
  )
    .option('--to <NODES>', 'the nodes that are to hold them, such as 1,2,3; what lies there stays')
    .option(
      '-r, --replication-factor <COUNT>',
      'with --to: replicas of each partition (default: as many as it has)',
    )
    .option('--file <FILE>', 'as kafka-reassign-partitions takes it: JSON with topic, partition and replicas')
    .option('--list', 'show what is under way')
    .option('--cancel', 'take back what is under way')
    .option('--dry-run', 'print what would be done and do nothing')
    .option('--no-wait', 'do not wait until it is done')
    .option('-y, --yes', 'do not ask')
    .action(async (topics, options) => {
      const { reassign } = await import('./cluster/reassign.ts');
      finish(await reassign(topics, options, context));
    });
  client(
    cluster
      .command('move')
      .argument('[topic...]', 'NAME for all of its partitions, or NAME:0-2,5')
      .description('move replicas from one data directory of their node to another'),
  )
    .option('--node <NODE>', 'the node whose replicas move')
    .option('--to <DIRECTORIES>', 'where they go, as log-dirs names it; of several, where least lies')
    .option('--from <DIRECTORY>', 'with --to: only what lies there, and all of it where no topics are named')
    .option('--list', 'show what is under way')
    .option('--cancel', 'take back what is under way')
    .option('--dry-run', 'print what would be done and do nothing')
    .option('--no-wait', 'do not wait until it is done')
    .option('-y, --yes', 'do not ask')
    .action(async (topics, options) => {
      const { moveReplicas } = await import('./cluster/move.ts');
      finish(await moveReplicas(topics, options, context));
    });
}

/** The options of every command that talks to a broker. */
function client(command: Command): Command {
  return command
    .addOption(
      new Option('-b, --brokers <LIST>', 'addresses of brokers, HOST:PORT separated by commas')
        .env('KAPPALOG_BROKERS')
        .default('127.0.0.1:9092'),
    )
    .option('--timeout <TIME>', 'how long to wait for the broker', '10s')
    .addOption(outputOption())
    .option('-q, --quiet', 'only data and errors');
}

function outputOption(): Option {
  return new Option('-o, --output <FORMAT>', 'for people or for machines')
    .choices(['table', 'json'])
    .default('table');
}

function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/** Of the package: beside the sources, or above dist/. */
function packageVersion(): string {
  for (const candidate of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(candidate, import.meta.url), 'utf8'));
      if (name === 'kappalog') return version;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  return 'unknown';
}
