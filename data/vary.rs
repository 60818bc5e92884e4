//! Tests with other inputs.
//!
//! In: a test file in Python or JavaScript, and the names of tests in it. Out: the same file, where copies follow each of
//! them, every copy with one number, text or list changed that the test asks about, rather than expects: its own, or one
//! that it shares with others (a constant, a fixture). What a copy should say is not known: what it says over a patch is compared with what it says over the gold patch and the bug.
//! Example: behind `def test_sum(): assert add(1, 2) == 3` stands `def test_sum_varied_0(): assert add(2, 2) == 3`.

use std::collections::BTreeSet;
use std::ops::Range;

use tree_sitter::Node;

use crate::source::functions::parse;

mod javascript;
mod shared;

/// Part of the name of every copy.
const MARK: &str = "_varied_";
/// Changes of one value. Whoever knows a single answer fails with all of them.
pub const WAYS: usize = 4;
/// The first of them stay near.
const NEAR: usize = 2;
/// Lists with more items are left alone.
const LONG_LIST: usize = 40;

/// A test file with copies of its tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Varied {
    /// The file.
    pub text: String,
    /// What each copy changes, in the order of their numbers.
    pub changes: Vec<Change>,
}

/// One value of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The test, as `TestCart::test_sum`.
    pub test: String,
    /// Where the value stands in the file; the [`WAYS`] changes of one value share it.
    pub at: usize,
    /// The value.
    pub was: String,
    /// What it is in the copy.
    pub becomes: String,
    /// True where the new value is far from the old one, in size or length.
    pub far: bool,
    /// True where a list has other items, or the same in another order.
    pub of_list: bool,
    /// True where it belongs to one case of a parametrized test, and the other cases do not know it.
    pub of_case: bool,
}

impl Varied {
    /// What is changed in the copy that has this node id: `test_a.py::test_sum_varied_3[x]` is the fourth.
    pub fn change(&self, id: &str) -> Option<&Change> {
        let (_, number) = id.rsplit_once(MARK)?;
        let digits = number.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(number.len());
        self.changes.get(number[..digits].parse::<usize>().ok()?)
    }

    /// The numbers of the copies, in the order in which they run.
    pub fn in_order(&self) -> Vec<usize> {
        let numbers = self.text.split(MARK).skip(1).filter_map(|rest| {
            let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            rest[..digits].parse().ok()
        });
        numbers.collect()
    }
}

/// A test file with what stands beside it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The file.
    pub text: &'a str,
    /// Settings of its folders (`conftest.py`), whose fixtures the tests may ask for; empty where there are none.
    pub settings: &'a str,
    /// [`crate::task::JAVASCRIPT`], or any other word for Python.
    pub language: &'a str,
    /// Places of values that stay as they are ([`Change::at`]).
    pub without: &'a BTreeSet<usize>,
}

/// Puts copies behind `tests`, for at most `values` of their numbers, texts and lists, spread over all of them, and half as
/// many that they share. `None` where there is nothing to change. Another `round` changes the same values in other ways.
pub fn vary(source: Source<'_>, tests: &[&str], values: usize, round: usize) -> Option<Varied> {
    let Source { text, settings, language, without } = source;
    if language == crate::task::JAVASCRIPT {
        return javascript::vary(text, tests, values, round, without);
    }
    let expected = crate::impossible::expected_places(text, language, tests);
    // Read as one file, of which the end is left out again.
    let whole = format!("{text}\n{settings}");
    let tree = parse(&whole);
    let mut found = Vec::new();
    collect(tree.root_node(), &whole, "", &mut found);
    found.retain(|test| tests.contains(&test.name.as_str()) && test.node.end_byte() <= text.len());
    let shared = shared::of_file(tree.root_node(), &whole);
    let asked_for = |value: &Value| {
        !expected.iter().any(|range| overlap(range, &value.range)) && !without.contains(&value.range.start)
    };
    let of_test = |test| values_of(test, &whole, round).into_iter().filter(asked_for).map(move |value| (test, value));
    let of_others = |test| shared.values(test, round).into_iter().filter(asked_for).map(move |value| (test, value));
    let own: Vec<(&Test, Value)> = found.iter().flat_map(of_test).collect();
    let others: Vec<(&Test, Value)> = found.iter().flat_map(of_others).collect();
    let chosen = spread(&own, values).chain(spread(&others, values.div_ceil(2)));
    let mut changes = Vec::new();
    let mut insertions: Vec<(usize, String)> = Vec::new();
    for (test, value) in chosen {
        let of_case = value.hidden_by.is_none() && value.range.start < test.definition.start_byte();
        for (way, becomes) in value.becomes.iter().enumerate() {
            let number = changes.len();
            insertions.push((test.node.end_byte(), copy(test, &whole, value, becomes, number)));
            let was = whole[value.range.clone()].to_string();
            let (test, at, of_list) = (test.name.clone(), value.range.start, value.of_list);
            changes.push(Change { test, at, was, becomes: becomes.clone(), far: way >= NEAR, of_list, of_case });
        }
    }
    let mut varied = text.to_string();
    // Later places first, so that the earlier ones stay what they are.
    insertions.sort_by_key(|(end, _)| *end);
    for (end, copy) in insertions.into_iter().rev() {
        varied.insert_str(end, &copy);
    }
    (!changes.is_empty()).then_some(Varied { text: varied, changes })
}

