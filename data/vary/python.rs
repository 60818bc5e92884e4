//! Copies of tests of pytest and unittest with other inputs.
//!
//! In: a test file, and the names of tests in it. Out: the same file, where copies follow each of them.
//! Example: behind `def test_sum(): assert add(1, 2) == 3` stands `def test_sum_varied_0(): assert add(2, 2) == 3`.
//!
//! Of `parametrize` a copy that changes a case has this case alone.

use std::ops::Range;

use tree_sitter::Node;

use super::literal::{decimals, formed_texts, integers, lists, texts, truth};
use super::shared::{Hole, Shared, of_file};
use super::{Change, MARK, Source, Varied, overlap, spread};
use crate::draw;
use crate::source::functions::parse;

/// A test.
pub(super) struct Test<'a> {
    name: String,
    /// With its decorators.
    pub node: Node<'a>,
    pub definition: Node<'a>,
}

/// A value that can be changed.
pub(super) struct Value {
    pub range: Range<usize>,
    pub becomes: Vec<String>,
    pub of_list: bool,
    pub place: Place,
}

/// Where the changed value goes.
#[derive(Clone)]
pub(super) enum Place {
    /// Where the value was.
    Own,
    /// The only case that a copy has; its list, and names of cases (`ids=…`) that go with it.
    Case { list: Range<usize>, case: Range<usize>, ids: Option<Range<usize>> },
    /// The start of the test, where what it shares is defined once more.
    Hidden { at: usize, hole: Hole },
}

/// As [`super::vary`].
pub(super) fn vary(source: Source<'_>, tests: &[&str], values: usize, key: u64) -> Option<Varied> {
    let Source { text, settings, language, without, copies } = source;
    let expected = crate::impossible::expected_places(text, language, tests);
    // Read as one file, of which the end is left out again.
    let whole = format!("{text}\n{settings}");
    let tree = parse(&whole);
    let mut found = Vec::new();
    collect(tree.root_node(), &whole, "", &mut found);
    let own = |name: &str| name.rsplit("::").next().map(str::to_string);
    let is_found = |name: &str| found.iter().any(|test: &Test| test.name == name);
    // A test that a class inherits stands in another class.
    let inherited: Vec<_> =
        tests.iter().filter(|name| name.contains("::") && !is_found(name)).map(|name| own(name)).collect();
    found.retain(|test| {
        let is_asked_for = tests.contains(&test.name.as_str()) || inherited.contains(&own(&test.name));
        is_asked_for && test.node.end_byte() <= text.len()
    });
    let shared = of_file(tree.root_node(), &whole);
    let asked_for = |value: &Value| {
        !expected.iter().any(|range| overlap(range, &value.range)) && !without.contains(&value.range.start)
    };
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for test in &found {
        let with_test = |value| (test, value);
        own.extend(values_of(test, &shared, key).into_iter().filter(asked_for).map(with_test));
        others.extend(shared.values(test, key).into_iter().filter(asked_for).map(with_test));
    }
    let mut changes = Vec::new();
    let mut insertions: Vec<(usize, String)> = Vec::new();
    for (test, value) in spread(&own, values, key).chain(spread(&others, values.div_ceil(2), key)) {
        for (way, becomes) in value.becomes.iter().enumerate() {
            if copies.has(changes.len(), way) {
                insertions.push((test.node.end_byte(), copy(test, &whole, value, becomes, changes.len())));
            }
            changes.push(Change {
                test: test.name.clone(),
                statement: statement_of(test, value),
                at: value.range.start,
                was: whole[value.range.clone()].to_string(),
                becomes: becomes.clone(),
                way,
                of_list: value.of_list,
            });
        }
    }
    Varied::new(text, insertions, changes)
}

/// Functions and methods that stand in no other function.
fn collect<'a>(node: Node<'a>, text: &str, prefix: &str, found: &mut Vec<Test<'a>>) {
    for child in children(node) {
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
            "if_statement" | "try_statement" | "block" | "else_clause" => collect(child, text, prefix, found),
            _ => {}
        }
    }
}

