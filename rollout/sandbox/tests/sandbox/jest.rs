//! What real jest says about JavaScript, told through events.

use std::collections::BTreeMap;
use std::path::Path;

use sandbox::environment::jest::JestEnv;
use sandbox::{End, Job, Runner, Sandbox, Select, TestRun, TestStatus};

use crate::support::*;

/// Runs test files in JavaScript; none where jest or Python is missing.
fn jest_run(files: &[(&str, &str)], change: impl FnOnce(&mut Job)) -> Option<TestRun> {
    jest()?;
    let sandbox = sandbox()?;
    let tree = Tree::new(files);
    let mut job = Job {
        runner: Runner::Jest,
        ..tree.job()
    };
    job.limits.timeout_s = 120;
    change(&mut job);
    Some(sandbox.run(&job).expect("the sandbox does its part"))
}

fn statuses(run: &TestRun) -> BTreeMap<&str, TestStatus> {
    run.tests
        .iter()
        .map(|(id, status)| (id.as_str(), *status))
        .collect()
}

const AWKWARD: &str = r#"
const { add } = require('./money');
test('passes', () => { expect(add(1, 2)).toBe(3); });
test('fails', () => { console.log('adding'); console.error('careful'); expect(add(2, 2)).toBe(5); });
test.skip('skipped', () => {});
test.todo('later');
test.each([[1, 'a b'], [2, '[x]'], [3, 'ü → é']])('each %i: %s', number => { expect(number).toBeLessThan(3); });
describe('one', () => { test('same', () => {}); });
describe('two', () => { describe('in', () => { test('same', () => { expect([1]).toEqual([2]); }); }); });
describe('twins', () => {
  test('twin', () => { throw new Error('first'); });
  test('twin', () => {});
});
describe('set-up', () => {
  beforeAll(() => { throw new Error('no set-up'); });
  test('never runs', () => {});
});
test.failing('fails as it should', () => { throw new Error('known'); });
test('too slow', async () => { await new Promise(() => {}); }, 50);
test('throws text', () => { throw 'just text'; });
test('throws nothing', () => { throw undefined; });
test('calls done', done => { setImmediate(done); });
"#;

#[test]
fn awkward_outcomes_are_told_by_their_full_names() {
    use TestStatus::{Failed, Passed, Skipped};
    let money = "exports.add = (a, b) => a + b;\n";
    let Some(run) = jest_run(
        &[("src/it.test.js", AWKWARD), ("src/money.js", money)],
        |_| {},
    ) else {
        return;
    };
    let wanted = [
        ("passes", Passed),
        ("fails", Failed),
        ("skipped", Skipped),
        ("later", Skipped),
        ("each 1: a b", Passed),
        ("each 2: [x]", Passed),
        ("each 3: ü → é", Failed),
        ("one > same", Passed),
        ("two > in > same", Failed),
        ("twins > twin", Failed),
        ("set-up > never runs", Failed),
        ("fails as it should", Passed),
        ("too slow", Failed),
        ("throws text", Failed),
        ("throws nothing", Failed),
        ("calls done", Passed),
    ];
    let wanted: BTreeMap<String, TestStatus> = wanted
        .map(|(name, status)| (format!("src/it.test.js::{name}"), status))
        .into();
    let seen: BTreeMap<String, TestStatus> = run.tests.clone();
    assert_eq!(seen, wanted, "{}", run.output);
    assert_eq!(run.end, End::Finished { exit: 1 }, "{run:#?}");
    let failure = run.first_failure.expect("a failure");
    assert_eq!(failure.test, "src/it.test.js::fails");
    assert_eq!(failure.exception, "AssertionError");
    assert_eq!(
        failure.message,
        "expect(received).toBe(expected) // Object.is equality; Expected: 5; Received: 4"
    );
    assert_eq!(
        (failure.stdout.as_str(), failure.stderr.as_str()),
        ("adding\n", "careful\n")
    );
    let frame = failure.frames.last().expect("a frame");
    assert_eq!((frame.file.as_str(), frame.line), ("src/it.test.js", 4));
    assert!(frame.source.contains("toBe(5)"), "{frame:?}");
    assert!(failure.trace.contains("src/it.test.js:4"), "{failure:?}");
}

#[test]
fn a_file_that_cannot_be_loaded_or_cleaned_up_is_a_failed_file() {
    let files = [
        ("broken.test.js", "test('a', () => {\n"),
        (
            "late.test.js",
            "afterAll(() => { throw new Error('late'); });\ntest('a', () => {});\n",
        ),
        (
            "missing.test.js",
            "require('./nowhere');\ntest('a', () => {});\n",
        ),
        ("empty.test.js", "module.exports = 1;\n"),
    ];
    let Some(run) = jest_run(&files, |_| {}) else {
        return;
    };
    let wanted = [
        ("broken.test.js", TestStatus::Failed),
        ("empty.test.js", TestStatus::Failed),
        ("late.test.js", TestStatus::Failed),
        ("late.test.js::a", TestStatus::Passed),
        ("missing.test.js", TestStatus::Failed),
    ];
    assert_eq!(statuses(&run), wanted.into(), "{}", run.output);
    assert_eq!(run.end, End::Finished { exit: 1 });
    assert_eq!(
        run.first_failure.expect("a failure").exception,
        "SyntaxError"
    );
}

