//! What awkward tests did, told as it was: names that break text, phases that fail apart, sessions that end early.

use sandbox::{End, Sandbox as _, TestStatus};

use super::support::*;

/// Runs a file and compares every test with a line of `wanted`: `passed test_a`, `failed`, `skipped`.
fn check(text: &str, wanted: &[&str]) {
    checked(text, wanted, |end| matches!(end, End::Finished { .. }));
}

fn checked(text: &str, wanted: &[&str], ended: impl Fn(&End) -> bool) {
    let Some(run) = run(text) else { return };
    let word = |status: &TestStatus| match status {
        TestStatus::Passed => "passed",
        TestStatus::Failed => "failed",
        TestStatus::Skipped => "skipped",
        TestStatus::XFailed => "xfailed",
        TestStatus::XPassed => "xpassed",
    };
    let told = |(id, status): (&String, &TestStatus)| {
        format!(
            "{} {}",
            word(status),
            id.strip_prefix("test_it.py::").unwrap_or(id)
        )
    };
    let mut seen: Vec<String> = run.tests.iter().map(told).collect();
    let mut wanted: Vec<String> = wanted.iter().map(|line| line.to_string()).collect();
    seen.sort();
    wanted.sort();
    assert_eq!(seen, wanted, "{text}\n{run:#?}");
    assert!(ended(&run.end), "{text}\n{run:#?}");
}

#[test]
fn names_that_break_lines_of_text_are_whole() {
    check(
        r#"
import pytest
@pytest.mark.parametrize("text", ["a b", "[x]", "a - b", "a::b", "1 passed", "new\nline", "tab\t", "é", "\x00", "", "/", "]"])
def test_named(text): pass
@pytest.mark.parametrize("left, right", [(1, 2), (2, 2)], ids=["one - FAILED", "two"])
def test_pairs(left, right): assert left == right
@pytest.mark.parametrize("same", [1, 1], ids=["x", "x"])
def test_same(same): pass
class TestGroup:
    class TestInner:
        def test_deep(self): pass
def test_prüfung(): pass
def test_twice(): assert False
def test_twice(): pass
"#,
        &[
            "passed test_named[a b]",
            "passed test_named[[x]]",
            "passed test_named[a - b]",
            "passed test_named[a::b]",
            "passed test_named[1 passed]",
            "passed test_named[new\\nline]",
            "passed test_named[tab\\t]",
            "passed test_named[\\xe9]",
            "passed test_named[\\x00]",
            "passed test_named[]",
            "passed test_named[/]",
            "passed test_named[]]",
            "failed test_pairs[one - FAILED]",
            "passed test_pairs[two]",
            "passed test_same[x0]",
            "passed test_same[x1]",
            "passed TestGroup::TestInner::test_deep",
            "passed test_prüfung",
            "passed test_twice",
        ],
    );
}

#[test]
fn a_test_that_is_expected_to_fail_never_counts_as_passed() {
    check(
        r#"
import pytest
@pytest.mark.xfail
def test_fails(): assert 0
@pytest.mark.xfail
def test_passes(): pass
@pytest.mark.xfail(strict=True)
def test_passes_strictly(): pass
@pytest.mark.xfail(raises=KeyError)
def test_fails_otherwise(): assert 0
@pytest.mark.xfail(run=False)
def test_does_not_run(): pass
def test_says_so_itself(): pytest.xfail("later")
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.skipif(True, reason="never")
def test_skipped_if(): pass
def test_skips_itself(): pytest.skip("not here")
@pytest.mark.parametrize("x", [])
def test_of_nothing(x): pass
@pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.skip)])
def test_half(x): pass
"#,
        &[
            "xfailed test_fails",
            "xpassed test_passes",
            "failed test_passes_strictly",
            "failed test_fails_otherwise",
            "xfailed test_does_not_run",
            "xfailed test_says_so_itself",
            "skipped test_skipped",
            "skipped test_skipped_if",
            "skipped test_skips_itself",
            "skipped test_of_nothing[NOTSET]",
            "passed test_half[1]",
            "skipped test_half[2]",
        ],
    );
}

#[test]
fn a_failure_of_any_phase_is_a_failure() {
    check(
        r#"
import pytest
@pytest.fixture
def early(): raise ValueError
@pytest.fixture
def late():
    yield
    raise ValueError
@pytest.fixture
def skips(): pytest.skip("no")
@pytest.fixture(scope="class")
def broken(): raise OSError
def test_set_up(early): pass
def test_tear_down(late): pass
def test_both(late): assert 0
def test_skipping_fixture(skips): pass
def test_unknown_fixture(nowhere): pass
class TestGroup:
    def test_one(self, broken): pass
    def test_two(self, broken): pass
class TestMethod:
    def setup_method(self): raise ValueError
    def test_it(self): pass
class TestTearDown:
    def teardown_method(self): raise ValueError
    def test_it(self): pass
"#,
        &[
            "failed test_set_up",
            "failed test_tear_down",
            "failed test_both",
            "skipped test_skipping_fixture",
            "failed test_unknown_fixture",
            "failed TestGroup::test_one",
            "failed TestGroup::test_two",
            "failed TestMethod::test_it",
            "failed TestTearDown::test_it",
        ],
    );
}

