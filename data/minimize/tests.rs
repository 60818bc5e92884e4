use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::draw;

/// Files by their path.
type Tree = BTreeMap<String, String>;

fn tree(files: &[(&str, &str)]) -> Tree {
    files
        .iter()
        .map(|(path, text)| (path.to_string(), text.to_string()))
        .collect()
}

fn patch(base: &Tree, new: &Tree) -> Patch {
    let paths: BTreeSet<&String> = base.keys().chain(new.keys()).collect();
    let of = |path: &String| {
        Patch::change(
            path,
            base.get(path).map(String::as_str),
            new.get(path).map(String::as_str),
        )
    };
    let text: String = paths
        .into_iter()
        .map(|path| of(path).text().to_string())
        .collect();
    Patch::parse(&text).expect("parses")
}

/// The tree with a part of a patch.
fn with(base: &Tree, patch: &Patch) -> Tree {
    let mut tree = base.clone();
    for change in patch
        .apply(&|path| base.get(path).cloned())
        .expect("applies")
    {
        match change.content {
            Some(content) => drop(tree.insert(change.path, content)),
            None => drop(tree.remove(&change.path)),
        }
    }
    tree
}

/// Which lines of all files there are.
fn lines(tree: &Tree) -> BTreeSet<String> {
    tree.values()
        .flat_map(|text| text.lines())
        .map(str::to_string)
        .collect()
}

/// What a judge says of a tree, by the tests that are asked.
type Says<'a> = dyn Fn(&Tree, Tests) -> bool + 'a;

fn minimized(
    base: &Tree,
    patch: &Patch,
    says: &Says,
    options: &MinimizeOptions,
) -> Result<Minimized, MinimizeError> {
    let mut judge = |part: &Patch, tests: Tests| {
        Ok(if says(&with(base, part), tests) {
            Verdict::Passes
        } else {
            Verdict::Fails
        })
    };
    minimize(patch, &|path| base.get(path).cloned(), &mut judge, options)
}

/// What is left passes all tests, and fails without any one of its parts.
#[track_caller]
fn is_one_minimal(base: &Tree, found: &Minimized, says: &Says) {
    let passes = |patch: &Patch| {
        let tree = with(base, patch);
        says(&tree, Tests::FailToPass) && says(&tree, Tests::All)
    };
    assert!(
        passes(&found.patch),
        "what is left does not pass:\n{}",
        found.patch
    );
    assert_eq!(
        with(base, &found.patch),
        with(base, &found.whole.keeping(&found.kept))
    );
    for at in (0..found.kept.len()).filter(|at| found.kept[*at]) {
        let mut less = found.kept.clone();
        less[at] = false;
        assert!(
            !passes(&found.whole.keeping(&less)),
            "part {at} is not needed:\n{}",
            found.patch
        );
    }
}

/// A tree of some files, and the same with lines replaced, added and removed.
fn drawn(key: u64) -> (Tree, Tree) {
    let mut base = Tree::new();
    for file in 0..1 + draw::below(key, 1, 3) {
        let text: String = (0..30)
            .map(|line| format!("f{file} line {line}\n"))
            .collect();
        base.insert(format!("f{file}.txt"), text);
    }
    let mut new = base.clone();
    for edit in 0..3 + draw::below(key, 2, 10) as u64 {
        let file = format!("f{}.txt", draw::below(key, 10 + edit, base.len()));
        let mut text: Vec<String> = new[&file].lines().map(str::to_string).collect();
        let at = draw::below(key, 100 + edit, text.len());
        match draw::below(key, 200 + edit, 4) {
            0 => text[at] += " changed",
            1 => drop(text.remove(at)),
            _ => text.insert(at, format!("new {edit}")),
        }
        new.insert(file, text.join("\n") + "\n");
    }
    if draw::below(key, 3, 3) == 0 {
        new.insert("added.txt".into(), "one more\nand more\n".into());
    }
    (base, new)
}

