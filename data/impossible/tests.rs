use super::*;

/// Every text that stands in the place of `was` in one test, over many keys.
fn changes(body: &str) -> BTreeSet<String> {
    let text = format!("import pytest\n\n{body}\n");
    let name = if text.contains("class ") {
        "TestA::test_a"
    } else {
        "test_a"
    };
    let drawn =
        (0..300).filter_map(|key| impossible(&text, Language::Python, &[name], key, key as usize));
    drawn
        .map(|one| format!("{} -> _", one.changed[name].was))
        .collect()
}

fn check(body: &str, expected: &[&str]) {
    let found: Vec<String> = changes(body)
        .into_iter()
        .map(|one| one.replace(" -> _", ""))
        .collect();
    let mut expected: Vec<&str> = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected, "{body}");
}

#[test]
fn what_a_test_asks_for_is_never_changed() {
    check("def test_a():\n    assert add(1, 2) == 3", &["3", "=="]);
    check(
        "def test_a():\n    assert 'a x3' == label('a', 3)",
        &["'a x3'", "=="],
    );
    check(
        "def test_a():\n    x = 5\n    assert f(x) == 10 and g(2) is True",
        &["10", "==", "True", "is"],
    );
    check(
        "def test_a():\n    want = {'k': [1, 2]}\n    assert f('in') == want",
        &["'k'", "1", "2", "=="],
    );
    check(
        "def test_a():\n    n = 4\n    assert f(n) == n",
        &["n", "=="],
    );
    check(
        "def test_a():\n    assert f(1) == Point(4, y=-2)",
        &["4", "2", "=="],
    );
    check(
        "def test_a():\n    assert f(1) == pytest.approx(3.5, abs=0.1)",
        &["3.5", "=="],
    );
    check(
        "def test_a():\n    assert f(1) != 3\n    assert f(2) < 9",
        &["!=", "<", "9"],
    );
    check(
        "def test_a():\n    assert 0 <= f(1) <= 9",
        &["0", "9", "0 <= f(1) <= 9"],
    );
    check(
        "def test_a():\n    assert re.fullmatch('[a-f]', f(1))",
        &["'[a-f]'", "re.fullmatch('[a-f]', f(1))"],
    );
    check("def test_a():\n    assert not f(1)", &["not f(1)"]);
    check("def test_a():\n    assert f(1)", &["f(1)"]);
    check("def test_a():\n    assert 'x3' in f('a')", &["'x3'", "in"]);
    check(
        "def test_a():\n    assert f(1) in [3, 4]",
        &["[3, 4]", "in"],
    );
    check(
        "def test_a():\n    assert str(f(1) == 3) == 'True'",
        &["3", "=="],
    );
    check(
        "def test_a():\n    assert f(1) == sorted(x)",
        &["sorted(x)", "=="],
    );
    check(
        "def test_a():\n    assert f('a').startswith('b')",
        &["'b'", "f('a').startswith('b')"],
    );
}

#[test]
fn cases_of_loops_and_of_parametrize_are_followed() {
    let body = "@pytest.mark.parametrize('a, want', [(1, 'one'), pytest.param(2, 'two', id='x')])\n\
        def test_a(a, want):\n    assert f(a) == want";
    check(body, &["'one'", "'two'", "=="]);
    check(
        "CASES = [((1, 2), 3)]\n\ndef test_a():\n    for args, out in CASES:\n        assert f(*args) == out",
        &["3", "=="],
    );
    check(
        "def test_a():\n    for i, (a, b) in enumerate([(1, 2)]):\n        assert f(a) == b, i",
        &["2", "=="],
    );
    let body = "def test_a():\n    assert all(f(a) == out for a, out in [('a', 3), ('b', 4)])";
    check(
        body,
        &[
            "3",
            "4",
            "==",
            "all(f(a) == out for a, out in [('a', 3), ('b', 4)])",
        ],
    );
    check(
        "def test_a():\n    for k, v in {'a': 1}.items():\n        assert f(k) == v",
        &["1", "=="],
    );
    let body = "class TestA:\n    CASES = {4: 'IV'}\n\n    def test_a(self):\n        \
        for n, text in self.CASES.items():\n            assert f(n) == text";
    check(body, &["'IV'", "=="]);
    // What another test works with is another input there.
    check(
        &format!(
            "{body}\n\n    def test_b(self):\n        assert [g(text) for text in self.CASES.values()] == [4]"
        ),
        &["text", "=="],
    );
    check(
        "W = 3\n\ndef test_a():\n    assert f(1) == W\n\ndef test_b():\n    assert g(W) == 4",
        &["W", "=="],
    );
    check(
        "W = 3\n\ndef test_a():\n    assert f(1) == W\n\ndef test_b():\n    assert g(2) == W",
        &["3", "=="],
    );
}

