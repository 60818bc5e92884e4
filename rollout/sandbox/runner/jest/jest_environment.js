// Where the tests of one file run: jest's environment for Node.js, guarded, and told event by event.
//
// In: jest's own events. Out: `test`, `canary` and `failure` records, as things happen. What a test did is read from
// the events alone: what the test's context remembers of itself can be changed by the code under test.
'use strict';

const fs = require('fs');
const path = require('path');
const vm = require('vm');
const { TestEnvironment } = require('jest-environment-node');

const { job, send } = require('./jest_channel.js').take();
const { failureOf, whyOf } = require('./jest_failure.js');
const Output = require('./jest_output.js');

const GUARD = new vm.Script(fs.readFileSync(path.join(__dirname, 'jest_guard.js'), 'utf8'), { filename: 'guard' });
const ROOT = 'ROOT_DESCRIBE_BLOCK';
/** The names that judge, by file; none where all do. An empty one stands for all of its file. */
const WANTED = job.ids && new Map(Object.entries(job.ids).map(([file, names]) => [file, new Set(names)]));
const CANARIES = new Set(job.canaries);

/** `describe > inner > name`. */
function nameOf(test) {
  const parts = [];
  for (let part = test; part && part.name !== ROOT; part = part.parent) parts.unshift(String(part.name));
  return parts.join(' > ');
}

function* testsOf(block) {
  for (const child of block.children) {
    if (child.type === 'describeBlock') yield* testsOf(child);
    else yield child;
  }
}

function* blocksOf(block) {
  yield block;
  for (const child of block.children) if (child.type === 'describeBlock') yield* blocksOf(child);
}

function keep(object, keys) {
  const constant = value => ({ value, writable: false, configurable: false });
  for (const key of keys) Object.defineProperty(object, key, constant(object[key]));
}