#[test]
fn only_what_is_asked_for_runs_and_the_first_failure_ends_it() {
    let text = "beforeEach(() => { console.log('each'); });\n\
        test('a', () => {});\ntest('b', () => { throw new Error('b'); });\ntest('c', () => {});\n";
    let ids = |names: &[&str]| {
        Select::Ids(
            names
                .iter()
                .map(|name| format!("x.test.js::{name}"))
                .collect(),
        )
    };
    let chosen = jest_run(&[("x.test.js", text), ("y.test.js", text)], |job| {
        job.select = ids(&["a", "c", "gone"])
    });
    let Some(chosen) = chosen else { return };
    let seen = [
        ("x.test.js::a", TestStatus::Passed),
        ("x.test.js::c", TestStatus::Passed),
    ];
    assert_eq!(statuses(&chosen), seen.into(), "{}", chosen.output);
    assert_eq!(chosen.end, End::Finished { exit: 0 }, "{}", chosen.output);
    assert_eq!(
        chosen.output.matches("each").count(),
        2,
        "hooks run around these tests only"
    );
    let stopped = jest_run(&[("x.test.js", text)], |job| {
        job.stop_at_first_failure = true
    })
    .expect("runs");
    assert_eq!(stopped.tests.len(), 2, "{stopped:#?}");
    assert_eq!(stopped.end, End::Finished { exit: 1 });
}

#[test]
fn modules_types_and_hoisted_mocks_are_understood() {
    let files = [
        (
            "package.json",
            r#"{"type": "module", "jest": {"testEnvironment": "./evil.js", "clearMocks": true}}"#,
        ),
        ("evil.js", "throw new Error('loaded');"),
        (
            "money.js",
            "export const rate = () => 2;\nexport default (a) => a * rate();\n",
        ),
        (
            "typed.ts",
            "export const half = (value: number): number => value / 2;\n",
        ),
        (
            "it.test.js",
            "import price, { rate } from './money.js';\nimport { half } from './typed';\n\
             jest.mock('./money.js');\n\
             test('mocked', () => { rate.mockReturnValue(7); expect(rate()).toBe(7); expect(half(4)).toBe(2); });\n",
        ),
    ];
    let Some(run) = jest_run(&files, |_| {}) else {
        return;
    };
    assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    assert_eq!(run.tests["it.test.js::mocked"], TestStatus::Passed);
}

#[test]
fn node_is_held_to_its_memory_and_its_time() {
    let hungry = "test('eats', () => { const all = []; for (;;) all.push(new Array(1e5).fill(all.length)); });\n";
    let Some(run) = jest_run(&[("x.test.js", hungry)], |job| job.limits.memory_mib = 512) else {
        return;
    };
    assert_eq!(run.end, End::OutOfMemory, "{run:#?}");
    let slow = jest_run(
        &[("x.test.js", "test('hangs', () => { for (;;); });\n")],
        |job| job.limits.timeout_s = 3,
    );
    assert_eq!(slow.expect("runs").end, End::TimedOut);
}

#[test]
fn a_jest_that_does_not_start_is_our_fault() {
    let (Some(python), Some(_)) = (python(), sandbox()) else {
        return;
    };
    let tree = Tree::new(&[
        (
            "jest/@jest/core/package.json",
            r#"{"version": "29.0.0", "main": "gone.js"}"#,
        ),
        ("x.test.js", "test('a', () => {});\n"),
    ]);
    let Ok(jest) = JestEnv::existing(Path::new("/usr/bin/node"), &tree.0.join("jest")) else {
        return eprintln!("SKIPPED, a broken jest was not tested: there is no `/usr/bin/node`");
    };
    let broken = with_jest(python, Some(jest));
    let job = Job {
        runner: Runner::Jest,
        ..tree.job()
    };
    assert!(
        broken
            .run(&job)
            .expect_err("does not start")
            .to_string()
            .contains("before it had loaded jest")
    );
    let none = with_jest(python, None);
    assert!(
        none.run(&job)
            .expect_err("there is none")
            .to_string()
            .contains("jest")
    );
}