#[test]
fn unittest_exceptions_and_helpers_are_known() {
    let of_class = |line: &str| format!("class TestA:\n    def test_a(self):\n        {line}");
    check(
        &of_class("self.assertEqual(f(1), [2, 'b'])"),
        &["2", "'b'", "assertEqual"],
    );
    check(
        &of_class("self.assertAlmostEqual(f(1), 2.5, places=3)"),
        &["2.5", "assertAlmostEqual"],
    );
    check(&of_class("self.assertTrue(f(1) == 4)"), &["4", "=="]);
    check(&of_class("self.assertFalse(f(1))"), &["assertFalse"]);
    check(&of_class("self.assertIn('k', f(1))"), &["'k'", "assertIn"]);
    check(&of_class("self.assertGreater(f(1), 4)"), &["assertGreater"]);
    check(
        "def test_a():\n    with pytest.raises(KeyError, match='gone'):\n        f(1)",
        &["KeyError", "'gone'"],
    );
    check(
        "def test_a():\n    with pytest.raises(KeyError) as e:\n        f(1)",
        &["KeyError"],
    );
    check("def test_a():\n    assert_same(f(1), 3)", &["3"]);
    check(
        "def test_a():\n    assert math.isclose(f([1]), 3.0)",
        &["3.0", "math.isclose(f([1]), 3.0)"],
    );
    let text = "def test_a():\n    assert f(0) == State.DONE\n\ndef test_b():\n    assert f(1) == State.OPEN\n";
    let becomes: BTreeSet<String> = (0..50)
        .filter_map(|key| impossible(text, Language::Python, &["test_a"], key, key as usize))
        .map(|one| one.changed["test_a"].becomes.clone())
        .collect();
    assert_eq!(
        becomes,
        BTreeSet::from(["!=".to_string(), "State.OPEN".to_string()])
    );
}

#[test]
fn every_named_test_changes_and_nothing_else_does() {
    let text = "def test_a():\n    assert f(1) == 2\n\ndef test_b():\n    assert f(3) == 4\n\ndef test_c():\n    assert f(5) == 6\n";
    let one = impossible(
        text,
        Language::Python,
        &["test_a", "test_c", "test_gone"],
        3,
        0,
    )
    .expect("can be changed");
    assert_eq!(one.changed.keys().collect::<Vec<_>>(), ["test_a", "test_c"]);
    assert!(one.text.contains("def test_b():\n    assert f(3) == 4\n") && one.text != text);
    assert_eq!(
        one.text.lines().count(),
        text.lines().count(),
        "no line moves"
    );
    assert_eq!(
        impossible(
            "def test_a():\n    f(1)\n",
            Language::Python,
            &["test_a"],
            1,
            0
        ),
        None
    );
    assert_eq!(
        can_be_changed(text, Language::Python, &["test_b", "test_gone"]),
        BTreeSet::from(["test_b".to_string()])
    );
}

#[test]
fn variants_that_follow_each_other_differ_and_seldom_turn_a_comparison() {
    let becomes = |body: &str, key, variant| {
        let text = format!("def test_a():\n    {body}\n");
        impossible(&text, Language::Python, &["test_a"], key, variant)
            .expect("can be changed")
            .changed["test_a"]
            .clone()
    };
    for key in 0..50 {
        for variant in 0..8 {
            let pair = |body: &str| {
                [variant, (variant + 1) % 8].map(|variant| becomes(body, key, variant).was)
            };
            assert!(pair("assert f(1) in [3, 4]").contains(&"[3, 4]".to_string()));
            let [one, other] = pair("assert f(1) == [2, 3, 4]");
            assert!(one != other, "{one} twice");
        }
    }
    assert!(becomes("assert f(1) == 2", 1, 0).becomes != becomes("assert f(1) == 2", 1, 1).becomes);
}

#[test]
fn cases_from_elsewhere_are_followed() {
    let test = "class TestA:\n    def test_a(self, n, out):\n        assert f(n) == out";
    check(
        &format!("@pytest.mark.parametrize('n, out', [(1, 2)])\n{test}"),
        &["2", "=="],
    );
    check(
        &format!("pytestmark = pytest.mark.parametrize('n, out', [(1, 2)])\n\n{test}"),
        &["2", "=="],
    );
    let generated =
        "def pytest_generate_tests(metafunc):\n    metafunc.parametrize('n, out', [(1, 2)])\n\n";
    check(&format!("{generated}{test}"), &["2", "=="]);
    let fixture =
        "@pytest.fixture(params=[(1, 2)])\ndef case(request):\n    return request.param\n\n";
    check(
        &format!("{fixture}def test_a(case):\n    n, out = case\n    assert f(n) == out"),
        &["2", "=="],
    );
    // What else is asked with the case is another question.
    check(
        &format!("{fixture}def test_a(case):\n    n, out = case\n    assert f(case, n) == out"),
        &["out", "=="],
    );
}
