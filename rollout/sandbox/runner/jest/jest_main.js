// Runs jest over a tree and writes what happened to the channel.
//
// In: the job (see `jest_channel.js`). Out: records, the last of them `done`. Jest is given a configuration of our own:
// none of the tree is read but a few harmless keys. What leads out of jest's contexts is closed before it starts.
'use strict';

// Debian's jest asks Debian's Node.js where modules are; another Node.js does not know.
if (process.config.variables.node_relative_path === undefined) {
  const variables = { ...process.config.variables, node_prefix: '/usr', node_relative_path: 'share/nodejs' };
  Object.defineProperty(process, 'config', { value: { ...process.config, variables } });
}

const fs = require('fs');
const path = require('path');
const vm = require('vm');
const v8 = require('v8');
const { job, send } = require('./jest_channel.js').take();

const ROOT = '/repo';
const { readFileSync } = fs;
const { reallyExit } = process;
const { apply } = Reflect;
const exit = code => apply(reallyExit, process, [code]);

// Loaded now, so that each has taken its share of the channel.
const ours = ['environment', 'reporter', 'runtime'].map(name => path.join(__dirname, `jest_${name}.js`));
ours.forEach(file => require(file));
const { runCLI } = require('@jest/core');
const runner = require.resolve('jest-circus/runner');

/** Keys of the tree's own configuration that change what its tests see, and name no code. */
const HARMLESS = ['moduleNameMapper', 'moduleFileExtensions', 'moduleDirectories', 'modulePaths', 'fakeTimers',
  'globals', 'clearMocks', 'resetMocks', 'restoreMocks', 'resetModules', 'testMatch', 'testPathIgnorePatterns',
  'testTimeout'];

/** What jest takes for tests where nobody says otherwise. */
const TESTS = ['**/__tests__/**/*.[jt]s?(x)', '**/?(*.)+(spec|test).[jt]s?(x)'];

function harmless() {
  let given = {};
  try {
    given = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')).jest || {};
  } catch {
    // No `package.json`, or none that can be read: then it says nothing.
  }
  return Object.fromEntries(HARMLESS.filter(key => key in given).map(key => [key, given[key]]));
}

function configuration() {
  const own = name => path.join(__dirname, `jest_${name}.js`);
  const given = harmless();
  return {
    moduleDirectories: ['node_modules'],
    ...given,
    testTimeout: Math.min(given.testTimeout || 5000, job.timeout_ms),
    testMatch: [...(given.testMatch || TESTS), job.outside],
    rootDir: ROOT,
    roots: [ROOT, path.dirname(job.outside)],
    cacheDirectory: '/tmp/jest',
    haste: {},
    transform: { [`^${ROOT}/.*\\.(m|c)?(j|t)sx?$`]: own('transform') },
    testEnvironment: own('environment'),
    testRunner: runner,
    runtime: own('runtime'),
    testSequencer: own('sequencer'),
    reporters: [[own('reporter'), {}]],
  };
}

/** Closes what leads from a test to the modules of whoever runs it. */
function close() {
  for (const name of ['binding', '_linkedBinding', 'dlopen', 'getBuiltinModule', 'mainModule']) {
    delete process[name];
  }
  for (const name of ['writeHeapSnapshot', 'getHeapSnapshot', 'setFlagsFromString', 'startupSnapshot']) {
    delete v8[name];
  }
  delete process.env.NODE_PATH;
  const source = readFileSync(path.join(__dirname, 'jest_guard.js'), 'utf8');
  vm.runInThisContext(source).lock(globalThis);
}

async function main() {
  const argv = {
    $0: 'jest', _: job.files || [], runTestsByPath: job.files !== null, config: JSON.stringify(configuration()),
    runInBand: true, ci: true, cache: false, watchman: false, passWithNoTests: true,
  };
  close();
  // Nothing of the tree is loaded before this.
  send('ready', {});
  const { results } = await runCLI(argv, [ROOT]);
  const { numPassedTests: passed, numFailedTests: failed, numPendingTests: pending, numTodoTests: todo } = results;
  send('done', { passed, failed, skipped: pending + todo, files: results.numTotalTestSuites });
  exit(0);
}

main().catch(error => {
  send('broken', { reason: String(error && error.stack) });
  exit(1);
});
