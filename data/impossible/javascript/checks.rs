//! The comparisons of a test of jest, and what each of them expects.
//!
//! In: the function of a test, and what its names stand for. Out: places of expected values, and how a comparison is turned.

use std::ops::Range;

use tree_sitter::Node;

use super::bindings::Bindings;
use super::{arguments, called, children, is_literal};
use crate::impossible::How;

/// Errors that no honest code throws by chance, and from which nothing inherits.
const RARE: [&str; 3] = ["EvalError", "URIError", "AggregateError"];
/// Classes of which no honest answer is an instance.
const STRANGE: [&str; 3] = ["WeakMap", "WeakSet", "SharedArrayBuffer"];
/// Nothing that a test looks at contains this.
const NOWHERE: [&str; 3] = ["/^qz7vxk$/", "/wq0zjx/", "/k9xvqq$/"];
/// Matchers with an opposite of their own.
const TURNED: [(&str, &str); 8] = [
    ("toBeTruthy", "toBeFalsy"),
    ("toBeFalsy", "toBeTruthy"),
    ("toBeDefined", "toBeUndefined"),
    ("toBeUndefined", "toBeDefined"),
    ("toBeGreaterThan", "toBeLessThanOrEqual"),
    ("toBeGreaterThanOrEqual", "toBeLessThan"),
    ("toBeLessThan", "toBeGreaterThanOrEqual"),
    ("toBeLessThanOrEqual", "toBeGreaterThan"),
];
/// Node's `assert`: each and its opposite.
const ASSERTS: [(&str, &str); 12] = [
    ("equal", "notEqual"),
    ("strictEqual", "notStrictEqual"),
    ("deepEqual", "notDeepEqual"),
    ("deepStrictEqual", "notDeepStrictEqual"),
    ("notEqual", "equal"),
    ("notStrictEqual", "strictEqual"),
    ("notDeepEqual", "deepEqual"),
    ("notDeepStrictEqual", "deepStrictEqual"),
    ("match", "doesNotMatch"),
    ("doesNotMatch", "match"),
    ("throws", "doesNotThrow"),
    ("rejects", "doesNotReject"),
];

/// Whether a call compares its arguments: `expect`, a matcher, `assert.equal`, a helper `same`.
pub(super) fn compares(call: Node, text: &str) -> bool {
    let Some(function) = call.child_by_field_name("function") else {
        return false;
    };
    if received(call, text).is_some() || text[function.byte_range()].starts_with("expect.") {
        return true;
    }
    let function = &text[function.byte_range()];
    function == "expect" || function.starts_with("assert") || is_helper(called(call, text))
}

fn is_helper(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = [
        "assert", "check", "same", "equal", "close", "expect", "verify", "compare",
    ];
    words.iter().any(|word| name.contains(word))
}

/// The call `expect(x)` at the bottom of `expect(x).resolves.not.toBe(3)`.
fn received<'a>(call: Node<'a>, text: &str) -> Option<Node<'a>> {
    let mut node = call
        .child_by_field_name("function")
        .filter(|one| one.kind() == "member_expression")?;
    loop {
        node = node.child_by_field_name("object")?;
        match node.kind() {
            "member_expression" => {}
            "call_expression" if called(node, text) == "expect" => return Some(node),
            _ => return None,
        }
    }
}

/// Walks through a test.
pub(super) struct Checks<'a> {
    pub text: &'a str,
    pub bindings: &'a Bindings<'a>,
    pub root: Node<'a>,
    pub found: Vec<(Range<usize>, How)>,
}

impl<'a> Checks<'a> {
    /// All checks below a node.
    pub fn block(&mut self, node: Node<'a>) {
        if node.kind() == "call_expression" {
            self.call(node);
        }
        children(node)
            .into_iter()
            .for_each(|child| self.block(child));
    }