#[test]
fn the_tree_is_read_only_for_its_tests_and_the_runner_is_out_of_reach() {
    let text = r#"
const fs = require('fs');
const parent = pid => Number(/\) . (\d+)/.exec(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))[1]);
const above = [];
for (let pid = process.ppid; pid > 0; pid = parent(pid)) above.push(pid);
test('tree', () => { expect(() => fs.writeFileSync('/repo/new.js', '')).toThrow(/EROFS|EACCES/); });
test('channel', () => {
  const channels = above.flatMap(pid => [1, 2].map(number => `/proc/${pid}/fd/${number}`));
  for (const channel of [...channels, `/proc/${process.ppid}/fd/3`]) {
    for (const flags of ['r', 'w', 'a']) expect(() => fs.openSync(channel, flags)).toThrow(/EACCES|EPERM/);
  }
});
test('memory', () => {
  expect(above).toContain(1);
  for (const pid of above) expect(() => fs.openSync(`/proc/${pid}/mem`, 'r')).toThrow(/EACCES|EPERM/);
});
test('modules', () => {
  expect(() => require('inspector')).toThrow(/cannot be loaded/);
  expect(require('module')._load).toBeUndefined();
  const outer = Buffer.constructor('return process')();
  for (const way of ['binding', 'mainModule', 'getBuiltinModule', 'dlopen']) expect(outer[way]).toBeUndefined();
});
test('honest objects have functions of their own', () => {
  'use strict';
  class Money { constructor() { this.toString = () => 'money'; } }
  const call = () => 1;
  call.bind = 3;
  const list = new Map();
  list.get = () => 4;
  expect([`${new Money()}`, call.bind, list.get(), new Error('x').toString()]).toEqual(['money', 3, 4, 'Error: x']);
});
"#;
    let Some(run) = jest_run(&[("x.test.js", text)], |_| {}) else {
        return;
    };
    assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    assert_eq!(run.tests.len(), 5);
}

#[test]
fn our_own_files_are_read_and_never_written() {
    let text = r#"
const fs = require('fs');
const names = fs.readdirSync('/run/train').filter(name => name.endsWith('.js'));
const texts = () => names.map(name => fs.readFileSync(`/run/train/${name}`, 'utf8'));
const before = texts();
const CLOSED = /EROFS|EACCES|EPERM|EXDEV/;
const attempt = call => { try { call(); } catch {} };
test('whoever owns them', () => {
  expect(names).toContain('jest_main.js');
  fs.writeFileSync('/tmp/own.js', 'throw 1;');
  attempt(() => fs.chmodSync('/run/train', 0o777));
  expect(() => fs.writeFileSync('/run/train/new.js', '')).toThrow(CLOSED);
  expect(() => fs.mkdirSync('/run/train/new')).toThrow(CLOSED);
  expect(() => fs.symlinkSync('/tmp', '/run/train/link')).toThrow(CLOSED);
  expect(() => fs.renameSync('/run/train', '/run/other')).toThrow(/EBUSY|EROFS|EACCES|EPERM/);
  for (const file of names.map(name => `/run/train/${name}`)) {
    attempt(() => fs.chmodSync(file, 0o777));
    for (const flags of ['w', 'a', 'r+']) expect(() => fs.openSync(file, flags)).toThrow(CLOSED);
    expect(() => fs.truncateSync(file, 0)).toThrow(CLOSED);
    expect(() => fs.unlinkSync(file)).toThrow(CLOSED);
    expect(() => fs.renameSync(file, file + '.old')).toThrow(CLOSED);
    expect(() => fs.renameSync('/tmp/own.js', file)).toThrow(CLOSED);
    expect(() => fs.linkSync(file, '/tmp/linked.js')).toThrow(CLOSED);
  }
  expect(texts()).toEqual(before);
});
test('nor whoever it starts', () => {
  require('child_process').spawnSync('/bin/sh', ['-c', 'chmod -R 777 /run/train; rm -rf /run/train; echo > /run/train/jest_main.js']);
  expect(texts()).toEqual(before);
});
"#;
    let Some(run) = jest_run(&[("x.test.js", text)], |_| {}) else {
        return;
    };
    assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    assert_eq!(run.tests.len(), 2);
}

#[test]
fn runs_that_are_compared_tell_values_in_full_and_hide_that_tests_run() {
    let tests = "const { f, seen } = require('./f');\n\
        test('value', () => { expect(f(2)).toEqual({ a: [3, 'x'] }); });\n\
        test('thrown', () => { f(0); });\n\
        test('seen', () => { expect(seen).toBe('undefined undefined'); expect(jest.fn()).not.toHaveBeenCalled(); });\n";
    let code = "exports.seen = `${typeof jest} ${process.env.JEST_WORKER_ID}`;\n\
        exports.f = n => { if (!n) throw new TypeError('no number'); return { a: [n, 'x'] }; };\n";
    let whole = |job: &mut Job| {
        job.compared = true;
        job.select = Select::Ids(vec!["f.test.js".to_string()]);
    };
    let Some(run) = jest_run(&[("f.test.js", tests), ("f.js", code)], whole) else {
        return;
    };
    assert_eq!(statuses(&run).len(), 3, "{run:#?}");
    assert_eq!(run.tests["f.test.js::seen"], TestStatus::Passed, "{run:#?}");
    let why = &run.whys["f.test.js::value"];
    assert!(
        why.starts_with("AssertionError: expect(received)") && why.contains("\n-     3,\n+     2,"),
        "{why}"
    );
    assert_eq!(run.whys["f.test.js::thrown"], "TypeError: no number");
}