/// Where the part of a test begins that a value belongs to: a statement, a case, or what it shares.
fn statement_of(test: &Test, value: &Value) -> usize {
    match &value.place {
        Place::Case { case, .. } => case.start,
        Place::Hidden { .. } => value.range.start,
        Place::Own => {
            let body = test.definition.child_by_field_name("body").map_or(Vec::new(), children);
            let holds = |one: &&Node| one.start_byte() <= value.range.start && value.range.end <= one.end_byte();
            body.iter().find(holds).map_or(value.range.start, Node::start_byte)
        }
    }
}

/// Numbers, texts and lists that a test works with.
fn values_of(test: &Test, shared: &Shared, key: u64) -> Vec<Value> {
    let mut values = Values::new(shared.text, key);
    for child in children(test.node) {
        match child.kind() {
            "decorator" => values.of_decorator(child, shared),
            _ => values.visit(child),
        }
    }
    values.found
}

/// The values below some nodes.
pub(super) struct Values<'a> {
    text: &'a str,
    key: u64,
    within_list: bool,
    pub found: Vec<Value>,
}

impl<'a> Values<'a> {
    pub fn new(text: &'a str, key: u64) -> Self {
        Values { text, key, within_list: false, found: Vec::new() }
    }

    /// Of decorators only the cases of `parametrize`: other values say how a test is run.
    fn of_decorator(&mut self, decorator: Node<'a>, shared: &Shared<'a>) {
        let call = decorator.named_child(0).filter(|call| call.kind() == "call");
        let named = |call: &Node| call.child_by_field_name("function").map(|name| &self.text[name.byte_range()]);
        let Some(call) = call.filter(|call| named(call).is_some_and(|name| name.ends_with("parametrize"))) else {
            return;
        };
        let given = call.child_by_field_name("arguments").map_or(Vec::new(), children);
        let keyword = |name: &str| {
            let is_it = |one: &&Node| {
                let word = one.child_by_field_name("name").filter(|_| one.kind() == "keyword_argument");
                word.is_some_and(|word| &self.text[word.byte_range()] == name)
            };
            given.iter().find(is_it).copied()
        };
        let positional: Vec<Node> =
            given.iter().filter(|one| !matches!(one.kind(), "comment" | "keyword_argument")).copied().collect();
        let named = keyword("argvalues").and_then(|one| one.child_by_field_name("value"));
        let Some(list) = positional.get(1).copied().or(named) else { return };
        let ids = keyword("ids").map(|one| self.with_comma(one.byte_range()));
        let Some(cases) = shared.written_down(list).filter(|cases| matches!(cases.kind(), "list" | "tuple")) else {
            return self.visit(list);
        };
        for case in children(cases).into_iter().filter(|case| case.kind() != "comment") {
            let before = self.found.len();
            // A case is no input, but what it holds is.
            if case.kind() == "tuple" {
                self.visit_children(case)
            } else {
                self.visit(case)
            }
            let place = Place::Case { list: list.byte_range(), case: case.byte_range(), ids: ids.clone() };
            self.found[before..].iter_mut().for_each(|value| value.place = place.clone());
        }
    }

    /// An argument with the comma in front of it.
    fn with_comma(&self, range: Range<usize>) -> Range<usize> {
        self.text[..range.start].rfind(',').map_or(range.start, |comma| comma)..range.end
    }

    fn visit_children(&mut self, node: Node) {
        children(node).into_iter().for_each(|child| self.visit(child));
    }

