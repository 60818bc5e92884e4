use super::*;
use crate::file::write_whole;

/// A folder of its own, removed at the end.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Tree {
        let tree = Tree(tempfile::tempdir().expect("a folder"));
        files.iter().for_each(|(path, text)| tree.write(path, text));
        tree
    }

    fn write(&self, path: &str, text: &str) {
        write_whole(&self.0.path().join(path), text.as_bytes()).expect("writes");
    }

    fn index(&self) -> Index {
        Index::build(self.0.path(), None).expect("reads")
    }
}

fn shop() -> Tree {
    Tree::new(&[
        ("money/__init__.py", ""),
        (
            "money/tax.py",
            "def tax_rate(country):\n    return RATES[country]\n",
        ),
        (
            "money/amount.py",
            "class Amount:\n    def rounded(self):\n        return round(self.value, 2)\n",
        ),
        (
            "money/report.py",
            "def print_report(rows):\n    for row in rows:\n        print(row)\n",
        ),
        (
            "tests/test_amount.py",
            "from money.amount import Amount\n\ndef test_half():\n    assert Amount(1).rounded() == 1\n",
        ),
        ("README.md", "Money: amounts and taxes.\n"),
    ])
}

fn first(issue: &str, tests: &[&str]) -> (String, Vec<String>) {
    let tests: Vec<String> = tests.iter().map(|test| test.to_string()).collect();
    let found = shop()
        .index()
        .related(
            &Query {
                issue,
                tests: &tests,
            },
            3,
        )
        .remove(0);
    (
        found.path,
        found.reasons.iter().map(Reason::to_string).collect(),
    )
}

#[test]
fn a_stack_trace_names_its_file() {
    let (path, reasons) = first(
        "boom\n  File \"/srv/app/money/report.py\", line 2, in print_report\n",
        &[],
    );
    assert_eq!(path, "money/report.py");
    assert_eq!(reasons[0], "stack trace, line 2");
}

#[test]
fn words_find_identifiers_in_other_spellings() {
    let (path, reasons) = first("the rate of the tax is wrong for a country", &[]);
    assert_eq!(path, "money/tax.py");
    assert!(reasons[0].starts_with("words: "), "{reasons:?}");
}

#[test]
fn a_failing_test_leads_to_what_it_uses_and_imports() {
    let (path, reasons) = first("it fails", &["tests/test_amount.py::test_half"]);
    assert_eq!(path, "money/amount.py");
    assert!(
        reasons
            .iter()
            .any(|reason| reason == "a failing test uses `Amount.rounded` (line 2)"),
        "{reasons:?}"
    );
    assert!(
        reasons
            .iter()
            .any(|reason| reason == "imported by tests/test_amount.py"),
        "{reasons:?}"
    );
}

#[test]
fn tests_are_no_place_for_a_repair() {
    let found = shop().index().related(
        &Query {
            issue: "tests/test_amount.py test_half Amount",
            tests: &[],
        },
        10,
    );
    assert!(
        found
            .iter()
            .all(|related| !related.path.starts_with("tests/")),
        "{found:?}"
    );
}

#[test]
fn the_cache_gives_the_same_index_and_sees_what_changed() {
    let (tree, cache) = (shop(), tempfile::tempdir().expect("a folder"));
    let file = cache.path().join("index.json");
    let paths = |index: &Index| {
        index.related(
            &Query {
                issue: "tax rate amount",
                tests: &[],
            },
            9,
        )
    };
    let cold = Index::build(tree.0.path(), Some(&file)).expect("builds");
    let warm = Index::build(tree.0.path(), Some(&file)).expect("builds");
    assert_eq!(paths(&cold), paths(&warm));
    tree.write("money/tax.py", "def nothing_here(x):\n    pass\n");
    tree.write("money/rates.py", "def tax_rate_amount():\n    pass\n");
    let after = Index::build(tree.0.path(), Some(&file)).expect("builds");
    assert_eq!(after.definitions("tax_rate"), []);
    assert_eq!(paths(&after)[0].path, "money/rates.py");
    std::fs::write(&file, "damaged").expect("writes");
    assert_eq!(
        paths(&Index::build(tree.0.path(), Some(&file)).expect("builds")),
        paths(&after)
    );
}

#[test]
fn no_text_and_large_files_are_passed_over() {
    let tree = shop();
    std::fs::write(tree.0.path().join("money/latin.py"), b"x = '\xe9'\n").expect("writes");
    tree.write("money/table.py", &"x = 1\n".repeat(200_000));
    let index = tree.index();
    assert!(
        !index
            .paths()
            .any(|path| path == "money/table.py" || path == "money/latin.py")
    );
}
