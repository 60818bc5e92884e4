//! The comparisons of a test, and what each of them expects.
//!
//! In: a test function, and what its names stand for. Out: places of expected values, and how a comparison is turned.

use std::ops::Range;

use tree_sitter::Node;

use super::bindings::Bindings;
use super::{called, children, is_literal, keyword, positional};
use crate::impossible::How;

/// Exceptions that no honest code raises by chance, and of which none inherits from what tests commonly expect.
const RARE: [&str; 5] = [
    "BufferError",
    "ReferenceError",
    "StopAsyncIteration",
    "ChildProcessError",
    "FloatingPointError",
];
/// Calls that make a value of what they are given, besides classes, which begin with a capital letter.
const MAKERS: [&str; 24] = [
    "approx",
    "set",
    "frozenset",
    "list",
    "tuple",
    "dict",
    "str",
    "int",
    "float",
    "complex",
    "bytes",
    "bytearray",
    "sorted",
    "dedent",
    "date",
    "datetime",
    "time",
    "timedelta",
    "deque",
    "array",
    "range",
    "repr",
    "abs",
    "round",
];
/// Calls that tell what a comparison in them said.
const TOLD_BY: [&str; 4] = ["str", "repr", "bool", "int"];
/// Methods of unittest that compare their first two arguments, and the opposite of each.
const PAIRS: [(&str, &str); 12] = [
    ("assertEqual", "assertNotEqual"),
    ("assertEquals", "assertNotEqual"),
    ("assertIs", "assertIsNot"),
    ("assertAlmostEqual", "assertNotAlmostEqual"),
    ("assertListEqual", "assertNotEqual"),
    ("assertDictEqual", "assertNotEqual"),
    ("assertTupleEqual", "assertNotEqual"),
    ("assertSetEqual", "assertNotEqual"),
    ("assertSequenceEqual", "assertNotEqual"),
    ("assertMultiLineEqual", "assertNotEqual"),
    ("assertCountEqual", ""),
    ("assertRegex", "assertNotRegex"),
];
/// Methods of unittest that are turned by their name alone.
const TURNED: [(&str, &str); 12] = [
    ("assertNotEqual", "assertEqual"),
    ("assertIsNot", "assertIs"),
    ("assertIsNone", "assertIsNotNone"),
    ("assertIsNotNone", "assertIsNone"),
    ("assertNotIn", "assertIn"),
    ("assertIsInstance", "assertNotIsInstance"),
    ("assertNotIsInstance", "assertIsInstance"),
    ("assertGreater", "assertLessEqual"),
    ("assertGreaterEqual", "assertLess"),
    ("assertLess", "assertGreaterEqual"),
    ("assertLessEqual", "assertGreater"),
    ("assertNotRegex", "assertRegex"),
];
/// The opposite of each comparison.
const OPERATORS: [(&str, &str); 10] = [
    ("==", "!="),
    ("!=", "=="),
    ("is", "is not"),
    ("is not", "is"),
    ("in", "not in"),
    ("not in", "in"),
    ("<", ">="),
    (">=", "<"),
    (">", "<="),
    ("<=", ">"),
];