module.exports = class GuardedEnvironment extends TestEnvironment {
  #file;
  #guard;
  #output = new Output();
  #functions = new Map();
  #hooks = [];
  #names = new Map();
  #failed = new Map();
  #own = 0;

  constructor(config, context) {
    super(config, context);
    this.#file = context.testPath;
  }

  async setup() {
    await super.setup();
    this.global.console = this.#output.console;
    this.#guard = GUARD.runInContext(this.getVmContext());
    this.#guard.lock(this.global);
    if (job.compared) this.#lookLikeAProgram();
  }

  get compared() {
    return job.compared;
  }

  /** Code that does its work only where it sees that tests run shows itself: it differs from the gold patch here. */
  #lookLikeAProgram() {
    const { process } = this.global;
    for (const name of ['JEST_WORKER_ID', 'NODE_ENV', 'CI']) delete process.env[name];
    process.argv = [process.argv[0], '/repo/app.js'];
    process.title = 'node';
  }

  handleTestEvent(event, state) {
    switch (event.name) {
      case 'setup': return this.#prepare(event.runtimeGlobals);
      case 'add_test': return this.#remember(state);
      case 'add_hook': return this.#rememberHook(state);
      case 'run_start': return this.#choose(state);
      case 'test_start': return this.#output.clear();
      case 'test_fn_start': return this.#compare(event.test);
      case 'test_fn_failure': return this.#fail(event.test, event.error);
      case 'hook_failure': return event.test ? this.#fail(event.test, event.error) : this.#failHook(event);
      case 'error': return this.#fail(state.currentlyRunningTest, event.error);
      case 'test_skip': return this.#tell(event.test, 'skipped');
      case 'test_todo': return this.#tell(event.test, 'skipped');
      case 'test_done': return this.#finish(event.test);
      case 'run_finish': return this.#end(state);
      default: return undefined;
    }
  }

  /** Before any code under test: the words of a test file are closed, and two tests that must fail are laid aside. */
  #prepare(words) {
    this.#guard.guard(words);
    job.canaries.forEach((name, late) => words.test(name, this.#guard.canary(job.number + late, job.text, late === 1)));
  }

  /** Circus has just made a test of the event: what it is does not change any more. */
  #remember(state) {
    const test = state.currentDescribeBlock.children.at(-1);
    if (!test || test.type !== 'test' || this.#functions.has(test)) return;
    this.#functions.set(test, test.fn);
    const moved = CANARIES.has(test.name) ? [] : ['parent'];
    keep(test, ['failing', 'name', 'timeout', 'type', ...moved, ...(test.concurrent ? [] : ['fn'])]);
  }

  #rememberHook(state) {
    const block = state.currentDescribeBlock;
    const hook = block.hooks.at(-1);
    if (!hook) return;
    keep(hook, ['fn', 'type']);
    this.#hooks.push([block, hook]);
  }

  /** Tests that were not asked for are left out; the ones that must fail go to both ends, out of reach of hooks. */
  #choose(state) {
    const root = state.rootDescribeBlock;
    const canaries = [...testsOf(root)].filter(test => CANARIES.has(test.name)).slice(0, CANARIES.size);
    const rest = root.children.filter(child => !canaries.includes(child));
    const wanted = WANTED && WANTED.get(this.#file);
    for (const test of testsOf({ children: rest })) {
      const name = nameOf(test);
      this.#own += 1;
      if (!this.#functions.has(test)) this.#fail(test, new Error('no test file has defined this test'));
      if (wanted && !wanted.has('') && !wanted.has(name)) test.mode = 'skip';
      else this.#names.set(test, name);
    }
    for (const test of canaries) {
      test.mode = 'only';
      test.parent = { type: 'describeBlock', name: ROOT, hooks: [], children: [], tests: [], mode: undefined };
    }
    const [first, ...last] = canaries;
    root.children = [first, ...rest, ...last].filter(Boolean);
    const lost = this.#hooks.some(([block, hook]) => !block.hooks.includes(hook));
    if (lost) for (const test of testsOf(root)) this.#fail(test, new Error('a hook of this file was taken away'));
    for (const block of blocksOf(root)) {
      keep(block, ['hooks', 'children']);
      Object.freeze(block.hooks);
      Object.freeze(block.children);
    }
  }

  /** A test with another function than it had is not that test. */
  #compare(test) {
    if (!test.concurrent && test.fn !== this.#functions.get(test)) {
      this.#fail(test, new Error('the function of this test was exchanged'));
    }
  }

  /** A test that failed once has failed: one that is tried again until it passes says nothing. */
  #fail(test, error) {
    if (test && !this.#failed.has(test)) this.#failed.set(test, error);
  }

  #failHook({ describeBlock, error, hook }) {
    // What fails before all tests of a block fails each of them; what fails after them fails the file.
    if (hook.type === 'beforeAll') for (const test of testsOf(describeBlock)) this.#fail(test, error);
  }

  #finish(test) {
    if (!this.#failed.has(test) && test.errors.length > 0) this.#fail(test, test.errors[0]);
    this.#tell(test, this.#failed.has(test) ? 'failed' : 'passed');
  }

  #tell(test, status) {
    if (CANARIES.has(test.name) && !this.#names.has(test)) {
      send('canary', { file: this.#file, name: test.name, status });
      return;
    }
    const name = this.#names.get(test);
    if (name === undefined) return;
    if (status !== 'failed') return void send('test', { file: this.#file, name, status });
    const error = this.#failed.get(test);
    this.#tellFailure(name, error);
    send('test', { file: this.#file, name, status, why: whyOf(error, job.compared) });
  }

  #end(state) {
    const [error] = state.unhandledErrors;
    const empty = this.#own === 0 && new Error('Your test suite must contain at least one test.');
    if (!error && !empty) return;
    this.#tellFailure(null, error || empty);
    send('test', { file: this.#file, name: null, status: 'failed' });
  }

  #tellFailure(name, error) {
    send('failure', { file: this.#file, name, ...failureOf(error, this.#output.stdout, this.#output.stderr) });
  }
};
