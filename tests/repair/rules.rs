//! Each rule of `configs/rescue.toml` meets the failure that it is for, in a real sandbox, and what it says helps.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::BOTH;
use crate::repairing::*;
use crate::support::*;

/// A rule, what the first answer does, what the rule then says, and the answer that follows from it.
struct Case {
    rule: &'static str,
    wrong: String,
    says: &'static str,
    right: String,
}

const ONE: &str = "--failing-test tests/test_cart.py::test_total";

fn in_total(search: &str, replace: &str) -> String {
    block("money/cart.py", search, replace)
}

/// The first answer replaces the line of `total` by `wrong`, the second that one by what is right.
fn case(rule: &'static str, wrong: &'static str, says: &'static str) -> Case {
    Case {
        rule,
        wrong: in_total(TOTAL.0, wrong),
        says,
        right: in_total(wrong, TOTAL.1),
    }
}

fn cases() -> Vec<Case> {
    let first = "    return prices[0]";
    vec![
        case(
            "moved-module",
            "    from money.sums import add\n    return add(prices)",
            "The repository has `money/lib/sums.py`",
        ),
        case(
            "moved-name",
            "    from money.cart import Amount\n    return sum(prices)",
            "It is defined in `money/amount.py`, line 1.",
        ),
        case(
            "undefined-name",
            "    return Amount(sum(prices)).cents",
            "It is defined in `money/amount.py`, line 1: import it.",
        ),
        case(
            "syntax",
            "    return sum(prices",
            "The edits left a SyntaxError",
        ),
        case(
            "similar-name",
            "    from money.amount import Amount\n    return Amount(sum(prices)).roundup()",
            "defines `Amount.round_up` in `money/amount.py`, line 5",
        ),
        case(
            "wrong-arguments",
            "    return sum(prices) + 0 * count()",
            "`count` is called with other arguments than it takes",
        ),
        case(
            "missing-file",
            "    open('rates.json')\n    return sum(prices)",
            "The repository has `money/data/rates.json`",
        ),
        case(
            "timeout",
            "    while True:\n        pass",
            "from now on each runs alone",
        ),
        Case {
            rule: "broke-others",
            wrong: format!("{}{}", fix(TOTAL), in_total(first, "    return prices[1]")),
            says: "they are taken back",
            // The tree is the passing state again.
            right: fix(TOTAL),
        },
        Case {
            rule: "no-edit",
            wrong: "I would change it.".into(),
            says: "The answer before held no edit",
            right: fix(TOTAL),
        },
        Case {
            rule: "not-applied",
            wrong: in_total("return sum(prices) - 1 ", "return sum(prices)"),
            says: "money/cart.py, from line 2:\n    return sum(prices) - 1",
            // Still without its indentation: from now on that is forgiven.
            right: in_total("return sum(prices) - 1", "return sum(prices)"),
        },
    ]
}

/// All tries belong to the last queue.
const RESCUE: &str = "[queue]\nmax_retry = 3\nfast = 0\ndeep = 0\nrescue = 3\n";

#[test]
fn each_rule_meets_the_failure_that_it_is_for() {
    if !python("rules in a real sandbox") {
        return;
    }
    for Case {
        rule,
        wrong,
        says,
        right,
    } in cases()
    {
        let desk = Desk::new(&[
            ("money/lib/sums.py", "def add(prices):\n    return 0\n"),
            ("money/data/rates.json", "{}\n"),
        ]);
        let agent = desk.folder.write("agent.toml", RESCUE);
        let server = ChatScript::start(move |number, text| match number {
            1 => Reply::Says(wrong.clone()),
            _ if text.contains(says) => Reply::Says(right.clone()),
            _ => Reply::Says(format!("the rule did not speak in: {text}")),
        });
        let said = desk.repair(
            &server,
            &format!("{ONE} --agent {} --timeout-test 2", agent.display()),
        );
        assert_eq!(
            said.code,
            Some(0),
            "{rule}: {}\n{:?}",
            said.err,
            server.asked().last()
        );
        assert!(
            said.err.contains(&format!("rule `{rule}`")),
            "{rule} did not speak:\n{}",
            said.err
        );
        assert_eq!(desk.tries().len(), 2, "{rule}");
    }
}