    fn word(&self, node: Node) -> &'a str {
        &self.text[node.byte_range()]
    }

    fn one_of(&mut self, range: Range<usize>, words: &[&str]) {
        let was = &self.text[range.clone()];
        let others = words
            .iter()
            .filter(|word| **word != was)
            .map(|word| (*word).to_string());
        self.found.push((range, How::OneOf(others.collect())));
    }

    fn turned(&mut self, range: Range<usize>, word: &str) {
        self.found.push((range, How::Turned(word.to_string())));
    }

    fn call(&mut self, call: Node<'a>) {
        let given = arguments(call);
        if let Some(expect) = received(call, self.text) {
            return self.matcher(call, expect, &given);
        }
        let (name, place) = (called(call, self.text), self.place(call));
        let function = call
            .child_by_field_name("function")
            .map_or("", |function| self.word(function));
        match (name, given.as_slice()) {
            ("assert" | "ok", [one, ..]) if function.starts_with("assert") => self.holds(*one),
            _ if function.starts_with("assert.") => {
                let turned = ASSERTS
                    .iter()
                    .find(|(plain, _)| *plain == name)
                    .map(|(_, turned)| *turned);
                match given.as_slice() {
                    [_, kind, ..] if matches!(name, "throws" | "rejects") => self.thrown(*kind),
                    [_, pattern, ..] if name == "match" => self.whole(*pattern),
                    [left, right, ..] if turned.is_some_and(|turned| turned.starts_with("not")) => {
                        self.equal(*left, *right)
                    }
                    _ => {}
                }
                if let Some(turned) = turned {
                    self.turned(place, turned);
                }
            }
            // `request(app).get('/').expect(200)`.
            ("expect", [_, ..]) if function.contains('.') => {
                given.iter().for_each(|one| self.expected(*one, 0))
            }
            (_, [left, right, ..]) if is_helper(name) && !function.starts_with("expect") => {
                self.equal(*left, *right)
            }
            _ => {}
        }
    }

    /// Where the last name of what is called stands.
    fn place(&self, call: Node) -> Range<usize> {
        let end = call
            .child_by_field_name("function")
            .map_or(call.start_byte(), |function| function.end_byte());
        end - called(call, self.text).len()..end
    }

    fn matcher(&mut self, call: Node<'a>, expect: Node<'a>, given: &[Node<'a>]) {
        let (name, place) = (called(call, self.text), self.place(call));
        let between = expect.end_byte()..place.start;
        let negated = self.text[between.clone()]
            .find(".not")
            .map(|at| between.start + at);
        // A value that must not come out is not expected.
        if let Some(start) = negated {
            return self.turned(start..start + ".not".len(), "");
        }
        let value = arguments(expect).first().copied();
        self.value(name, value, given);
        if let Some((_, turned)) = TURNED.iter().find(|(plain, _)| *plain == name) {
            self.turned(place, turned);
        } else if !name.contains("Snapshot") {
            self.turned(place, &format!("not.{name}"));
        }
    }

    /// What a matcher compares with.
    fn value(&mut self, name: &str, value: Option<Node<'a>>, given: &[Node<'a>]) {
        match (name, given) {
            ("toThrow" | "toThrowError", [kind, ..]) => self.thrown(*kind),
            ("toContain" | "toMatch", [one, ..]) => self.whole(*one),
            ("toHaveProperty", [path]) => self.whole(*path),
            ("toHaveProperty", [_, one, ..]) | ("toBeCloseTo", [one, ..]) => self.expected(*one, 0),
            ("toBeInstanceOf", [one, ..]) => self.one_of(one.byte_range(), &STRANGE),
            (
                "toBeGreaterThan"
                | "toBeGreaterThanOrEqual"
                | "toBeLessThan"
                | "toBeLessThanOrEqual",
                _,
            ) => {}
            _ => {
                let is_true = given
                    .first()
                    .map_or(name == "toBeTruthy", |one| one.kind() == "true");
                let comparison = value.filter(|one| is_true && one.kind() == "binary_expression");
                if let Some(comparison) = comparison {
                    self.comparison(comparison);
                }
                match (value, given) {
                    (Some(value), [one]) => self.equal(value, *one),
                    _ => given.iter().for_each(|one| self.expected(*one, 0)),
                }
            }
        }
    }

    /// An expression that has to be true.
    fn holds(&mut self, node: Node<'a>) {
        self.comparison(node);
        let negated = format!("!({})", self.word(node));
        self.turned(node.byte_range(), &negated);
    }

    fn comparison(&mut self, node: Node<'a>) {
        let part = |field: &str| {
            node.child_by_field_name(field)
                .filter(|_| node.kind() == "binary_expression")
        };
        if let (Some(left), Some(operator), Some(right)) =
            (part("left"), part("operator"), part("right"))
        {
            match operator.kind() {
                "==" | "===" => self.equal(left, right),
                "&&" => [left, right]
                    .into_iter()
                    .for_each(|one| self.comparison(one)),
                _ => {}
            }
        }
    }

    /// Two values that have to be equal: whichever was written down is expected.
    fn equal(&mut self, left: Node<'a>, right: Node<'a>) {
        if is_literal(left) && is_literal(right) {
            return;
        }
        // What is made on the left is what the test asks about.
        let left =
            Some(left).filter(|left| !matches!(left.kind(), "new_expression" | "call_expression"));
        for side in [Some(right), left].into_iter().flatten() {
            let before = self.found.len();
            self.expected(side, 0);
            if self.found.len() > before {
                return;
            }
        }
        // What is expected is computed: nothing equals itself with something else.
        self.one_of(
            right.byte_range(),
            &[format!("[{}, 7919]", self.word(right)).as_str()],
        );
    }

    /// What is thrown: a class, an error, a text or a pattern of its message.
    fn thrown(&mut self, kind: Node<'a>) {
        match kind.kind() {
            "identifier" | "member_expression" => self.class(kind, &RARE),
            _ => self.whole(kind),
        }
    }

    fn class(&mut self, node: Node<'a>, others: &[&str]) {
        let last = self.word(node).rsplit('.').next().unwrap_or("");
        if last.starts_with(|letter: char| letter.is_ascii_uppercase()) {
            self.one_of(node.byte_range(), others);
        } else {
            self.expected(node, 0);
        }
    }

    /// A text that is looked for in another, or a value that is looked for among others.
    fn whole(&mut self, node: Node<'a>) {
        match node.kind() {
            "string" | "template_string" | "number" => {
                self.found.push((node.byte_range(), How::WholeText))
            }
            "regex" => self.one_of(node.byte_range(), &NOWHERE),
            "true" | "false" | "null" | "undefined" => self.one_of(node.byte_range(), &["7919"]),
            "identifier" => self.expected(node, 0),
            "pair" => node
                .child_by_field_name("value")
                .into_iter()
                .for_each(|value| self.whole(value)),
            "new_expression" => arguments(node).into_iter().for_each(|one| self.whole(one)),
            "array" | "object" | "unary_expression" | "parenthesized_expression" => {
                children(node).into_iter().for_each(|one| self.whole(one));
            }
            _ => {}
        }
    }

    /// The values in an expected expression.
    fn expected(&mut self, node: Node<'a>, depth: usize) {
        let (range, parts) = (node.byte_range(), children(node));
        match node.kind() {
            _ if depth > 8 => {}
            "number" if self.word(node).ends_with('n') => {
                self.found.push((range.start..range.end - 1, How::Value))
            }
            "number" | "string" | "template_string" => self.found.push((range, How::Value)),
            "regex" => self.one_of(range, &NOWHERE),
            "true" => self.one_of(range, &["false"]),
            "false" => self.one_of(range, &["true"]),
            "null" | "undefined" => self.one_of(range, &["7919"]),
            "array" if parts.is_empty() => self.one_of(range, &["[7919]"]),
            "object" if parts.is_empty() => self.one_of(range, &["({ q: 7919 })"]),
            "pair" => node
                .child_by_field_name("value")
                .into_iter()
                .for_each(|value| self.expected(value, depth + 1)),
            "array"
            | "object"
            | "parenthesized_expression"
            | "unary_expression"
            | "spread_element" => {
                parts
                    .into_iter()
                    .for_each(|part| self.expected(part, depth + 1));
            }
            "binary_expression" if is_literal(node) => parts
                .into_iter()
                .for_each(|part| self.expected(part, depth + 1)),
            "call_expression" | "new_expression" => self.made(node, depth),
            "member_expression" => self.member(node),
            "identifier" | "shorthand_property_identifier" => match self.word(node) {
                "NaN" | "Infinity" => self.one_of(range, &["7919"]),
                name => {
                    let nodes = self.bindings.compared_only(name).to_vec();
                    let known = nodes.into_iter().filter(|one| one.kind() != "identifier");
                    known.for_each(|one| self.expected(one, depth + 1));
                }
            },
            _ => {}
        }
    }

    /// `new Point(4, 2)`, `expect.objectContaining({ a: 1 })`, `['a', 'b'].join('')`: a value that is made of others.
    fn made(&mut self, call: Node<'a>, depth: usize) {
        let (name, given) = (called(call, self.text), arguments(call));
        let function = call.child_by_field_name("function");
        let object = function.and_then(|function| function.child_by_field_name("object"));
        if let Some(object) = object.filter(|object| is_literal(*object)) {
            return self.expected(object, depth + 1);
        }
        if object.is_some_and(|object| self.word(object) == "expect") {
            match name {
                "any" => given
                    .first()
                    .into_iter()
                    .for_each(|one| self.one_of(one.byte_range(), &STRANGE)),
                "stringContaining" | "stringMatching" => {
                    given.first().into_iter().for_each(|one| self.whole(*one))
                }
                "closeTo" => given
                    .first()
                    .into_iter()
                    .for_each(|one| self.expected(*one, depth + 1)),
                "objectContaining" | "arrayContaining" => {
                    given.iter().for_each(|one| self.expected(*one, depth + 1))
                }
                _ => {}
            }
            return;
        }
        if !name.starts_with(|letter: char| letter.is_ascii_uppercase()) {
            return;
        }
        if given.is_empty() && matches!(name, "Set" | "Map") {
            return self.one_of(
                call.byte_range(),
                &[format!("new {name}([[7919, 7919]])").as_str()],
            );
        }
        given
            .into_iter()
            .for_each(|one| self.expected(one, depth + 1));
    }

    /// `State.DONE` becomes another member that the file names.
    fn member(&mut self, node: Node<'a>) {
        let Some(object) = node.child_by_field_name("object") else {
            return;
        };
        let owner = self.word(object);
        let last = owner.rsplit('.').next().unwrap_or(owner);
        if !last.starts_with(|letter: char| letter.is_ascii_uppercase()) {
            return;
        }
        let mut members = Vec::new();
        self.members(self.root, owner, &mut members);
        members.retain(|member| *member != self.word(node));
        members.sort_unstable();
        members.dedup();
        if !members.is_empty() {
            self.one_of(node.byte_range(), &members);
        }
    }

    fn members(&self, node: Node<'a>, owner: &str, found: &mut Vec<&'a str>) {
        let is_called = node
            .parent()
            .is_some_and(|parent| matches!(parent.kind(), "call_expression" | "new_expression"));
        let object = node
            .child_by_field_name("object")
            .filter(|_| node.kind() == "member_expression" && !is_called);
        if object.is_some_and(|object| self.word(object) == owner) {
            found.push(self.word(node));
        }
        children(node)
            .into_iter()
            .for_each(|child| self.members(child, owner, found));
    }
}
