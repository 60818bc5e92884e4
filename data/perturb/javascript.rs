//! Copies of tests of jest with other inputs.
//!
//! In: a test file, and the names of tests in it. Out: the same file, where copies follow each of them.
//! Example: `test('sum', () => { expect(add(1, 2)).toBe(3); })` is followed by
//! `, test('sum_varied_0', () => { expect(add(2, 2)).toBe(3); })`.
//!
//! Of `test.each` a copy that changes a case has this case alone. A constant that a test shares with others is declared
//! once more at the start of a copy: `const lines = [{ count: 3 }];`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tree_sitter::Node;

use super::literal::{decimals, integers, lists, texts, truth};
use super::{Change, MARK, Perturbed, Source, overlap, spread};
use crate::draw;
use crate::impossible::javascript::functions::{self, Function};
use crate::impossible::javascript::{arguments, children, parse};

/// One value, and the part of the test that a copy exchanges for it.
struct Value {
    range: Range<usize>,
    becomes: Vec<String>,
    of_list: bool,
    place: Place,
}

/// Where the changed value goes.
#[derive(Clone)]
enum Place {
    /// Where the value was.
    Own,
    /// The cases of a test, and the only one that a copy has.
    Case(Range<usize>, Case),
    /// A place at the start of the test, and the declaration that goes there.
    Declared(usize, Range<usize>),
}

/// One case of `test.each`, written as a table.
#[derive(Clone)]
struct Case {
    before: String,
    row: Range<usize>,
    after: &'static str,
}

/// As [`super::perturb`].
pub(super) fn perturb(
    source: Source<'_>,
    tests: &[&str],
    values: usize,
    key: u64,
) -> Option<Perturbed> {
    let Source {
        text,
        without,
        copies,
        ..
    } = source;
    let expected =
        crate::impossible::expected_places(text, crate::task::Language::JavaScript, tests);
    let tree = parse(text);
    let functions = functions::of_file(tree.root_node(), text);
    let mut chosen: BTreeMap<usize, (&Function, &str)> = BTreeMap::new();
    for test in tests {
        for function in functions::named(&functions, test) {
            chosen
                .entry(function.call.start_byte())
                .or_insert((function, *test));
        }
    }
    let asked_for = |value: &Value| {
        !expected.iter().any(|range| overlap(range, &value.range))
            && !without.contains(&value.range.start)
    };
    let (mut own, mut shared): (Vec<(&Function, &str, Value)>, Vec<_>) = (Vec::new(), Vec::new());
    for (function, test) in chosen.into_values() {
        let with_test = |value| (function, test, value);
        own.extend(
            values_of(function, text, key)
                .into_iter()
                .filter(asked_for)
                .map(with_test),
        );
        shared.extend(
            shared_values(function, text, key)
                .into_iter()
                .filter(asked_for)
                .map(with_test),
        );
    }
    let mut changes = Vec::new();
    let mut insertions: Vec<(usize, String)> = Vec::new();
    for (function, test, value) in
        spread(&own, values, key).chain(spread(&shared, values.div_ceil(2), key))
    {
        for (way, becomes) in value.becomes.iter().enumerate() {
            if copies.has(changes.len(), way) {
                insertions.push((
                    function.call.end_byte(),
                    copy(function, text, value, becomes, changes.len()),
                ));
            }
            changes.push(Change {
                test: (*test).to_string(),
                statement: statement_of(function, value),
                asks: String::new(),
                at: value.range.start,
                was: text[value.range.clone()].to_string(),
                becomes: becomes.clone(),
                way,
                of_list: value.of_list,
            });
        }
    }
    Perturbed::new(text, insertions, changes)
}

/// Where the part of a test begins that a value belongs to: a statement, a case, or what it shares.
fn statement_of(function: &Function, value: &Value) -> usize {
    match &value.place {
        Place::Case(_, case) => case.row.start,
        Place::Declared(..) => value.range.start,
        Place::Own => {
            let body = function
                .body
                .child_by_field_name("body")
                .map_or(Vec::new(), children);
            let holds = |one: &&Node| {
                one.start_byte() <= value.range.start && value.range.end <= one.end_byte()
            };
            body.iter()
                .find(holds)
                .map_or(value.range.start, Node::start_byte)
        }
    }
}