/// A wheel of one module.
fn wheel(folder: &Path, name: &str) {
    let script = "import sys, zipfile\nfolder, name = sys.argv[1:]\n\
        with zipfile.ZipFile(f'{folder}/{name}-1.0-py3-none-any.whl', 'w') as z:\n\
        \x20   z.writestr(f'{name}.py', 'ONE = 1\\n')\n\
        \x20   i = f'{name}-1.0.dist-info/'\n\
        \x20   z.writestr(i + 'METADATA', f'Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n')\n\
        \x20   z.writestr(i + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
        \x20   z.writestr(i + 'RECORD', '')\n";
    let made = Command::new("python3")
        .args(["-c", script])
        .arg(folder)
        .arg(name)
        .output()
        .expect("python3 runs");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

#[test]
fn a_missing_module_that_the_requirements_name_is_installed_from_the_wheel_cache() {
    if !python("installing from a wheel cache") {
        return;
    }
    let test = "import tinywheel\nfrom money import cart\n\n\ndef test_wheel():\n    assert cart.total([tinywheel.ONE]) == 1\n";
    let desk = Desk::new(&[
        ("tests/test_wheel.py", test),
        ("requirements.txt", "tinywheel==1.0\n"),
    ]);
    let wheels = desk.folder.join("wheels");
    fs::create_dir_all(&wheels).expect("a folder");
    wheel(&wheels, "tinywheel");
    let agent = desk.folder.write("agent.toml", RESCUE);
    let server = ChatScript::from_answers(&[fix(COUNT), fix(TOTAL)]);
    let line = format!(
        "--failing-test tests/test_wheel.py --agent {} --wheels {}",
        agent.display(),
        wheels.display()
    );
    let said = desk.repair(&server, &line).succeeds();
    assert!(
        said.err.contains("rule `missing-module`")
            && said.err.contains("tinywheel==1.0 is installed now"),
        "{}",
        said.err
    );
    assert!(!desk.repo().join("site-packages").exists());
}

#[test]
fn three_failed_installs_need_review_and_what_nobody_declares_is_never_installed() {
    if !python("installs that fail") {
        return;
    }
    let test = "def test_wheel():\n    import tinywheel\n";
    let desk = Desk::new(&[
        ("tests/test_wheel.py", test),
        ("requirements.txt", "tinywheel==1.0\n"),
    ]);
    let wheels = desk.folder.join("wheels");
    fs::create_dir_all(&wheels).expect("a folder");
    let agent = desk.folder.write(
        "agent.toml",
        "[queue]\nmax_retry = 9\nfast = 0\ndeep = 0\nrescue = 9\n",
    );
    let answers: Vec<String> = (0..9)
        .map(|at| block(&format!("money/new{at}.py"), "", "x = 1"))
        .collect();
    let line = format!(
        "--failing-test tests/test_wheel.py::test_wheel --agent {} --wheels {}",
        agent.display(),
        wheels.display()
    );
    let said = desk.repair(&ChatScript::from_answers(&answers), &line);
    super::needs_review(&said, &["packages could not be installed three times"]);
    assert_eq!(desk.tries().len(), 3, "one install before each try");

    let undeclared = Desk::new(&[("tests/test_wheel.py", test)]);
    wheel(&wheels, "tinywheel");
    let said = undeclared.repair(
        &ChatScript::from_answers(&answers),
        &format!("{line} --max-retry 2"),
    );
    super::needs_review(&said, &["all 2 tries are spent"]);
    assert!(!said.err.contains("missing-module"), "{}", said.err);
}

#[test]
fn rules_that_cannot_be_used_are_refused_by_name() {
    let desk = Desk::new(&[]);
    let agent = desk.folder.write("agent.toml", "rules = \"rules.toml\"\n");
    let server = ChatScript::from_answers(&["nothing".into()]);
    let line = format!("{BOTH} --agent {}", agent.display());
    let rule = |more: &str| format!("[[rule]]\nname = \"a\"\non = [\"FAIL\"]\nsay = \"x\"\n{more}");
    for (rules, words) in [
        (
            rule("limit = 1\npattern = \"(\"\n"),
            "the pattern of the rule `a` cannot be read",
        ),
        (rule("limit = 0\n"), "the rule `a` never speaks"),
        (
            rule("limit = 1\naction = \"dance\"\n"),
            "unknown variant `dance`",
        ),
        (
            format!("{}{}", rule("limit = 1\n"), rule("limit = 1\n")),
            "two rules are named `a`",
        ),
    ] {
        desk.folder.write("rules.toml", &rules);
        let said = desk.repair(&server, &line);
        assert!(
            said.code == Some(1) && said.err.contains(words) && said.err.contains("rules.toml"),
            "{}",
            said.err
        );
    }
}

#[test]
fn there_are_twelve_rules_and_each_has_its_case() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/configs/rescue.toml"))
        .expect("rules");
    let rules: toml::Table = text.parse().expect("TOML");
    let names: Vec<&str> = rules["rule"]
        .as_array()
        .expect("rules")
        .iter()
        .filter_map(|rule| rule["name"].as_str())
        .collect();
    assert_eq!(names.len(), 12);
    let cases = cases();
    for name in names.into_iter().filter(|name| *name != "missing-module") {
        assert!(
            cases.iter().any(|case| case.rule == name),
            "`{name}` has no case"
        );
    }
}