    pub fn visit(&mut self, node: Node) {
        let range = node.byte_range();
        let (was, key) = (&self.text[range.clone()], draw::key(self.key, &[range.start as u64]));
        match node.kind() {
            "integer" => self.push(range, integers(was, key)),
            "float" => self.push(range, decimals(was, key)),
            "true" | "false" => self.push(range, truth(was)),
            "comparison_operator" if self.compares_with_itself(node) => {}
            // What stands alone is a comment in quotes.
            "string" if node.parent().is_some_and(|parent| parent.kind() == "expression_statement") => {}
            "string" => self.of_string(node, key),
            // The rows of a table stay as long as each other, and what is no data stays as it is.
            "list" if !self.within_list && is_data(node, self.text) => {
                let items = children(node).into_iter().filter(|item| item.kind() != "comment");
                let items: Vec<&str> = items.map(|item| &self.text[item.byte_range()]).collect();
                let becomes = lists(&items, key);
                self.found.extend(becomes.map(|becomes| Value { range, becomes, of_list: true, place: Place::Own }));
                self.within_list = true;
                self.visit_children(node);
                self.within_list = false;
            }
            _ => self.visit_children(node),
        }
    }

    /// `token("a") == token("a")`: any value is right, so other inputs show nothing.
    fn compares_with_itself(&self, comparison: Node) -> bool {
        let called = |side: &Node| side.child_by_field_name("function").map(|name| &self.text[name.byte_range()]);
        let sides: Vec<Option<&str>> = children(comparison).iter().map(called).collect();
        matches!(sides.as_slice(), [Some(one), Some(other)] if one == other)
    }

    fn push(&mut self, range: Range<usize>, becomes: Vec<String>) {
        if !becomes.is_empty() {
            self.found.push(Value { range, becomes, of_list: false, place: Place::Own });
        }
    }

    /// The one plain piece of a string, or the letters of one with escapes, lines or places to fill in.
    fn of_string(&mut self, node: Node, key: u64) {
        let content = children(node).into_iter().find(|child| child.kind() == "string_content");
        let Some(content) = content else { return };
        let was = &self.text[content.byte_range()];
        let open = node.child(0).map_or("", |quote| &self.text[quote.byte_range()]).to_ascii_lowercase();
        if node.named_child_count() == 3 && !open.contains('f') && !was.contains(['\\', '\n']) {
            return self.push(content.byte_range(), texts(was, key));
        }
        self.push(node.byte_range(), formed_texts(&self.text[node.byte_range()], key));
    }
}

/// Numbers, texts, containers of them, and objects that are made of them.
fn is_data(node: Node, text: &str) -> bool {
    match node.kind() {
        "integer" | "float" | "string" | "true" | "false" | "none" | "comment" => true,
        "list"
        | "tuple"
        | "set"
        | "dictionary"
        | "pair"
        | "unary_operator"
        | "argument_list"
        | "parenthesized_expression" => children(node).into_iter().all(|child| is_data(child, text)),
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

/// A copy of a test, with a blank line before it.
fn copy(test: &Test, text: &str, value: &Value, becomes: &str, number: usize) -> String {
    let start = test.node.start_byte();
    let line = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let name = test.definition.child_by_field_name("name").map_or(start..start, |name| name.byte_range());
    let mut edits = vec![(name.end..name.end, format!("{MARK}{number}"))];
    match &value.place {
        Place::Own => edits.push((value.range.clone(), becomes.to_string())),
        Place::Hidden { at, hole } => edits.push((*at..*at, format!("{}{becomes}{}", hole.before, hole.after))),
        Place::Case { list, case, ids } => {
            let mut alone = text[case.clone()].to_string();
            alone.replace_range(value.range.start - case.start..value.range.end - case.start, becomes);
            edits.push((list.clone(), format!("[{alone}]")));
            edits.extend(ids.clone().map(|ids| (ids, String::new())));
        }
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut body = text[test.node.byte_range()].to_string();
    for (range, new) in edits {
        body.replace_range(range.start - start..range.end - start, &new);
    }
    format!("\n\n{}{body}", &text[line..start])
}

/// The named children.
pub(super) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    (0..node.named_child_count()).filter_map(|index| node.named_child(index as u32)).collect()
}