/// Numbers and texts that a test works with, those of its cases among them.
fn values_of(function: &Function, text: &str, key: u64) -> Vec<Value> {
    let mut found = Vec::new();
    if let Some(table) = function.table {
        for (case, nodes) in cases_of(table, text) {
            let before = found.len();
            nodes
                .into_iter()
                .for_each(|node| visit(node, text, key, false, &mut found));
            found[before..]
                .iter_mut()
                .for_each(|value| value.place = Place::Case(table.byte_range(), case.clone()));
        }
    }
    visit(function.body, text, key, false, &mut found);
    found
}

/// Values of constants that a test shares with others: those of the blocks that it stands in.
fn shared_values(function: &Function, text: &str, key: u64) -> Vec<Value> {
    let Some(block) = function
        .body
        .child_by_field_name("body")
        .filter(|body| body.kind() == "statement_block")
    else {
        return Vec::new();
    };
    let names = names_in(function.body, text);
    let (mut found, mut hidden) = (
        Vec::new(),
        declared_in(block, text)
            .into_keys()
            .collect::<BTreeSet<&str>>(),
    );
    let parameters = function.body.child_by_field_name("parameters");
    hidden.extend(parameters.map_or(BTreeSet::new(), |list| names_in(list, text)));
    let mut outer = function.call.parent();
    while let Some(node) = outer {
        for (name, declaration) in declared_in(node, text) {
            let value = declaration
                .child_by_field_name("value")
                .filter(|_| names.contains(name) && hidden.insert(name));
            let Some(value) = value.filter(|value| is_plain(*value)) else {
                continue;
            };
            let before = found.len();
            visit(value, text, key, false, &mut found);
            let place = Place::Declared(block.start_byte() + 1, declaration.byte_range());
            found[before..]
                .iter_mut()
                .for_each(|value| value.place = place.clone());
        }
        outer = node.parent();
    }
    found
}

/// The declarations of a block, by name.
fn declared_in<'a>(block: Node<'a>, text: &'a str) -> BTreeMap<&'a str, Node<'a>> {
    let declarations = children(block)
        .into_iter()
        .filter(|one| one.kind().ends_with("_declaration"))
        .flat_map(children);
    let named = |one: Node<'a>| {
        let name = one
            .child_by_field_name("name")
            .filter(|name| one.kind() == "variable_declarator" && name.kind() == "identifier");
        Some((&text[name?.byte_range()], one))
    };
    declarations.filter_map(named).collect()
}

fn names_in<'a>(node: Node<'a>, text: &'a str) -> BTreeSet<&'a str> {
    let own = matches!(node.kind(), "identifier" | "shorthand_property_identifier")
        .then(|| &text[node.byte_range()]);
    own.into_iter()
        .chain(
            children(node)
                .into_iter()
                .flat_map(|child| names_in(child, text)),
        )
        .collect()
}

/// A number, a text, or a container of plain values.
fn is_plain(node: Node) -> bool {
    match node.kind() {
        "number" | "string" | "true" | "false" | "null" | "undefined" | "property_identifier" => {
            true
        }
        "array"
        | "object"
        | "pair"
        | "unary_expression"
        | "parenthesized_expression"
        | "arguments" => children(node).into_iter().all(is_plain),
        "new_expression" => node.child_by_field_name("arguments").is_some_and(is_plain),
        _ => false,
    }
}

/// Each case, with the nodes that hold its values.
fn cases_of<'a>(table: Node<'a>, text: &str) -> Vec<(Case, Vec<Node<'a>>)> {
    if table.kind() == "template_string" {
        let fields: Vec<Node> = children(table)
            .into_iter()
            .filter(|one| one.kind() == "template_substitution")
            .collect();
        let Some(first) = fields.first() else {
            return Vec::new();
        };
        let heads = text[table.start_byte() + 1..first.start_byte()].trim();
        let before = format!("`{heads}\n");
        let row = |row: &[Node<'a>]| {
            let (start, end) = (row[0].start_byte(), row[row.len() - 1].end_byte());
            (
                Case {
                    before: before.clone(),
                    row: start..end,
                    after: "\n`",
                },
                row.to_vec(),
            )
        };
        return fields.chunks(heads.split('|').count()).map(row).collect();
    }
    let list = children(table)
        .first()
        .copied()
        .and_then(|list| written_down(list, text));
    let rows = list.map_or(Vec::new(), children);
    let row = |row: Node<'a>| {
        // A case of several values is no list that a test asks about.
        let values = if row.kind() == "array" {
            children(row)
        } else {
            vec![row]
        };
        (
            Case {
                before: "([".to_string(),
                row: row.byte_range(),
                after: "])",
            },
            values,
        )
    };
    rows.into_iter()
        .filter(|row| row.kind() != "spread_element")
        .map(row)
        .collect()
}

