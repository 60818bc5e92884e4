use super::*;
use crate::source::functions::parse;

const TEXT: &str = r#"import pytest

@pytest.mark.slow("no 1")
@pytest.mark.parametrize("a, b", [(1, "x-ray"), ([True], 2.5)], ids=["one", "two"])
def test_pairs(a, b):
    """Docs 7."""
    assert pair(a, b) == f"{a}!"

def test_other():
    assert 5

class TestCart:
    def setUp(self):
        self.cart = Cart(6)

    def test_sum(self):
        assert Cart(0x10).sum("a\n", "é", '', [2.5]) is None  # 9

    def test_cart(self):
        assert self.cart.sum() == 8
"#;

static NONE: BTreeSet<usize> = BTreeSet::new();
static NO_FILES: BTreeMap<String, String> = BTreeMap::new();

fn python(text: &str) -> Source<'_> {
    let language = crate::task::Language::Python;
    Source {
        text,
        settings: "",
        language,
        without: &NONE,
        copies: Copies::All,
        data: &NO_FILES,
        besides: &[],
    }
}

/// What is changed in these tests, in the order of the file.
fn changed(tests: &[&str]) -> Vec<String> {
    let varied = perturb(python(TEXT), tests, 100, 3).expect("has values");
    assert!(
        !parse(&varied.text).root_node().has_error(),
        "{}",
        varied.text
    );
    let mut changes = varied.changes;
    changes.sort_by_key(|change| change.at);
    let mut was: Vec<String> = changes.into_iter().map(|change| change.was).collect();
    was.dedup();
    was
}

#[test]
fn values_that_are_asked_for_change() {
    assert_eq!(
        changed(&["test_pairs"]),
        ["1", "x-ray", "[True]", "True", "2.5"]
    );
    assert_eq!(
        changed(&["TestCart::test_sum"]),
        ["6", "0x10", "\"a\\n\"", "é", "[2.5]", "2.5"]
    );
    assert_eq!(changed(&["TestCart::test_cart"]), ["6"]);
    assert_eq!(
        perturb(python(TEXT), &["test_sum", "test_missing"], 100, 0),
        None
    );
}

#[test]
fn copies_stand_behind_their_test_and_are_known_by_their_number() {
    let varied =
        perturb(python(TEXT), &["test_other", "TestCart::test_sum"], 100, 0).expect("has values");
    let names: Vec<&str> = varied
        .text
        .lines()
        .filter(|line| line.contains("def "))
        .map(str::trim)
        .collect();
    assert!(
        names[1] == "def test_other():"
            && names[2..6]
                .iter()
                .all(|name| name.starts_with("def test_other_varied_"))
    );
    assert!(
        varied.text.contains("\n\n    def test_sum_varied_"),
        "{}",
        varied.text
    );
    let third = varied
        .changes
        .iter()
        .position(|change| change.test == "test_other")
        .expect("is changed")
        + 2;
    let change = varied
        .change(&format!("a.py::test_other_varied_{third}[é-1]"))
        .expect("is one");
    assert_eq!(
        (
            change.test.as_str(),
            change.was.as_str(),
            change.way,
            change.is_far()
        ),
        ("test_other", "5", 2, true)
    );
    assert_eq!(varied.change("a.py::test_other"), None);
    assert_eq!(varied.change("a.py::test_varied_99"), None);
    let mut in_order = varied.in_order();
    in_order.sort_unstable();
    assert_eq!(in_order, (0..varied.changes.len()).collect::<Vec<_>>());
    let without = BTreeSet::from([varied.changes[third].at]);
    assert_eq!(
        perturb(
            Source {
                without: &without,
                ..python(TEXT)
            },
            &["test_other"],
            100,
            0
        ),
        None
    );
    let near = perturb(
        Source {
            copies: Copies::Near,
            ..python(TEXT)
        },
        &["test_other", "TestCart::test_sum"],
        100,
        0,
    )
    .expect("some");
    assert_eq!(near.changes, varied.changes);
    assert!(
        near.in_order()
            .iter()
            .all(|number| near.changes[*number].way < NEAR)
    );
}

