//! Copies of tests of pytest and unittest with other inputs.
//!
//! In: a test file, and the names of tests in it. Out: the same file, where copies follow each of them.
//! Example: behind `def test_sum(): assert add(1, 2) == 3` stands `def test_sum_varied_0(): assert add(2, 2) == 3`.
//!
//! Of `parametrize` a copy that changes a case has this case alone. Members of enumerations become other members.

use std::collections::BTreeSet;
use std::ops::Range;

use tree_sitter::Node;

use super::cases::outside;
use super::files::{Files, holds_expected};
use super::literal::{decimals, formed_texts, integers, lists, texts, truth};
use super::shared::{Hole, Shared, of_file};
use super::{Change, MARK, ONCE, Perturbed, Source, overlap, spread_over_groups};
use crate::draw;
use crate::source::functions::parse;

/// Other members of an enumeration that one becomes.
const MEMBERS: usize = 4;

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
    /// The last name of the call that the value is given to; empty without one.
    pub asks: String,
    pub place: Place,
}

impl Value {
    /// What one of its copies changes.
    fn change(&self, test: &Test, text: &str, way: usize) -> Change {
        Change {
            test: test.name.clone(),
            statement: statement_of(test, self),
            asks: self.asks.clone(),
            at: self.range.start,
            was: text[self.range.clone()].to_string(),
            becomes: self.becomes[way].clone(),
            way,
            of_list: self.of_list,
        }
    }
}

/// Where the changed value goes.
#[derive(Clone)]
pub(super) enum Place {
    /// Where the value was.
    Own,
    /// The only case that a copy has; its list, and names of cases (`ids=…`) that go with it.
    Case {
        list: Range<usize>,
        case: Range<usize>,
        ids: Option<Range<usize>>,
    },
    /// The start of the test, where what it shares is defined once more.
    Hidden { at: usize, hole: Hole },
    /// The start of the test, where its parameters are those of this case of its class or its module.
    Bound { at: usize, hole: Hole, case: usize },
    /// A decorator, which gives a fixture this parameter alone.
    Param { hole: Hole, case: usize },
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
        settings,
        language,
        without,
        copies,
        data,
        besides,
    } = source;
    let all = [tests, besides].concat();
    let expected = crate::impossible::expected_places(text, language, &all);
    // Read as one file, of which the end is left out again.
    let whole = format!("{text}\n{settings}");
    let tree = parse(&whole);
    let mut found = Vec::new();
    collect(tree.root_node(), &whole, "", &mut found);
    let own = |name: &str| name.rsplit("::").next().map(str::to_string);
    let is_found = |name: &str| found.iter().any(|test: &Test| test.name == name);
    // A test that a class inherits stands in another class.
    let inherited: Vec<_> = all
        .iter()
        .filter(|name| name.contains("::") && !is_found(name))
        .map(|name| own(name))
        .collect();
    found.retain(|test| {
        let is_asked_for =
            all.contains(&test.name.as_str()) || inherited.contains(&own(&test.name));
        is_asked_for && test.node.end_byte() <= text.len()
    });
    let shared = of_file(tree.root_node(), &whole);
    let files = Files::new(data, key);
    let asked_for = |value: &Value| {
        !expected.iter().any(|range| overlap(range, &value.range))
            && !without.contains(&value.range.start)
    };
    let (mut own, mut others, mut apart) = (Vec::new(), Vec::new(), Vec::new());
    for test in &found {
        let with_test = |value| (test, value);
        let is_besides = besides.contains(&test.name.as_str());
        let values = if is_besides { &mut apart } else { &mut own };
        values.extend(
            values_of(test, &shared, &files, key)
                .into_iter()
                .filter(asked_for)
                .map(with_test),
        );
        let around = outside(test, &shared, tree.root_node(), text.len(), &files, key);
        values.extend(around.into_iter().filter(asked_for).map(with_test));
        if is_besides {
            continue;
        }
        others.extend(
            shared
                .values(test, &files, key)
                .into_iter()
                .filter(asked_for)
                .map(with_test),
        );
    }
    let mut changes = Vec::new();
    let mut insertions: Vec<(usize, String)> = Vec::new();
    let group = |(test, value): &(&Test, Value)| {
        if value.asks.is_empty() {
            test.name.clone()
        } else {
            value.asks.clone()
        }
    };
    let mut chosen = spread_over_groups(&own, values, key, group);
    chosen.extend(spread_over_groups(&others, values.div_ceil(2), key, group));
    chosen.extend(spread_over_groups(&apart, values / 3, key, group));
    for (test, value) in chosen {
        for (way, becomes) in value.becomes.iter().enumerate() {
            if copies.has(changes.len(), way) {
                insertions.push((
                    test.node.end_byte(),
                    copy(test, &whole, value, becomes, changes.len()),
                ));
            }
            changes.push(value.change(test, &whole, way));
        }
    }
    let written = files.written(&changes);
    Perturbed::new(text, insertions, changes).map(|varied| Perturbed {
        files: written,
        ..varied
    })
}