#[test]
fn independent_parts_that_are_needed_are_what_is_left() {
    for seed in 0..300 {
        let key = draw::key(seed, &[1]);
        let (base, new) = drawn(key);
        let patch = patch(&base, &new);
        let added: Vec<String> = lines(&new).difference(&lines(&base)).cloned().collect();
        if added.is_empty() {
            continue;
        }
        let needed: Vec<&String> = (0..1 + seed % 3)
            .map(|at| &added[draw::below(key, 50 + at, added.len())])
            .collect();
        let says = |tree: &Tree, _| needed.iter().all(|line| lines(tree).contains(*line));
        let found =
            minimized(&base, &patch, &says, &MinimizeOptions::default()).expect("is made smaller");
        assert!(found.is_one_minimal);
        is_one_minimal(&base, &found, &says);
        let distinct: BTreeSet<&&String> = needed.iter().collect();
        assert_eq!(
            found.kept.iter().filter(|kept| **kept).count(),
            distinct.len(),
            "seed {seed}"
        );
    }
}

#[test]
fn coupled_parts_stay_together() {
    for seed in 0..200 {
        let key = draw::key(seed, &[2]);
        let (base, new) = drawn(key);
        let patch = patch(&base, &new);
        let added: Vec<String> = lines(&new).difference(&lines(&base)).cloned().collect();
        if added.len() < 4 {
            continue;
        }
        // The first is needed; two more either both or not at all.
        let says = |tree: &Tree, tests| {
            let has = |at: usize| lines(tree).contains(&added[at]);
            let coupled = has(1) == has(2);
            has(0) && (tests == Tests::FailToPass || coupled)
        };
        let found =
            minimized(&base, &patch, &says, &MinimizeOptions::default()).expect("is made smaller");
        is_one_minimal(&base, &found, &says);
        assert_eq!(found.kept.iter().filter(|kept| **kept).count(), 1);
    }
}

#[test]
fn a_judge_without_any_rule_still_gets_what_passes_and_cannot_lose_a_part() {
    let mut smaller = 0;
    for seed in 0..400 {
        let key = draw::key(seed, &[3]);
        let (base, new) = drawn(key);
        let patch = patch(&base, &new);
        let whole = with(&base, &patch);
        // What it says of a tree hangs on nothing but its bytes.
        let says = |tree: &Tree, tests: Tests| {
            let bytes = serde_json::to_vec(tree).expect("JSON");
            let drawn = u64::from_le_bytes(
                blake3::hash(&bytes).as_bytes()[..8]
                    .try_into()
                    .expect("eight"),
            );
            let odds = if tests == Tests::All { 2 } else { 3 };
            *tree == whole || (*tree != base && draw::below(key ^ drawn, tests as u64, odds) == 0)
        };
        let options = MinimizeOptions {
            max_calls: 100_000,
            check_order: seed % 2 == 0,
        };
        let found = minimized(&base, &patch, &says, &options).expect("is made smaller");
        assert!(found.is_one_minimal);
        is_one_minimal(&base, &found, &says);
        smaller += usize::from(found.kept.contains(&false));
        assert_eq!(
            minimized(&base, &patch, &says, &options)
                .expect("again")
                .patch,
            found.patch,
            "the same every time"
        );
    }
    assert!(smaller > 200, "only {smaller} of 400 became smaller");
}

#[test]
fn a_budget_ends_the_search_with_the_best_that_was_proven() {
    for seed in 0..200 {
        let key = draw::key(seed, &[4]);
        let (base, new) = drawn(key);
        let patch = patch(&base, &new);
        let added: Vec<String> = lines(&new).difference(&lines(&base)).cloned().collect();
        let Some(needed) = added.first() else {
            continue;
        };
        let says = |tree: &Tree, _| lines(tree).contains(needed);
        for max_calls in LEAST_CALLS..12 {
            let options = MinimizeOptions {
                max_calls,
                check_order: true,
            };
            let found = minimized(&base, &patch, &says, &options).expect("is made smaller");
            assert!(
                found.cost.calls <= max_calls,
                "{} calls of {max_calls}",
                found.cost.calls
            );
            assert!(says(&with(&base, &found.patch), Tests::All));
            if found.is_one_minimal {
                is_one_minimal(&base, &found, &says);
            }
        }
    }
    let (base, new) = drawn(1);
    let options = MinimizeOptions {
        max_calls: 2,
        check_order: false,
    };
    assert_eq!(
        minimized(&base, &patch(&base, &new), &|_, _| true, &options),
        Err(MinimizeError::Budget(2))
    );
}