#[test]
fn a_changed_case_stands_alone() {
    let varied = perturb(python(TEXT), &["test_pairs"], 100, 0).expect("has values");
    let decorators: Vec<&str> = varied
        .text
        .lines()
        .filter(|line| line.contains("parametrize"))
        .skip(1)
        .collect();
    assert!(
        decorators
            .iter()
            .any(|line| line.ends_with(", \"x-ray\")])")),
        "{decorators:?}"
    );
    assert!(
        decorators
            .iter()
            .all(|line| !line.contains("ids") && line.matches('(').count() == 2),
        "{decorators:?}"
    );
    let named = "import pytest\n\nCASES = [(1, 2), (3, 4)]\n\n@pytest.mark.parametrize('a, b', CASES)\ndef test_a(a, b):\n    \
                 assert f(a) == b\n";
    let varied = perturb(python(named), &["test_a"], 100, 0).expect("has values");
    assert!(
        varied.text.matches(", 2)])\ndef test_a_varied_").count() == 4,
        "{}",
        varied.text
    );
}

#[test]
fn few_values_are_spread_over_all() {
    let text = "def test_a():\n    assert f(1, 2, 3, 4, 5, 6)\n";
    let varied = perturb(python(text), &["test_a"], 2, 0).expect("has values");
    let mut at: Vec<usize> = varied.changes.iter().map(|change| change.at).collect();
    at.dedup();
    assert_eq!(
        (at.len(), at[0].abs_diff(at[1])),
        (2, 9),
        "three values apart"
    );
}

/// Copies of `test_a` in which what it shares is another one.
fn hidden(shared: &str, test: &str, settings: &str) -> Vec<String> {
    let text = format!("{shared}\n\n{test}");
    let source = Source {
        settings,
        ..python(&text)
    };
    let name = if test.contains("class ") {
        "TestA::test_a"
    } else {
        "test_a"
    };
    let Some(varied) = perturb(source, &[name], 8, 0) else {
        return Vec::new();
    };
    assert!(
        !parse(&varied.text).root_node().has_error(),
        "{}",
        varied.text
    );
    let copies: Vec<&str> = varied.text[text.len() - 1..]
        .split("def test_a_varied_")
        .skip(1)
        .collect();
    // What the first value becomes does not matter here.
    copies
        .iter()
        .zip(&varied.changes)
        .map(|(copy, change)| copy.replacen(&change.becomes, "?", 1))
        .collect()
}

#[test]
fn what_tests_share_is_hidden_by_another_one() {
    let constant = hidden("N = 444", "def test_a():\n    assert f(N) == 3\n", "");
    assert_eq!(
        constant[0].trim_end(),
        "0():\n    N = ?\n    assert f(N) == 3"
    );
    let helper = "N = 444\n\ndef make(by=1):\n    return Cart(N)";
    let copies = hidden(helper, "def test_a():\n    assert f(make()) == 3\n", "");
    assert!(copies[0].starts_with(
        "0():\n    N = ?\n    def make(by=1):\n        return Cart(N)\n    assert f(make())"
    ));
    let fixture =
        "import pytest\n\n\n@pytest.fixture\ndef cart(tmp_path):\n    yield Cart(444, tmp_path)\n";
    let test = "def test_a(cart, tmp_path):\n    \"\"\"Docs.\"\"\"\n    assert cart.n == 3\n";
    let expected = "0(cart, tmp_path):\n    def cart(tmp_path):\n        yield Cart(?, tmp_path)\n    cart = next(cart(tmp_path))\n    \"";
    assert!(hidden(fixture, test, "")[0].starts_with(expected));
    assert!(hidden("import pytest", test, fixture)[0].starts_with(expected));
    let class =
        "class TestA:\n    N = 444\n\n    def test_a(self):\n        assert f(self.N) == 3\n";
    assert!(
        hidden("", class, "")[0]
            .starts_with("0(self):\n        self.N = ?\n        assert f(self.N) == 3")
    );
    let set_up = class.replace(
        "    N = 444\n",
        "    def setUp(self):\n        self.M = 0\n        self.N = 444\n",
    );
    let both = |copy: &String| {
        copy.contains(
            "(self):\n        self.M = 0\n        self.N = ?\n        assert f(self.N) == 3",
        )
    };
    assert!(hidden("", &set_up, "").iter().any(both));
    assert!(
        hidden("N = 444", "def test_a():\n    assert f(8) == N\n", "")
            .iter()
            .all(|copy| !copy.contains("N = "))
    );
    assert!(hidden("N = 444", "def test_a(): assert f(N) == 3\n", "").is_empty());
}