/// An array, or the array that a name of the file stands for.
fn written_down<'a>(list: Node<'a>, text: &str) -> Option<Node<'a>> {
    if list.kind() == "array" {
        return Some(list);
    }
    let mut root = list;
    while let Some(parent) = root.parent() {
        root = parent;
    }
    let name = (list.kind() == "identifier").then(|| &text[list.byte_range()])?;
    let declarations = children(root)
        .into_iter()
        .filter(|one| one.kind().ends_with("_declaration"))
        .flat_map(children);
    let is_it = |one: &Node| {
        one.child_by_field_name("name")
            .is_some_and(|known| &text[known.byte_range()] == name)
    };
    let value = declarations
        .into_iter()
        .find(is_it)?
        .child_by_field_name("value")?;
    (value.kind() == "array").then_some(value)
}

fn visit(node: Node, text: &str, key: u64, within_array: bool, found: &mut Vec<Value>) {
    let (range, was) = (node.byte_range(), &text[node.byte_range()]);
    let drawn = draw::key(key, &[range.start as u64]);
    let becomes = match node.kind() {
        "number" if was.contains('.') => decimals(was, drawn),
        "number" => integers(was, drawn),
        "true" | "false" => truth(was),
        // A piece of a text, between its escapes and fields.
        "string_fragment" if !was.contains('\n') => texts(was, drawn),
        "string" if stands_alone(node) => return,
        "call_expression" if names_a_module(node, text) => return,
        // The rows of a table stay as long as each other, and what is no data stays as it is.
        "array" if !within_array && is_plain(node) => {
            let items: Vec<&str> = children(node)
                .into_iter()
                .map(|item| &text[item.byte_range()])
                .collect();
            let becomes = lists(&items, drawn);
            found.extend(becomes.map(|becomes| Value {
                range,
                becomes,
                of_list: true,
                place: Place::Own,
            }));
            return children(node)
                .into_iter()
                .for_each(|child| visit(child, text, key, true, found));
        }
        _ => {
            return children(node)
                .into_iter()
                .for_each(|child| visit(child, text, key, within_array, found));
        }
    };
    if !becomes.is_empty() {
        found.push(Value {
            range,
            becomes,
            of_list: false,
            place: Place::Own,
        });
    }
}

/// A text that stands alone, as `'use strict'` does.
fn stands_alone(node: Node) -> bool {
    node.parent()
        .is_some_and(|parent| parent.kind() == "expression_statement")
}

/// `require('./money')`, `jest.mock('fs')`, `import('x')`.
fn names_a_module(call: Node, text: &str) -> bool {
    let function = call
        .child_by_field_name("function")
        .map_or("", |function| &text[function.byte_range()]);
    let few = arguments(call).len() <= 2;
    few && (function == "require"
        || function == "import"
        || function.starts_with("jest.") && function.contains("ock"))
}