#[test]
fn unittest_is_told_like_the_rest() {
    check(
        r#"
import unittest
class TestThings(unittest.TestCase):
    def test_passes(self): self.assertEqual([1], [1])
    def test_fails(self): self.assertEqual([1], [2])
    def test_skips(self): self.skipTest("no")
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    @unittest.expectedFailure
    def test_unexpected(self): pass
    def test_parts_fail(self):
        for x in range(3):
            with self.subTest(x=x): self.assertNotEqual(x, 1)
    def test_parts_pass(self):
        for x in range(3):
            with self.subTest(x=x): self.assertLess(x, 3)
    def test_cleanup(self): self.addCleanup(lambda: 1 / 0)
class TestBroken(unittest.TestCase):
    def setUp(self): raise ValueError
    def test_it(self): pass
class TestBrokenClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise ValueError
    def test_it(self): pass
class TestAsync(unittest.IsolatedAsyncioTestCase):
    async def test_passes(self): pass
    async def test_fails(self): self.fail()
"#,
        &[
            "passed TestThings::test_passes",
            "failed TestThings::test_fails",
            "skipped TestThings::test_skips",
            "xfailed TestThings::test_expected",
            "failed TestThings::test_unexpected",
            "failed TestThings::test_parts_fail",
            "passed TestThings::test_parts_pass",
            "failed TestThings::test_cleanup",
            "failed TestBroken::test_it",
            "failed TestBrokenClass::test_it",
            "passed TestAsync::test_passes",
            "failed TestAsync::test_fails",
        ],
    );
}

#[test]
fn exceptions_of_every_kind_are_failures() {
    check(
        r#"
import asyncio, sys, warnings
import pytest
class Loud(Exception):
    def __str__(self): raise ValueError
def test_system_exit(): raise SystemExit(0)
def test_sys_exit(): sys.exit()
def test_generator_exit(): raise GeneratorExit
def test_group(): raise ExceptionGroup("many", [ValueError(1), KeyError(2)])
def test_recursion():
    def deeper(): return deeper()
    deeper()
def test_huge(): assert "a" * 1_000_000 == "b" * 1_000_000
def test_unprintable(): raise Loud
def test_foreign_bytes():
    sys.stdout.buffer.write(b"\xff\xfe\x00")
    sys.stdout.flush()
    assert 0
def test_lonely_surrogate(): assert "\ud800" == ""
@pytest.mark.filterwarnings("error")
def test_warning(): warnings.warn("old")
def test_quiet_warning(): warnings.warn("old")
def test_elsewhere(tmp_path, monkeypatch): monkeypatch.chdir(tmp_path)
def test_gone_for_good(tmp_path):
    import os
    os.chdir(tmp_path)
async def test_nobody_awaits(): assert False
def test_returns_no_verdict(): return False
def test_cancelled(): raise asyncio.CancelledError
"#,
        &[
            "failed test_system_exit",
            "failed test_sys_exit",
            "failed test_generator_exit",
            "failed test_group",
            "failed test_recursion",
            "failed test_huge",
            "failed test_unprintable",
            "failed test_foreign_bytes",
            "failed test_lonely_surrogate",
            "failed test_warning",
            "passed test_quiet_warning",
            "passed test_elsewhere",
            "passed test_gone_for_good",
            "failed test_nobody_awaits",
            "passed test_returns_no_verdict",
            "failed test_cancelled",
        ],
    );
}

#[test]
fn what_cannot_be_collected_has_no_outcome() {
    let bad = |end: &End| matches!(end, End::Finished { exit } if *exit != 0);
    for text in [
        "import nowhere\ndef test_a(): pass\n",
        "def test_a(: pass\n",
        "raise ValueError\ndef test_a(): pass\n",
        "import pytest\npytest.skip('all of it', allow_module_level=True)\ndef test_a(): pass\n",
        "import pytest\npytest.importorskip('nowhere')\ndef test_a(): pass\n",
        "class TestA:\n    def __init__(self): pass\n    def test_a(self): pass\n",
        "test_a = 3\n",
        "def check_a(): pass\n",
    ] {
        checked(text, &[], bad);
    }
}

#[test]
fn a_generator_is_no_test_that_passes() {
    let Some(run) = run("def test_a():\n    yield lambda: None\n") else {
        return;
    };
    assert_ne!(
        run.tests.get("test_it.py::test_a"),
        Some(&TestStatus::Passed),
        "{run:#?}"
    );
}

#[test]
fn what_ends_the_session_leaves_the_rest_without_an_outcome() {
    let bad = |end: &End| !matches!(end, End::Finished { exit: 0 });
    for way in [
        "import pytest; pytest.exit('enough', 0)",
        "raise KeyboardInterrupt",
        "import os; os._exit(0)",
        "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
        "import os; os.execv('/bin/true', ['true'])",
    ] {
        let text = format!("def test_a(): pass\ndef test_b():\n    {way}\ndef test_c(): pass\n");
        let Some(run) = run(&text) else { return };
        assert_eq!(
            run.tests.get("test_it.py::test_a"),
            Some(&TestStatus::Passed),
            "{way}: {run:#?}"
        );
        assert_ne!(
            run.tests.get("test_it.py::test_b"),
            Some(&TestStatus::Passed),
            "{way}: {run:#?}"
        );
        assert!(
            !run.tests.contains_key("test_it.py::test_c"),
            "{way}: {run:#?}"
        );
        assert!(bad(&run.end), "{way}: {run:#?}");
    }
}

#[test]
fn options_for_plugins_that_are_not_here_change_nothing() {
    let Some(sandbox) = sandbox() else { return };
    let ini = "[pytest]\naddopts = -n 4 --cov=money --doctest-modules --reruns 2\n";
    let doc = "def test_a():\n    '''\n    >>> 1\n    2\n    '''\n";
    let tree = Tree::new(&[("pytest.ini", ini), ("test_it.py", doc)]);
    let run = sandbox.run(&tree.job()).expect("the sandbox does its part");
    assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    assert_eq!(run.tests["test_it.py::test_a"], TestStatus::Passed);
}