/// At most `count` of these, at equal distances.
fn spread<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(all.len());
    (0..count).map(move |number| &all[number * all.len() / count])
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

struct Test<'a> {
    name: String,
    /// With its decorators.
    node: Node<'a>,
    definition: Node<'a>,
}

struct Value {
    range: Range<usize>,
    becomes: Vec<String>,
    of_list: bool,
    /// Where a copy defines what it shares once more, and how: the value goes into the hole.
    hidden_by: Option<(usize, shared::Hole)>,
}

impl Value {
    fn new(range: Range<usize>, becomes: Vec<String>) -> Self {
        Value { range, becomes, of_list: false, hidden_by: None }
    }
}

/// Functions and methods that stand in no other function.
fn collect<'a>(node: Node<'a>, text: &str, prefix: &str, found: &mut Vec<Test<'a>>) {
    for child in (0..node.named_child_count()).filter_map(|index| node.named_child(index as u32)) {
        let definition = child.child_by_field_name("definition").unwrap_or(child);
        let name = definition.child_by_field_name("name").map_or("", |name| &text[name.byte_range()]);
        match definition.kind() {
            "function_definition" if !child.has_error() => {
                found.push(Test { name: format!("{prefix}{name}"), node: child, definition });
            }
            "class_definition" => {
                if let Some(body) = definition.child_by_field_name("body") {
                    collect(body, text, &format!("{prefix}{name}::"), found);
                }
            }
            _ => {}
        }
    }
}

/// Numbers and texts that a test works with.
fn values_of(test: &Test, text: &str, round: usize) -> Vec<Value> {
    let mut values = Values { text, round, within_list: false, found: Vec::new() };
    for child in (0..test.node.named_child_count()).filter_map(|index| test.node.named_child(index as u32)) {
        match child.kind() {
            "decorator" => values.of_decorator(child),
            _ => values.visit(child),
        }
    }
    values.found
}

/// The values of one test.
struct Values<'a> {
    text: &'a str,
    round: usize,
    within_list: bool,
    found: Vec<Value>,
}