/// Whether a call of this name compares its arguments: unittest's methods, `math.isclose`, a helper `assert_same`.
pub(super) fn compares(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = [
        "assert", "check", "same", "equal", "close", "expect", "verify", "compare", "match",
    ];
    words.iter().any(|word| name.contains(word))
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
        match node.kind() {
            "decorator" => return,
            "assert_statement" => {
                return children(node)
                    .first()
                    .into_iter()
                    .for_each(|one| self.holds(*one));
            }
            "expression_statement" => {
                let call = children(node).first().copied().map(|one| match one.kind() {
                    "await" => one.named_child(0).unwrap_or(one),
                    _ => one,
                });
                if let Some(call) = call.filter(|one| one.kind() == "call") {
                    return self.statement(call);
                }
            }
            "with_item" => {
                let value = node.child_by_field_name("value").unwrap_or(node);
                let call = if value.kind() == "as_pattern" {
                    value.named_child(0).unwrap_or(value)
                } else {
                    value
                };
                return self.raises(call);
            }
            _ => {}
        }
        children(node)
            .into_iter()
            .for_each(|child| self.block(child));
    }

    fn word(&self, node: Node) -> &'a str {
        &self.text[node.byte_range()]
    }

    /// An expression that has to be true.
    fn holds(&mut self, node: Node<'a>) {
        match node.kind() {
            "parenthesized_expression" => {
                children(node).into_iter().for_each(|one| self.holds(one))
            }
            "boolean_operator" if self.word(node.child(1).unwrap_or(node)) == "and" => {
                children(node).into_iter().for_each(|one| self.holds(one));
            }
            "not_operator" => {
                if let Some(argument) = node.child_by_field_name("argument") {
                    self.found.push((
                        node.byte_range(),
                        How::Turned(format!("({})", self.word(argument))),
                    ));
                }
            }
            "comparison_operator" => self.comparison(node),
            "call" => self.true_call(node),
            _ => self.negated(node),
        }
    }

    fn negated(&mut self, node: Node) {
        self.found.push((
            node.byte_range(),
            How::Turned(format!("(not ({}))", self.word(node))),
        ));
    }

    fn comparison(&mut self, node: Node<'a>) {
        let sides = children(node);
        self.limits(node);
        let [left, right] = sides.as_slice() else {
            return self.negated(node);
        };
        let between = left.end_byte()..right.start_byte();
        let operator = self.text[between.clone()].trim();
        match operator {
            "==" | "is" => self.equal(*left, *right),
            "in" if is_literal(*left) && !is_literal(*right) => self.whole(*left),
            "in" if matches!(right.kind(), "list" | "tuple" | "set") && is_literal(*right) => {
                self.one_of(*right, &["[7919, 'n7919']"]);
            }
            _ => {}
        }
        if let Some((_, turned)) = OPERATORS.iter().find(|(plain, _)| *plain == operator) {
            let start = between.start + self.text[between].find(operator).unwrap_or(0);
            self.found.push((
                start..start + operator.len(),
                How::Turned((*turned).to_string()),
            ));
        }
    }

    /// Limits that no number keeps: of `0 <= f(1) < 9` one side or the other moves far away.
    fn limits(&mut self, comparison: Node) {
        let sides = children(comparison);
        for pair in sides.windows(2) {
            let operator = self.text[pair[0].end_byte()..pair[1].start_byte()].trim();
            let (small, large) = match operator {
                "<" | "<=" => (pair[0], pair[1]),
                ">" | ">=" => (pair[1], pair[0]),
                _ => continue,
            };
            if is_literal(large) && !is_literal(small) {
                self.one_of(large, &["(-10 ** 18)"]);
            } else if is_literal(small) && !is_literal(large) {
                self.one_of(small, &["10 ** 18"]);
            }
        }
    }

    /// Two values that have to be equal: whichever was written down is expected.
    fn equal(&mut self, left: Node<'a>, right: Node<'a>) {
        if is_literal(left) && is_literal(right) {
            return;
        }
        for side in [left, right] {
            // `str(f(1) == 3) == "True"` compares within.
            let within = positional(side)
                .first()
                .copied()
                .filter(|one| one.kind() == "comparison_operator");
            if let Some(within) = within.filter(|_| TOLD_BY.contains(&called(side, self.text))) {
                return self.comparison(within);
            }
        }
        for side in [right, left] {
            let before = self.found.len();
            self.expected(side, 0);
            if self.found.len() > before {
                return;
            }
        }
        // What is expected is computed: nothing equals itself with something else.
        self.one_of(right, &[format!("({}, 7919)", self.word(right)).as_str()]);
    }

    fn whole(&mut self, node: Node) {
        match node.kind() {
            "string" | "integer" | "float" => self.found.push((node.byte_range(), How::WholeText)),
            _ => children(node).into_iter().for_each(|one| self.whole(one)),
        }
    }

    fn one_of(&mut self, node: Node, words: &[&str]) {
        self.found.push((
            node.byte_range(),
            How::OneOf(words.iter().map(|word| (*word).to_string()).collect()),
        ));
    }

    /// A regular expression that is written down.
    fn pattern(&mut self, node: Node) {
        if node.kind() == "string" {
            self.found.push((node.byte_range(), How::Pattern));
        }
    }

    /// The values in an expected expression.
    fn expected(&mut self, node: Node<'a>, depth: usize) {
        let parts = children(node);
        match node.kind() {
            _ if depth > 8 => {}
            "integer" | "float" | "string" => self.found.push((node.byte_range(), How::Value)),
            "true" => self.one_of(node, &["False"]),
            "false" => self.one_of(node, &["True"]),
            "none" if depth > 0 => self.one_of(node, &["7919"]),
            "list" if parts.is_empty() => self.one_of(node, &["[7919]"]),
            "tuple" if parts.is_empty() => self.one_of(node, &["(7919,)"]),
            "dictionary" if parts.is_empty() => self.one_of(node, &["{7919: 7919}"]),
            "list"
            | "tuple"
            | "set"
            | "dictionary"
            | "pair"
            | "parenthesized_expression"
            | "concatenated_string"
            | "unary_operator" => parts
                .into_iter()
                .for_each(|part| self.expected(part, depth + 1)),
            "binary_operator" if is_literal(node) => parts
                .into_iter()
                .for_each(|part| self.expected(part, depth + 1)),
            // `"1,x" if kind is Renderer else "2"`.
            "conditional_expression" => parts
                .into_iter()
                .step_by(2)
                .for_each(|part| self.expected(part, depth + 1)),
            "call" => self.made(node, depth),
            "attribute" | "identifier" => {
                let nodes = self.bindings.compared_only(node).to_vec();
                for one in nodes.into_iter().filter(|one| one.kind() != "identifier") {
                    self.expected(one, depth + 1);
                }
                self.member(node);
            }
            _ => {}
        }
    }

    /// `Point(4, 2)`, `approx(3.0)`, `"a b".split()`: a value that is made of others.
    fn made(&mut self, call: Node<'a>, depth: usize) {
        let name = called(call, self.text);
        let arguments = positional(call);
        let object = call
            .child_by_field_name("function")
            .and_then(|function| function.child_by_field_name("object"));
        if let Some(object) = object.filter(|object| is_literal(*object)) {
            return self.expected(object, depth + 1);
        }
        let is_class = name.starts_with(|letter: char| letter.is_ascii_uppercase());
        if !is_class && !MAKERS.contains(&name) {
            return;
        }
        if arguments.is_empty() && name == "set" {
            return self.one_of(call, &["{7919}"]);
        }
        // The first number of `approx` is expected; the others say how near is near enough.
        let count = if name == "approx" || name == "round" {
            1
        } else {
            arguments.len()
        };
        arguments
            .into_iter()
            .take(count)
            .for_each(|one| self.expected(one, depth + 1));
        if is_class || name == "dict" {
            let list = call
                .child_by_field_name("arguments")
                .map_or(Vec::new(), children);
            let values = list
                .into_iter()
                .filter_map(|one| one.child_by_field_name("value"));
            values.for_each(|value| self.expected(value, depth + 1));
        }
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
            self.one_of(node, &members);
        }
    }

    fn members(&self, node: Node<'a>, owner: &str, found: &mut Vec<&'a str>) {
        let is_called = node.parent().is_some_and(|parent| parent.kind() == "call");
        let object = node
            .child_by_field_name("object")
            .filter(|_| node.kind() == "attribute" && !is_called);
        if object.is_some_and(|object| self.word(object) == owner) {
            found.push(self.word(node));
        }
        children(node)
            .into_iter()
            .for_each(|child| self.members(child, owner, found));
    }

    /// A call that has to give something true.
    fn true_call(&mut self, call: Node<'a>) {
        let name = called(call, self.text);
        let arguments = positional(call);
        match name {
            "startswith" | "endswith" => arguments
                .first()
                .into_iter()
                .for_each(|one| self.whole(*one)),
            "all" => {
                let list = call.child_by_field_name("arguments");
                let inner = match list {
                    Some(generator) if generator.kind() == "generator_expression" => {
                        Some(generator)
                    }
                    _ => arguments.first().copied(),
                };
                if let Some(body) = inner.and_then(|inner| inner.child_by_field_name("body")) {
                    self.holds(body);
                }
            }
            "match" | "fullmatch" | "search" => arguments
                .first()
                .into_iter()
                .for_each(|one| self.pattern(*one)),
            _ if compares(name) && arguments.len() >= 2 => self.equal(arguments[0], arguments[1]),
            _ => {}
        }
        self.negated(call);
    }

    /// A call whose value nobody reads: unittest's methods, helpers, `pytest.raises(Error, function)`.
    fn statement(&mut self, call: Node<'a>) {
        let name = called(call, self.text);
        let arguments = positional(call);
        let place = call
            .child_by_field_name("function")
            .map_or(0..0, |function| function.byte_range());
        let place = place.end - name.len()..place.end;
        if let Some((_, turned)) = PAIRS.iter().find(|(plain, _)| *plain == name) {
            match arguments.as_slice() {
                [text, pattern, ..] if name == "assertRegex" && !is_literal(*text) => {
                    self.pattern(*pattern)
                }
                [left, right, ..] => self.equal(*left, *right),
                _ => {}
            }
            if !turned.is_empty() {
                self.found.push((place, How::Turned((*turned).to_string())));
            }
            return;
        }
        if let Some((_, turned)) = TURNED.iter().find(|(plain, _)| *plain == name) {
            return self.found.push((place, How::Turned((*turned).to_string())));
        }
        match (name, arguments.as_slice()) {
            ("assertTrue", [one, ..]) => self.holds(*one),
            ("assertFalse", [_, ..]) => self
                .found
                .push((place, How::Turned("assertTrue".to_string()))),
            ("assertIn", [item, holder, ..]) => {
                if is_literal(*item) && !is_literal(*holder) {
                    self.whole(*item);
                }
                self.found
                    .push((place, How::Turned("assertNotIn".to_string())));
            }
            _ if name.contains("aises") || name == "warns" => self.raises(call),
            _ if name.starts_with("assert_called") || name.starts_with("assert_any_call") => {
                arguments.into_iter().for_each(|one| self.expected(one, 0));
            }
            (_, [left, right, ..]) if compares(name) => self.equal(*left, *right),
            _ => children(call)
                .into_iter()
                .for_each(|child| self.block(child)),
        }
    }

    /// `pytest.raises(KeyError, match="no such")` and its like.
    fn raises(&mut self, call: Node<'a>) {
        let name = called(call, self.text);
        if call.kind() != "call"
            || !(name.contains("aises") || name == "warns" || name == "assertWarns")
        {
            return;
        }
        let arguments = positional(call);
        if let Some(kind) = arguments.first() {
            let warns = name.contains("arns");
            self.one_of(
                *kind,
                if warns {
                    &["BytesWarning", "UnicodeWarning"]
                } else {
                    &RARE
                },
            );
        }
        let regex = arguments
            .get(1)
            .copied()
            .filter(|_| name.ends_with("Regex"));
        if let Some(text) = keyword(call, "match", self.text).or(regex) {
            self.pattern(text);
        }
    }
}