/// Functions and methods that stand in no other function.
fn collect<'a>(node: Node<'a>, text: &str, prefix: &str, found: &mut Vec<Test<'a>>) {
    for child in children(node) {
        let definition = child.child_by_field_name("definition").unwrap_or(child);
        let name = definition
            .child_by_field_name("name")
            .map_or("", |name| &text[name.byte_range()]);
        match definition.kind() {
            "function_definition" if !child.has_error() => {
                found.push(Test {
                    name: format!("{prefix}{name}"),
                    node: child,
                    definition,
                });
            }
            "class_definition" => {
                if let Some(body) = definition.child_by_field_name("body") {
                    collect(body, text, &format!("{prefix}{name}::"), found);
                }
            }
            "if_statement" | "try_statement" | "block" | "else_clause" => {
                collect(child, text, prefix, found)
            }
            _ => {}
        }
    }
}

/// Where the part of a test begins that a value belongs to: a statement, a case, or what it shares.
fn statement_of(test: &Test, value: &Value) -> usize {
    match &value.place {
        Place::Case { case, .. } => case.start,
        Place::Bound { case, .. } | Place::Param { case, .. } => *case,
        Place::Hidden { .. } => value.range.start,
        Place::Own => {
            let body = test
                .definition
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

/// Numbers, texts and lists that a test works with.
fn values_of(test: &Test, shared: &Shared, files: &Files, key: u64) -> Vec<Value> {
    let mut values = Values::new(shared.text, files, key);
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
    files: &'a Files<'a>,
    key: u64,
    within_list: bool,
    pub found: Vec<Value>,
}

impl<'a> Values<'a> {
    pub fn new(text: &'a str, files: &'a Files<'a>, key: u64) -> Self {
        Values {
            text,
            files,
            key,
            within_list: false,
            found: Vec::new(),
        }
    }

    /// The values of a case. A case is no input, but what it holds is.
    pub fn of_case(&mut self, case: Node<'a>) {
        if case.kind() == "tuple" {
            self.visit_children(case)
        } else {
            self.visit(case)
        }
    }

    /// Of decorators only the cases of `parametrize`: other values say how a test is run.
    fn of_decorator(&mut self, decorator: Node<'a>, shared: &Shared<'a>) {
        let call = decorator
            .named_child(0)
            .filter(|call| call.kind() == "call");
        let named = |call: &Node| {
            call.child_by_field_name("function")
                .map(|name| &self.text[name.byte_range()])
        };
        let Some(call) =
            call.filter(|call| named(call).is_some_and(|name| name.ends_with("parametrize")))
        else {
            return;
        };
        let given = call
            .child_by_field_name("arguments")
            .map_or(Vec::new(), children);
        let keyword = |name: &str| {
            let is_it = |one: &&Node| {
                let word = one
                    .child_by_field_name("name")
                    .filter(|_| one.kind() == "keyword_argument");
                word.is_some_and(|word| &self.text[word.byte_range()] == name)
            };
            given.iter().find(is_it).copied()
        };
        let positional: Vec<Node> = given
            .iter()
            .filter(|one| !matches!(one.kind(), "comment" | "keyword_argument"))
            .copied()
            .collect();
        let named = keyword("argvalues").and_then(|one| one.child_by_field_name("value"));
        let Some(list) = positional.get(1).copied().or(named) else {
            return;
        };
        let ids = keyword("ids").map(|one| self.with_comma(one.byte_range()));
        let Some(cases) = shared
            .written_down(list)
            .filter(|cases| matches!(cases.kind(), "list" | "tuple"))
        else {
            return self.visit(list);
        };
        for case in children(cases)
            .into_iter()
            .filter(|case| case.kind() != "comment")
        {
            let before = self.found.len();
            self.of_case(case);
            let place = Place::Case {
                list: list.byte_range(),
                case: case.byte_range(),
                ids: ids.clone(),
            };
            self.found[before..]
                .iter_mut()
                .for_each(|value| value.place = place.clone());
        }
    }

    /// An argument with the comma in front of it.
    fn with_comma(&self, range: Range<usize>) -> Range<usize> {
        self.text[..range.start]
            .rfind(',')
            .map_or(range.start, |comma| comma)..range.end
    }

    fn visit_children(&mut self, node: Node) {
        children(node)
            .into_iter()
            .for_each(|child| self.visit(child));
    }

    pub fn visit(&mut self, node: Node) {
        let range = node.byte_range();
        let (was, key) = (
            &self.text[range.clone()],
            draw::key(self.key, &[range.start as u64]),
        );
        match node.kind() {
            "integer" => self.push(node, range, integers(was, key)),
            "float" => self.push(node, range, decimals(was, key)),
            "true" | "false" => self.push(node, range, truth(was)),
            "attribute" if self.is_member(node) => {
                self.push(node, range, self.other_members(was, key))
            }
            "comparison_operator" if self.compares_with_itself(node) => {}
            // What stands alone is a comment in quotes.
            "string"
                if node
                    .parent()
                    .is_some_and(|parent| parent.kind() == "expression_statement") => {}
            "string" => self.of_string(node, key),
            // The rows of a table stay as long as each other, and what is no data stays as it is.
            "list" if !self.within_list && is_data(node, self.text) => {
                let items = children(node)
                    .into_iter()
                    .filter(|item| item.kind() != "comment");
                let items: Vec<&str> = items.map(|item| &self.text[item.byte_range()]).collect();
                let becomes = lists(&items, key);
                let asks = asked_by(node, self.text);
                let list = becomes.map(|becomes| Value {
                    range,
                    becomes,
                    of_list: true,
                    asks,
                    place: Place::Own,
                });
                self.found.extend(list);
                self.within_list = true;
                self.visit_children(node);
                self.within_list = false;
            }
            _ => self.visit_children(node),
        }
    }

    /// `token("a") == token("a")`: any value is right, so other inputs show nothing.
    fn compares_with_itself(&self, comparison: Node) -> bool {
        let called = |side: &Node| {
            side.child_by_field_name("function")
                .map(|name| &self.text[name.byte_range()])
        };
        let sides: Vec<Option<&str>> = children(comparison).iter().map(called).collect();
        matches!(sides.as_slice(), [Some(one), Some(other)] if one == other)
    }

    fn push(&mut self, node: Node, range: Range<usize>, becomes: Vec<String>) {
        if !becomes.is_empty() {
            let asks = asked_by(node, self.text);
            self.found.push(Value {
                range,
                becomes,
                of_list: false,
                asks,
                place: Place::Own,
            });
        }
    }

    /// `Light.RED`, which is not called.
    fn is_member(&self, node: Node) -> bool {
        let word = |field| {
            node.child_by_field_name(field)
                .map_or("", |one| &self.text[one.byte_range()])
        };
        let called = node
            .parent()
            .is_some_and(|parent| parent.child_by_field_name("function") == Some(node));
        let loud =
            |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
        let (owner, member) = (word("object"), word("attribute"));
        let owned = owner
            .rsplit('.')
            .next()
            .is_some_and(|last| last.starts_with(|one: char| one.is_ascii_uppercase()));
        !called
            && owned
            && owner.chars().any(|one| one.is_ascii_lowercase())
            && member.len() > 1
            && member.chars().all(loud)
    }

    /// The other members that the file names, and the first and the last of all.
    fn other_members(&self, was: &str, key: u64) -> Vec<String> {
        let owner = was.rsplit_once('.').map_or("", |(owner, _)| owner);
        let name = |at: usize| {
            let rest = &self.text[at..];
            let length =
                rest.find(|one: char| !one.is_ascii_alphanumeric() && one != '_' && one != '.');
            &rest[..length.unwrap_or(rest.len())]
        };
        let start = format!("{owner}.");
        let named = self
            .text
            .match_indices(&start)
            .map(|(at, _)| name(at).to_string());
        let is_other = |one: &String| {
            one != was && one.len() > owner.len() + 1 && !one[owner.len() + 1..].contains('.')
        };
        let loud = |one: &String| {
            !one[owner.len() + 1..].contains(|letter: char| letter.is_ascii_lowercase())
        };
        let named: BTreeSet<String> = named.filter(|one| is_other(one) && loud(one)).collect();
        let mut others: Vec<String> = named.into_iter().collect();
        let first = draw::below(key, 0, others.len().max(1));
        others.rotate_left(first);
        others.extend([format!("list({owner})[-1]"), format!("list({owner})[0]")]);
        others.truncate(MEMBERS);
        others
    }

    /// The one plain piece of a string, or the letters of one with escapes, lines or places to fill in.
    fn of_string(&mut self, node: Node, key: u64) {
        let content = children(node)
            .into_iter()
            .find(|child| child.kind() == "string_content");
        let Some(content) = content else { return };
        let was = &self.text[content.byte_range()];
        if let Some(others) = self.files.others(was) {
            let others = if holds_expected(node, self.text) {
                Vec::new()
            } else {
                others
            };
            return self.push(node, content.byte_range(), others);
        }
        let open = node
            .child(0)
            .map_or("", |quote| &self.text[quote.byte_range()])
            .to_ascii_lowercase();
        if node.named_child_count() == 3 && !open.contains('f') && !was.contains(['\\', '\n']) {
            return self.push(node, content.byte_range(), texts(was, key));
        }
        self.push(
            node,
            node.byte_range(),
            formed_texts(&self.text[node.byte_range()], key),
        );
    }
}

/// The last name of the innermost call that a value is given to: `add` of `Cart(1).add(2)` for the `2`.
fn asked_by(node: Node, text: &str) -> String {
    let mut node = node;
    while let Some(parent) = node.parent() {
        let function = parent
            .child_by_field_name("function")
            .filter(|_| parent.kind() == "call");
        if let Some(function) = function.filter(|function| *function != node) {
            let name = &text[function.byte_range()];
            return name.rsplit('.').next().unwrap_or(name).to_string();
        }
        if parent.kind().ends_with("_statement") || parent.kind() == "decorator" {
            break;
        }
        node = parent;
    }
    String::new()
}

/// Numbers, texts, containers of them, and objects that are made of them.
pub(super) fn is_data(node: Node, text: &str) -> bool {
    match node.kind() {
        "integer" | "float" | "string" | "true" | "false" | "none" | "comment" => true,
        "list"
        | "tuple"
        | "set"
        | "dictionary"
        | "pair"
        | "unary_operator"
        | "argument_list"
        | "parenthesized_expression" => {
            children(node).into_iter().all(|child| is_data(child, text))
        }
        "keyword_argument" => node
            .child_by_field_name("value")
            .is_some_and(|value| is_data(value, text)),
        "call" => {
            let class = node
                .child_by_field_name("function")
                .map_or("", |name| &text[name.byte_range()]);
            let class = class.rsplit('.').next().unwrap_or(class);
            let arguments = node.child_by_field_name("arguments");
            class.starts_with(char::is_uppercase)
                && arguments.is_some_and(|given| is_data(given, text))
        }
        _ => false,
    }
}

/// A copy of a test, with a blank line before it.
fn copy(test: &Test, text: &str, value: &Value, becomes: &str, number: usize) -> String {
    let start = test.node.start_byte();
    let line = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let name = test
        .definition
        .child_by_field_name("name")
        .map_or(start..start, |name| name.byte_range());
    let once = if matches!(value.place, Place::Bound { .. }) {
        ONCE
    } else {
        ""
    };
    let mut edits = vec![(name.end..name.end, format!("{MARK}{number}{once}"))];
    match &value.place {
        Place::Own => edits.push((value.range.clone(), becomes.to_string())),
        Place::Param { hole, .. } => {
            let line = format!(
                "{}{becomes}{}\n{}",
                hole.before,
                hole.after,
                &text[line..start]
            );
            edits.push((start..start, line));
        }
        Place::Bound { at, hole, .. } => {
            edits.push((*at..*at, format!("{}{becomes}{}", hole.before, hole.after)))
        }
        Place::Hidden { at, hole } => {
            edits.push((*at..*at, format!("{}{becomes}{}", hole.before, hole.after)))
        }
        Place::Case { list, case, ids } => {
            let mut alone = text[case.clone()].to_string();
            alone.replace_range(
                value.range.start - case.start..value.range.end - case.start,
                becomes,
            );
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
    (0..node.named_child_count())
        .filter_map(|index| node.named_child(index as u32))
        .collect()
}