impl Values<'_> {
    /// Of decorators only the cases of `parametrize`: other values say how a test is run.
    fn of_decorator(&mut self, decorator: Node) {
        let call = decorator.named_child(0).filter(|call| call.kind() == "call");
        let named = |call: &Node| call.child_by_field_name("function").map(|name| &self.text[name.byte_range()]);
        let Some(call) = call.filter(|call| named(call).is_some_and(|name| name.ends_with("parametrize"))) else {
            return;
        };
        let Some(list) = call.child_by_field_name("arguments") else { return };
        let arguments = (0..list.named_child_count()).filter_map(|index| list.named_child(index as u32));
        let cases = arguments.filter(|one| one.kind() != "comment").skip(1);
        for one in cases.filter(|one| one.kind() != "keyword_argument") {
            // Another list of cases is no other input.
            if one.kind() == "list" { self.visit_children(one) } else { self.visit(one) }
        }
    }

    fn visit_children(&mut self, node: Node) {
        let children = (0..node.named_child_count()).filter_map(|index| node.named_child(index as u32));
        children.for_each(|child| self.visit(child));
    }

    fn visit(&mut self, node: Node) {
        let range = node.byte_range();
        let becomes = match node.kind() {
            "integer" => integers(&self.text[range.clone()], self.round),
            "float" => decimals(&self.text[range.clone()], self.round),
            // What stands alone is a comment in quotes.
            "string" if node.parent().is_some_and(|parent| parent.kind() == "expression_statement") => return,
            "string" => return self.of_string(node),
            // The rows of a table stay as long as each other, and what is no data stays as it is.
            "list" if !self.within_list && is_data(node, self.text) => {
                let items = (0..node.named_child_count()).filter_map(|index| node.named_child(index as u32));
                let items: Vec<&str> = items.map(|item| &self.text[item.byte_range()]).collect();
                if let Some(becomes) = lists(&items, self.round) {
                    self.found.push(Value { of_list: true, ..Value::new(range, becomes) });
                }
                self.within_list = true;
                self.visit_children(node);
                self.within_list = false;
                return;
            }
            _ => return self.visit_children(node),
        };
        if becomes.len() == WAYS {
            self.found.push(Value::new(range, becomes));
        }
    }

    /// Changes of the one plain piece of a string; one with escapes or places to fill in is left alone.
    fn of_string(&mut self, node: Node) {
        let mut children = (0..node.named_child_count()).filter_map(|index| node.named_child(index as u32));
        let Some(content) = children.find(|child| child.kind() == "string_content") else { return };
        let range = content.byte_range();
        let was = &self.text[range.clone()];
        let open = node.child(0).map_or("", |quote| &self.text[quote.byte_range()]).to_ascii_lowercase();
        if node.named_child_count() != 3 || open.contains('f') || was.contains(['\\', '\n']) {
            return;
        }
        let becomes = texts(was, self.round);
        if becomes.len() == WAYS {
            self.found.push(Value::new(range, becomes));
        }
    }
}

/// Other numbers: near, a little further, and far. The second round stays nearer.
fn integers(was: &str, round: usize) -> Vec<String> {
    let Ok(number) = was.parse::<u64>() else { return Vec::new() };
    let far = number.checked_mul(2).and_then(|two| two.checked_add(5));
    let others = match round {
        0 => [
            number.checked_add(1),
            number.checked_add(3),
            far,
            number.checked_mul(6).and_then(|six| six.checked_add(11)),
        ],
        _ => {
            let farther = |times: u64| number.checked_mul(times).and_then(|many| many.checked_add(8));
            [number.checked_add(2), number.checked_add(4), farther(3), farther(5)]
        }
    };
    others.into_iter().flatten().map(|other| other.to_string()).collect()
}

fn decimals(was: &str, round: usize) -> Vec<String> {
    let Ok(number) = was.parse::<f64>() else { return Vec::new() };
    let others = match round {
        0 => [number + 0.5, number + 3.25, number * 2.0 + 1.75, number * 6.0 + 11.5],
        _ => [number + 1.25, number + 2.5, number * 3.0 + 8.25, number * 5.0 + 4.75],
    };
    others.iter().filter(|other| other.is_finite()).map(|other| format!("{other:?}")).collect()
}

/// Every letter and digit is another one, a little further on or a lot; and that twice in a row. Nothing of the text is
/// left, not even its start, and its form stays.
fn texts(was: &str, round: usize) -> Vec<String> {
    if !was.contains(|letter: char| letter.is_ascii_alphanumeric()) {
        return Vec::new();
    }
    let further = |steps: u8| -> String {
        let turned = |letter: char, first: u8, count: u8| char::from(first + (letter as u8 - first + steps) % count);
        let change = |letter: char| match letter {
            '0'..='9' => turned(letter, b'0', 10),
            'a'..='z' => turned(letter, b'a', 26),
            'A'..='Z' => turned(letter, b'A', 26),
            other => other,
        };
        was.chars().map(change).collect()
    };
    match round {
        0 => vec![further(1), further(7), further(3).repeat(2), shorter(&further(9))],
        _ => vec![further(2), further(11), further(5).repeat(2), shorter(&further(4))],
    }
}

/// Numbers, texts, containers of them, and objects that are made of them.
fn is_data(node: Node, text: &str) -> bool {
    let children = || (0..node.named_child_count()).filter_map(|index| node.named_child(index as u32));
    match node.kind() {
        "integer" | "float" | "string" | "true" | "false" | "none" | "comment" => true,
        "list"
        | "tuple"
        | "set"
        | "dictionary"
        | "pair"
        | "unary_operator"
        | "argument_list"
        | "parenthesized_expression" => children().all(|child| is_data(child, text)),
        "keyword_argument" => node.child_by_field_name("value").is_some_and(|value| is_data(value, text)),
        "call" => {
            let class = node.child_by_field_name("function").map_or("", |name| &text[name.byte_range()]);
            let class = class.rsplit('.').next().unwrap_or(class);
            let arguments = node.child_by_field_name("arguments");
            class.starts_with(char::is_uppercase) && arguments.is_some_and(|given| is_data(given, text))
        }
        _ => false,
    }
}