/// A copy of a test, as one more operand of a comma: it runs wherever the test itself does.
fn copy(function: &Function, text: &str, value: &Value, becomes: &str, number: usize) -> String {
    let start = function.call.start_byte();
    let name = function.name.byte_range();
    let mut edits = match function.name.kind() {
        "string" | "template_string" => {
            vec![(name.end - 1..name.end - 1, format!("{MARK}{number}"))]
        }
        _ => vec![(
            name.start..name.end,
            format!("({}) + '{MARK}{number}'", &text[name.clone()]),
        )],
    };
    let changed = |outer: &Range<usize>| {
        let mut whole = text[outer.clone()].to_string();
        whole.replace_range(
            value.range.start - outer.start..value.range.end - outer.start,
            becomes,
        );
        whole
    };
    edits.push(match &value.place {
        Place::Own => (value.range.clone(), becomes.to_string()),
        Place::Case(table, case) => (
            table.clone(),
            format!("{}{}{}", case.before, changed(&case.row), case.after),
        ),
        Place::Declared(at, declaration) => (*at..*at, format!(" const {};", changed(declaration))),
    });
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut body = text[function.call.byte_range()].to_string();
    for (range, new) in edits {
        body.replace_range(range.start - start..range.end - start, &new);
    }
    format!(",\n{body}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perturb::Copies;

    fn js(text: &str, tests: &[&str]) -> Option<Perturbed> {
        let source = Source {
            text,
            settings: "",
            language: crate::task::Language::JavaScript,
            without: &BTreeSet::new(),
            copies: Copies::All,
            data: &BTreeMap::new(),
            besides: &[],
        };
        perturb(source, tests, 100, 0)
    }

    fn check(text: &str, expected: &[&str]) {
        let Some(varied) = js(text, &["a"]) else {
            return assert!(expected.is_empty());
        };
        assert!(
            !parse(&varied.text).root_node().has_error(),
            "{}",
            varied.text
        );
        let mut changes: Vec<&Change> = varied.changes.iter().collect();
        changes.sort_by_key(|change| change.at);
        let mut was: Vec<&str> = changes
            .into_iter()
            .map(|change| change.was.as_str())
            .collect();
        was.dedup();
        assert_eq!(was, expected, "{}", varied.text);
    }

    #[test]
    fn what_a_test_asks_about_changes_and_what_it_expects_does_not() {
        check(
            "test('a', () => { expect(add(1, 'x')).toBe(3); });\n",
            &["1", "x"],
        );
        check(
            "test('a', () => { 'use strict'; const f = require('./f');\n  expect(f(2.5)).toBe('q'); });\n",
            &["2.5"],
        );
        check(
            "test.each([[1, 2], [3, 4]])('a', (x, want) => { expect(f(x)).toBe(want); });\n",
            &["1", "3"],
        );
        check(
            "test.each`x | want\n${1} | ${2}\n${3} | ${4}\n`('a', ({ x, want }) => { expect(f(x)).toBe(want); });\n",
            &["1", "3"],
        );
        check(
            "const C = [['k', 2]];\ntest.each(C)('a', (x, want) => { expect(f(x)).toBe(want); });\n",
            &["k"],
        );
        assert_eq!(
            js("test('a', () => { expect(f()).toBe(3); });\n", &["a", "b"]),
            None
        );
        check(
            "test('a', () => { expect(add([7, 8])).toBe(3); });\n",
            &["[7, 8]", "7", "8"],
        );
        check(
            "const n = 4;\nconst other = 5;\ntest('a', () => { expect(f(n)).toBe(3); });\n",
            &["4"],
        );
        check(
            "const n = 4;\ntest('a', () => { const n = f(); expect(g(n)).toBe(3); });\n",
            &[],
        );
    }

    #[test]
    fn copies_stand_behind_their_test_and_are_known_by_their_number() {
        let text = "describe('d', () => {\n  for (const n of [1]) test(`a ${n}`, () => expect(f(n, 5)).toBe(7));\n});\n";
        let varied = js(text, &["d > a 1"]).expect("has values");
        let first = format!(
            "toBe(7)),\ntest(`a ${{n}}_varied_0`, () => expect(f(n, {})).toBe(7)),\ntest(",
            varied.changes[0].becomes
        );
        assert!(varied.text.contains(&first), "{}", varied.text);
        assert!(varied.text.ends_with("toBe(7));\n});\n"));
        let change = varied
            .change("a.test.js::d > a 1_varied_1")
            .expect("is one");
        assert_eq!(
            (change.test.as_str(), change.was.as_str(), change.way),
            ("d > a 1", "5", 1)
        );
        let text =
            "test.each([[1, 2], [3, 4]])('a %i', (x, want) => { expect(f(x)).toBe(want); });\n";
        let varied = js(text, &["a 1", "a 3"]).expect("has values");
        assert!(
            varied.text.contains(", 2]])('a %i_varied_0', (x, want) =>")
                || varied.text.contains(", 4]])('a %i_varied_0', (")
        );
    }
}