#[test]
fn a_defensive_check_goes_as_a_whole_though_neither_of_its_lines_can_go_alone() {
    let base = tree(&[("m.py", "def add(a, b):\n    return a - b\n")]);
    let new = tree(&[(
        "m.py",
        "def add(a, b):\n    if a is None:\n        raise TypeError(\"a\")\n    return a + b\n",
    )]);
    let says = |tree: &Tree, _| {
        tree["m.py"].contains("a + b")
            && tree["m.py"].contains("if ") == tree["m.py"].contains("raise")
    };
    let found = minimized(
        &base,
        &patch(&base, &new),
        &says,
        &MinimizeOptions::default(),
    )
    .expect("is made smaller");
    assert_eq!(
        found.patch.text(),
        "--- a/m.py\n+++ b/m.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n"
    );
    assert!(found.is_one_minimal);
}

#[test]
fn what_does_not_parse_is_not_asked() {
    let base = tree(&[("m.py", "def f(x):\n    return x\n")]);
    let new = tree(&[(
        "m.py",
        "def f(x):\n    if x:\n        return 1\n    return x + 1\n",
    )]);
    let asked = std::cell::RefCell::new(Vec::new());
    let says = |tree: &Tree, _| {
        asked.borrow_mut().push(tree["m.py"].clone());
        tree["m.py"].contains("return 1") && tree["m.py"].contains("if x:")
    };
    let found = minimized(
        &base,
        &patch(&base, &new),
        &says,
        &MinimizeOptions::default(),
    )
    .expect("is made smaller");
    assert!(found.cost.unparsed > 0);
    assert!(
        asked
            .borrow()
            .iter()
            .all(|text| !text.contains("if x:\n    return")),
        "{:?}",
        asked.borrow()
    );
    assert_eq!(asked.borrow().len(), found.cost.calls);
}

#[test]
fn two_ways_to_repair_are_told() {
    let base = tree(&[("a.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n")]);
    let new = tree(&[("a.txt", "one\n1\n2\n3\n4\n5\n6\n7\n8\n9\ntwo\n")]);
    let options = MinimizeOptions {
        check_order: true,
        ..MinimizeOptions::default()
    };
    let either = |tree: &Tree, _| tree["a.txt"].contains("one") || tree["a.txt"].contains("two");
    let found = minimized(&base, &patch(&base, &new), &either, &options).expect("is made smaller");
    assert_eq!(found.is_ambiguous, Some(true));
    let only = |tree: &Tree, _| tree["a.txt"].contains("two");
    let found = minimized(&base, &patch(&base, &new), &only, &options).expect("is made smaller");
    assert_eq!(found.is_ambiguous, Some(false));
}

#[test]
fn a_patch_that_cannot_be_made_smaller_says_why() {
    let base = tree(&[("a.txt", "1\n")]);
    let new = tree(&[("a.txt", "2\n")]);
    let good = patch(&base, &new);
    let told = |patch: &Patch, says: &Says| {
        minimized(&base, patch, says, &MinimizeOptions::default()).expect_err("no")
    };
    assert_eq!(told(&good, &|_, _| false), MinimizeError::DoesNotPass);
    assert_eq!(told(&good, &|_, _| true), MinimizeError::PassesWithout);
    assert_eq!(told(&Patch::default(), &|_, _| true), MinimizeError::Empty);
    let other = Patch::between("a.txt", "8\n", "9\n");
    assert!(matches!(
        told(&other, &|_, _| true),
        MinimizeError::Apply(_)
    ));
    let mut judge = |_: &Patch, _: Tests| Err(JudgeError("no memory".into()));
    let failed = minimize(
        &good,
        &|_| Some("1\n".into()),
        &mut judge,
        &MinimizeOptions::default(),
    );
    assert_eq!(
        failed,
        Err(MinimizeError::Judge(JudgeError("no memory".into())))
    );
}