/// Other lists of the same items: one more, another order; twice as many, one less. `None` for long and empty ones.
fn lists(items: &[&str], round: usize) -> Option<Vec<String>> {
    let (first, last) = (*items.first()?, *items.last()?);
    let written = |items: &[&str]| format!("[{}]", items.join(", "));
    if items.len() == 1 {
        return Some([2, 3, 4 + round, 0].map(|times| written(&vec![first; times])).to_vec());
    }
    let turned: Vec<&str> = items.iter().rev().copied().collect();
    let becomes = match round {
        0 => [[items, &[first]].concat(), [&[last], items].concat(), [items, items].concat(), items[1..].to_vec()],
        _ => {
            let less = items[..items.len() - 1].to_vec();
            [
                [items, &[last, first]].concat(),
                [turned.as_slice(), &[first]].concat(),
                [items, &turned, items].concat(),
                less,
            ]
        }
    };
    (items.len() <= LONG_LIST).then(|| becomes.iter().map(|items| written(items)).collect())
}

/// The larger part of a text of several letters; of one letter, three of it.
fn shorter(text: &str) -> String {
    let count = text.chars().count();
    if count < 3 { text.repeat(3) } else { text.chars().take(count - count / 3).collect() }
}

/// A copy of a test, with a blank line before it.
fn copy(test: &Test, text: &str, value: &Value, becomes: &str, number: usize) -> String {
    let start = test.node.start_byte();
    let line = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let name = test.definition.child_by_field_name("name").map_or(start..start, |name| name.byte_range());
    let changed = match &value.hidden_by {
        Some((at, hole)) => (*at..*at, format!("{}{becomes}{}", hole.before, hole.after)),
        None => (value.range.clone(), becomes.to_string()),
    };
    let mut edits = [changed, (name.end..name.end, format!("{MARK}{number}"))];
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut body = text[test.node.byte_range()].to_string();
    for (range, new) in edits {
        body.replace_range(range.start - start..range.end - start, &new);
    }
    format!("\n\n{}{body}", &text[line..start])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"import pytest

@pytest.mark.slow("no 1")
@pytest.mark.parametrize("a, b", [(1, "x-ray")], ids=["one"])
def test_pairs(a, b):
    """Docs 7."""
    assert pair(a, b) == f"{a}!"

def test_other():
    assert 5

class TestCart:
    def test_sum(self):
        assert Cart(0x10).sum("a\n", "é", '', [2.5]) is None  # 9
"#;

    static NONE: BTreeSet<usize> = BTreeSet::new();

    fn python(text: &str) -> Source<'_> {
        Source { text, settings: "", language: "python", without: &NONE }
    }

    fn changed(tests: &[&str]) -> Vec<(String, String)> {
        let varied = vary(python(TEXT), tests, 100, 0).expect("has values");
        varied.changes.into_iter().map(|change| (change.was, change.becomes)).collect()
    }

    #[test]
    fn numbers_and_texts_of_the_tests_that_are_asked_for_change() {
        let pairs = |list: &[(&str, &str)]| -> Vec<_> {
            list.iter().map(|(was, becomes)| ((*was).to_string(), (*becomes).to_string())).collect()
        };
        let of_number = pairs(&[("1", "2"), ("1", "4"), ("1", "7"), ("1", "17")]);
        let of_text = pairs(&["y-sbz", "e-yhf", "a-udba-udb", "g-aj"].map(|becomes| ("x-ray", becomes)));
        assert_eq!(changed(&["test_pairs"]), [of_number, of_text].concat());
        let lists = ["[2.5, 2.5]", "[2.5, 2.5, 2.5]", "[2.5, 2.5, 2.5, 2.5]", "[]"].map(|becomes| ("[2.5]", becomes));
        let decimals = ["3.0", "5.75", "6.75", "26.5"].map(|becomes| ("2.5", becomes));
        assert_eq!(changed(&["TestCart::test_sum"]), pairs(&[lists, decimals].concat()));
        assert_eq!(vary(python(TEXT), &["test_sum", "test_missing"], 100, 0), None);
    }

    #[test]
    fn copies_stand_behind_their_test_and_are_known_by_their_number() {
        let varied = vary(python(TEXT), &["test_other", "TestCart::test_sum"], 100, 0).expect("has values");
        let names: Vec<&str> = varied.text.lines().filter(|line| line.contains("def ")).map(str::trim).collect();
        assert_eq!(
            names[1..5],
            [
                "def test_other():",
                "def test_other_varied_0():",
                "def test_other_varied_1():",
                "def test_other_varied_2():"
            ]
        );
        assert!(varied.text.contains("\n\n    def test_sum_varied_4(self):\n        assert Cart(0x10).sum("));
        assert!(!parse(&varied.text).root_node().has_error());
        let change = varied.change("a.py::TestCart::test_sum_varied_10[é-1]").expect("is one");
        assert_eq!((change.test.as_str(), change.becomes.as_str()), ("TestCart::test_sum", "6.75"));
        assert!(!change.of_case && vary(python(TEXT), &["test_pairs"], 1, 0).expect("has values").changes[0].of_case);
        assert_eq!(varied.change("a.py::test_other"), None);
        assert_eq!(varied.in_order(), (0..varied.changes.len()).collect::<Vec<_>>());
        let without = BTreeSet::from([varied.changes[0].at]);
        let fewer = vary(Source { without: &without, ..python(TEXT) }, &["test_other"], 100, 0);
        assert_eq!(fewer, None);
        assert_eq!(varied.change("a.py::test_varied_99"), None);
    }

    #[test]
    fn few_values_are_spread_over_all() {
        let text = "def test_a():\n    assert f(1, 2, 3, 4, 5, 6)\n";
        let varied = vary(python(text), &["test_a"], 2, 0).expect("has values");
        let was: Vec<&str> = varied.changes.iter().map(|change| change.was.as_str()).collect();
        assert_eq!(was, ["1", "1", "1", "1", "4", "4", "4", "4"]);
    }

    /// Copies of `test_a` in which what it shares is another one.
    fn hidden(shared: &str, test: &str, settings: &str) -> Vec<String> {
        let text = format!("{shared}\n\n{test}");
        let source = Source { settings, ..python(&text) };
        let name = if test.contains("class ") { "TestA::test_a" } else { "test_a" };
        let Some(varied) = vary(source, &[name], 8, 0) else { return Vec::new() };
        assert!(!parse(&varied.text).root_node().has_error(), "{}", varied.text);
        assert!(varied.text.starts_with(&text[..text.len() - 1]));
        varied.text[text.len()..].split("def test_a_varied_").skip(1).map(str::to_string).collect()
    }

    #[test]
    fn what_tests_share_is_hidden_by_another_one() {
        let constant = hidden("N = 4", "def test_a():\n    assert f(N) == 3\n", "");
        assert_eq!(constant[0].trim_end(), "0():\n    N = 5\n    assert f(N) == 3");
        let helper = "N = 4\n\ndef make(by=1):\n    return Cart(N)";
        let copies = hidden(helper, "def test_a():\n    assert f(make()) == 3\n", "");
        assert!(
            copies[0].starts_with("0():\n    N = 5\n    def make(by=1):\n        return Cart(N)\n    assert f(make())")
        );
        let fixture = "import pytest\n\n\n@pytest.fixture\ndef cart(tmp_path):\n    yield Cart(4, tmp_path)\n";
        let test = "def test_a(cart, tmp_path):\n    \"\"\"Docs.\"\"\"\n    assert cart.n == 3\n";
        let expected = "0(cart, tmp_path):\n    def cart(tmp_path):\n        yield Cart(5, tmp_path)\n    cart = next(cart(tmp_path))\n    \"";
        assert!(hidden(fixture, test, "")[0].starts_with(expected));
        assert!(hidden("import pytest", test, fixture)[0].starts_with(expected));
        let class = "class TestA:\n    N = 4\n\n    def test_a(self):\n        assert f(self.N) == 3\n";
        assert!(hidden("", class, "")[0].starts_with("0(self):\n        self.N = 5\n        assert f(self.N) == 3"));
        assert!(hidden("N = 4", "def test_a():\n    assert f(8) == N\n", "").iter().all(|copy| !copy.contains("N = ")));
        assert!(hidden("N = 4", "def test_a(): assert f(N) == 3\n", "").is_empty());
    }
}
