#!/usr/bin/env node
// The command's first step, in syntax that old versions of Node can parse: it checks the version, finds the code
// (the sources in a checkout, else the compiled dist/) and hands over. On a Node that is too old it runs itself again
// with the repository's own Node where there is one (the npm package `node`, a development dependency).
// It may import nothing statically: an import that an old Node lacks would hide the sentence about the version.

var OLDEST_MAJOR = 24;
var LAUNCHED = 'KAPPALOG_LAUNCHED_BY';
var major = Number(process.versions.node.split('.')[0]);

if (major >= OLDEST_MAJOR) {
  start();
} else {
  void import('node:fs').then(function (fs) {
    var own = ownNode(fs);
    if (own === undefined || process.env[LAUNCHED] !== undefined) {
      process.stderr.write(
        'kappalog needs Node ' +
          OLDEST_MAJOR +
          ' or newer and this is Node ' +
          process.versions.node +
          ': install a current Node from https://nodejs.org/, or run `npm install` in a checkout, which brings its own.\n',
      );
      process.exitCode = 1;
      return;
    }
    void import('node:child_process').then(function (processes) {
      launch(processes, own);
    });
  });
}

/** Runs the command in this process. */
function start() {
  endWithLauncher();
  void Promise.all([import('node:module'), import('node:fs')]).then(function (modules) {
    // Compiled code is kept between runs; where the cache cannot be written, Node goes on without it.
    modules[0].enableCompileCache();
    // Syncs and reads of many logs run side by side on libuv's threads; the pool takes its size at its first use.
    if (process.env.UV_THREADPOOL_SIZE === undefined) process.env.UV_THREADPOOL_SIZE = '16';
    var sources = new URL('../cli/main.ts', import.meta.url);
    var main = modules[1].existsSync(sources) ? sources : new URL('../dist/cli/main.js', import.meta.url);
    return import(main.href).then(function (cli) {
      return cli.main(process.argv.slice(2));
    });
  });
}

/** The path of the repository's own Node, where it is installed. */
function ownNode(fs) {
  var candidates = ['../node_modules/node/bin/node', '../node_modules/node/bin/node.exe'];
  for (var i = 0; i < candidates.length; i++) {
    var file = new URL(candidates[i], import.meta.url);
    if (fs.existsSync(file)) return decodeURIComponent(file.pathname);
  }
  return undefined;
}

/** Runs the same command under another Node, passing signals on and ending as it ends. */
function launch(processes, node) {
  var environment = Object.assign({}, process.env);
  environment[LAUNCHED] = String(process.pid);
  var child = processes.spawn(node, process.argv.slice(1), {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: environment,
  });
  var passOn = ['SIGTERM', 'SIGHUP'];
  passOn.forEach(function (signal) {
    process.on(signal, function () {
      child.kill(signal);
    });
  });
  // A terminal sends SIGINT to both; from elsewhere it reaches only this process, which then passes it on (a second
  // one asks the child to end at once, so a terminal's must not be doubled).
  process.on('SIGINT', function () {
    if (!process.stdin.isTTY) child.kill('SIGINT');
  });
  child.on('error', function (error) {
    process.stderr.write('kappalog could not start ' + node + ': ' + error.message + '\n');
    process.exitCode = 1;
  });
  child.on('exit', function (code, signal) {
    if (signal === null) {
      process.exit(code);
      return;
    }
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** A process that was launched by another Node (see `launch`) stops when that one is gone, however it went. */
function endWithLauncher() {
  if (process.env[LAUNCHED] === undefined) return;
  delete process.env[LAUNCHED];
  if (process.channel === undefined) return;
  process.on('disconnect', function () {
    process.kill(process.pid, 'SIGTERM');
  });
  process.channel.unref();
}