/// What copies say that the text does not, where values become `?`.
fn copied(text: &str, test: &str, settings: &str, what: &str) -> BTreeSet<String> {
    let varied = perturb(
        Source {
            settings,
            ..python(text)
        },
        &[test],
        100,
        0,
    )
    .expect("has values");
    assert!(
        !parse(&varied.text).root_node().has_error(),
        "{}",
        varied.text
    );
    let lines = varied
        .text
        .lines()
        .filter(|line| line.contains(what) && !text.contains(*line));
    let becomes = |line: &str| {
        let change = varied
            .changes
            .iter()
            .find(|change| line.contains(&format!("{},", change.becomes)));
        change.map_or(line.to_string(), |change| {
            line.replacen(&change.becomes, "?", 1)
        })
    };
    lines.map(becomes).collect()
}

#[test]
fn cases_from_elsewhere_change() {
    let class = "import pytest\n\n@pytest.mark.parametrize('n, out', [(400, 17), pytest.param(900, 82, id='x')])\nclass TestA:\n    \
                 def test_a(self, n, out):\n        assert t(n) == out\n";
    let expected = BTreeSet::from([
        "        n, out = (?, 17)".to_string(),
        "        n, out = (?, 82)".to_string(),
    ]);
    assert_eq!(copied(class, "TestA::test_a", "", "n, out ="), expected);
    let generated = "CASES = [(400, 17)]\n\ndef pytest_generate_tests(metafunc):\n    metafunc.parametrize('n, out', CASES)\n\n\
                     def test_a(n, out):\n    assert t(n) == out\n";
    let expected = BTreeSet::from(["    n, out = (?, 17)".to_string()]);
    assert_eq!(copied(generated, "test_a", "", "n, out ="), expected);
    let fixture = "import pytest\n\n\n@pytest.fixture(params=[(400, 17)])\ndef case(request):\n    return request.param\n";
    let test = "def test_a(case):\n    n, out = case\n    assert t(n) == out\n";
    let decorator = |pytest: &str| {
        BTreeSet::from([format!(
            "@{pytest}.mark.parametrize(\"case\", [(?, 17)], indirect=True)"
        )])
    };
    assert_eq!(
        copied(&format!("{fixture}\n\n{test}"), "test_a", "", "@"),
        decorator("pytest")
    );
    // What another file holds has no names here, and here pytest has none. What is expected cannot be told there.
    let there = copied(test, "test_a", fixture, "@");
    assert!(
        there.contains(decorator("__import__(\"pytest\")").first().expect("one")),
        "{there:?}"
    );
}

#[test]
fn members_and_files_become_others() {
    let text = "def test_a():\n    assert after(Light.RED) is Light.GREEN\n    assert after(Light.GREEN, 'a.csv') == 1\n";
    let data = BTreeMap::from([("tests/a.csv".to_string(), "7\n8\n".to_string())]);
    let varied = perturb(
        Source {
            data: &data,
            ..python(text)
        },
        &["test_a"],
        100,
        0,
    )
    .expect("has values");
    let becomes = |was: &str| {
        let changes = varied.changes.iter().filter(|change| change.was == was);
        changes
            .map(|change| change.becomes.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        becomes("Light.RED"),
        ["Light.GREEN", "list(Light)[-1]", "list(Light)[0]"]
    );
    assert_eq!(becomes("Light.GREEN").len(), 3, "the expected one stays");
    assert_eq!(becomes("a.csv").len(), 4);
    assert!(
        becomes("a.csv")
            .iter()
            .all(|name| varied.files.contains_key(&format!("tests/{name}")))
    );
    assert!(varied.changes.iter().all(|change| change.asks == "after"));
}

#[test]
fn each_function_that_is_asked_has_its_turn() {
    let many: String = (0..60)
        .map(|n| format!("def test_{n}():\n    assert f({n}) == {n}\n\n"))
        .collect();
    let text = format!("{many}def test_g():\n    assert g(5) == 8\n");
    let names: Vec<String> = (0..60)
        .map(|n| format!("test_{n}"))
        .chain(["test_g".to_string()])
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for key in 0..20 {
        let varied = perturb(python(&text), &names, 10, key).expect("has values");
        assert_eq!(
            varied
                .changes
                .iter()
                .filter(|change| change.asks == "g")
                .count(),
            4
        );
        assert_eq!(varied.changes.len(), 40);
    }
}
