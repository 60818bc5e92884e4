//! The rules that make a bug from a syntax node: one function per kind.
//!
//! In: the tree of one function. Out: edits counted in that text, some of which may not parse; the caller checks.
//! Example: a `comparison_operator` with `<` gives `<=` and `>`.

use tree_sitter::{Node, Tree};

use super::bug::{Bug, BugKind};
use super::names::Names;

/// Operators and what they become.
const COMPARE: [(&str, &[&str]); 10] = [
    ("<", &["<=", ">"]),
    ("<=", &["<", ">="]),
    (">", &[">=", "<"]),
    (">=", &[">", "<="]),
    ("==", &["!="]),
    ("!=", &["=="]),
    ("in", &["not in"]),
    ("not in", &["in"]),
    ("is", &["is not"]),
    ("is not", &["is"]),
];

/// The same for arithmetic; an augmented assignment is looked up without its `=`.
const ARITHMETIC: [(&str, &[&str]); 12] = [
    ("+", &["-"]),
    ("-", &["+"]),
    ("*", &["+", "/"]),
    ("/", &["*", "//"]),
    ("//", &["%", "/"]),
    ("%", &["//"]),
    ("**", &["*"]),
    ("<<", &[">>"]),
    (">>", &["<<"]),
    ("&", &["|"]),
    ("|", &["&"]),
    ("^", &["&"]),
];

/// Methods that are mistaken for each other.
const METHODS: [(&str, &str); 18] = [
    ("append", "extend"),
    ("any", "all"),
    ("ceil", "floor"),
    ("endswith", "startswith"),
    ("find", "rfind"),
    ("issubset", "issuperset"),
    ("keys", "values"),
    ("ljust", "rjust"),
    ("lower", "upper"),
    ("lstrip", "rstrip"),
    ("max", "min"),
    ("partition", "rpartition"),
    ("removeprefix", "removesuffix"),
    ("split", "rsplit"),
    ("union", "intersection"),
    ("appendleft", "append"),
    ("popleft", "pop"),
    ("rindex", "index"),
];

/// Siblings that do not work the other way round: only a deque has `popleft`, and a list has no `rindex`.
const ONE_WAY: [&str; 3] = ["appendleft", "popleft", "rindex"];

/// Functions that are mistaken for each other.
const FUNCTIONS: [(&str, &str); 2] = [("any", "all"), ("max", "min")];

/// Calls whose arguments may be swapped unseen, or where nobody would swap them.
const UNSWAPPED: [&str; 11] = [
    "max",
    "min",
    "gcd",
    "lcm",
    "hypot",
    "isclose",
    "isinstance",
    "issubclass",
    "hasattr",
    "getattr",
    "super",
];

/// Every edit of the tree.
pub(super) fn all(tree: &Tree, text: &str) -> Vec<Bug> {
    let mut edits = Edits {
        text,
        names: Names::new(tree, text),
        bugs: Vec::new(),
    };
    let mut stack = vec![tree.root_node()];
    while let Some(node) = stack.pop() {
        if is_opaque(node) {
            continue;
        }
        edits.visit(node);
        stack.extend((0..node.child_count()).filter_map(|index| node.child(index as u32)));
    }
    edits.bugs
}

/// Named children, comments left out.
pub(super) fn children(node: Node) -> Vec<Node> {
    let all = (0..node.named_child_count()).filter_map(|index| node.named_child(index as u32));
    all.filter(|child| child.kind() != "comment").collect()
}

/// What no edit looks into: text, types, decorators, patterns, and lists of names.
pub(super) fn is_opaque(node: Node) -> bool {
    matches!(
        node.kind(),
        "comment"
            | "string"
            | "decorator"
            | "type"
            | "type_parameter"
            | "type_alias_statement"
            | "case_pattern"
            | "import_statement"
            | "import_from_statement"
            | "future_import_statement"
            // An assertion in a source is what should hold, not what may be wrong.
            | "assert_statement"
            | "global_statement"
            | "nonlocal_statement"
            | "delete_statement"
    )
}

struct Edits<'a> {
    text: &'a str,
    names: Names<'a>,
    bugs: Vec<Bug>,
}

impl<'a> Edits<'a> {
    fn visit(&mut self, node: Node) {
        match node.kind() {
            "comparison_operator" => self.compare(node),
            "binary_operator" | "augmented_assignment" => self.arithmetic(node),
            "integer" | "true" | "false" => self.constant(node),
            "and" | "or" => {
                let other = if node.kind() == "and" { "or" } else { "and" };
                self.replace(BugKind::Boolean, node, other);
            }
            "not_operator" => self.drop_not(node),
            "if_statement" | "elif_clause" | "while_statement" => {
                self.negate(node.child_by_field_name("condition"))
            }
            "conditional_expression" => self.negate(children(node).get(1).copied()),
            "if_clause" => self.negate(children(node).first().copied()),
            "return_statement" => self.negate_answer(node),
            "identifier" => {
                for other in self.names.others(node) {
                    self.replace(BugKind::Variable, node, other);
                }
            }
            "call" => self.call(node),
            "subscript" => self.subscript(node),
            _ => {}
        }
    }

    fn read(&self, node: Node) -> &'a str {
        &self.text[node.byte_range()]
    }

    fn push(&mut self, kind: BugKind, start: usize, end: usize, replacement: String) {
        // A bug is one line: neither what goes nor what comes may span two.
        if self.text[start..end].contains(['\n', '\r']) || replacement.contains(['\n', '\r']) {
            return;
        }
        let line = self.text[..start].matches('\n').count() + 1;
        self.bugs.push(Bug {
            kind,
            line,
            start,
            end,
            replacement,
        });
    }

    fn replace(&mut self, kind: BugKind, node: Node, replacement: &str) {
        self.push(
            kind,
            node.start_byte(),
            node.end_byte(),
            replacement.to_string(),
        );
    }

    fn compare(&mut self, node: Node) {
        let mut cursor = node.walk();
        let operators: Vec<Node> = node
            .children_by_field_name("operators", &mut cursor)
            .collect();
        for operator in operators {
            let written = self
                .read(operator)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            let others = COMPARE
                .iter()
                .find(|(from, _)| *from == written)
                .map_or(&[][..], |(_, to)| to);
            others
                .iter()
                .for_each(|other| self.replace(BugKind::Compare, operator, other));
        }
    }

    fn arithmetic(&mut self, node: Node) {
        let sides = [
            node.child_by_field_name("left"),
            node.child_by_field_name("right"),
        ];
        let Some(operator) = node.child_by_field_name("operator") else {
            return;
        };
        // On text and lists another operator is refused at once: too easy to see.
        if sides.into_iter().flatten().any(is_text_or_list) {
            return;
        }
        let augmented = if node.kind() == "augmented_assignment" {
            "="
        } else {
            ""
        };
        let written = self
            .read(operator)
            .strip_suffix(augmented)
            .unwrap_or_default();
        let others = ARITHMETIC
            .iter()
            .find(|(from, _)| *from == written)
            .map_or(&[][..], |(_, to)| to);
        others.iter().for_each(|other| {
            self.replace(
                BugKind::Arithmetic,
                operator,
                &format!("{other}{augmented}"),
            )
        });
    }

    fn constant(&mut self, node: Node) {
        match node.kind() {
            "true" => return self.replace(BugKind::Constant, node, "False"),
            "false" => return self.replace(BugKind::Constant, node, "True"),
            _ => {}
        }
        let written = self.read(node);
        let Some(number) = written
            .parse::<u32>()
            .ok()
            .filter(|number| number.to_string() == written)
        else {
            return;
        };
        let negative = node
            .parent()
            .is_some_and(|parent| parent.kind() == "unary_operator");
        // Nobody writes `-0`.
        if number > u32::from(negative) {
            self.replace(BugKind::Constant, node, &(number - 1).to_string());
        }
        self.replace(
            BugKind::Constant,
            node,
            &(u64::from(number) + 1).to_string(),
        );
    }

    fn drop_not(&mut self, node: Node) {
        if let Some(argument) = node.child_by_field_name("argument") {
            self.push(
                BugKind::Negate,
                node.start_byte(),
                argument.start_byte(),
                String::new(),
            );
        }
    }

    fn negate(&mut self, condition: Option<Node>) {
        let Some(condition) = condition else { return };
        let written = self.read(condition);
        match condition.kind() {
            // A comparison is turned round by its operator; a `not` is dropped where it stands.
            "identifier" | "call" | "attribute" | "subscript" | "parenthesized_expression" => {
                self.replace(BugKind::Negate, condition, &format!("not {written}"))
            }
            "boolean_operator" => {
                self.replace(BugKind::Negate, condition, &format!("not ({written})"))
            }
            _ => {}
        }
    }

    /// Only an answer of yes or no is negated.
    fn negate_answer(&mut self, statement: Node) {
        let Some(value) = children(statement)
            .first()
            .copied()
            .filter(|value| value.kind() == "call")
        else {
            return;
        };
        let called = self.called(value);
        let asks = matches!(
            called,
            "isinstance" | "issubclass" | "callable" | "any" | "all" | "bool"
        ) || matches!(called, "startswith" | "endswith" | "match" | "fullmatch")
            || ["is", "has", "can"]
                .iter()
                .any(|prefix| called.starts_with(prefix));
        if asks {
            self.negate(Some(value));
        }
    }

    /// The last name of what is called: `append` in `self.items.append(x)`.
    fn called(&self, call: Node) -> &'a str {
        let function = call.child_by_field_name("function");
        let name = function
            .and_then(|function| function.child_by_field_name("attribute"))
            .or(function);
        name.map_or("", |name| self.read(name))
    }

    fn call(&mut self, call: Node) {
        let function = call.child_by_field_name("function");
        match function.map(|function| (function, function.child_by_field_name("attribute"))) {
            // Without a limit `split` and `rsplit` do the same.
            Some((_, Some(method))) if self.read(method).ends_with("split") && count(call) < 2 => {}
            Some((_, Some(method))) => self.sibling(method, &METHODS),
            Some((function, None)) => self.sibling(function, &FUNCTIONS),
            None => {}
        }
        let Some(list) = call
            .child_by_field_name("arguments")
            .filter(|list| list.kind() == "argument_list")
        else {
            return;
        };
        let arguments = children(list);
        if self.called(call) == "range" {
            self.range(&arguments);
        }
        if UNSWAPPED.contains(&self.called(call)) {
            return;
        }
        let fixed = |node: Node| {
            matches!(
                node.kind(),
                "keyword_argument" | "list_splat" | "dictionary_splat"
            ) || matches!(self.read(node), "self" | "cls")
        };
        let swappable = |pair: &&[Node]| {
            !fixed(pair[0])
                && !fixed(pair[1])
                && is_text_or_list(pair[0]) == is_text_or_list(pair[1])
        };
        for pair in arguments.windows(2).filter(swappable).collect::<Vec<_>>() {
            let (one, two) = (pair[0], pair[1]);
            let between = &self.text[one.end_byte()..two.start_byte()];
            let swapped = [self.read(two), between, self.read(one)].concat();
            self.push(BugKind::Argument, one.start_byte(), two.end_byte(), swapped);
        }
    }

    fn sibling(&mut self, name: Node, pairs: &[(&str, &str)]) {
        let written = self.read(name);
        for (one, two) in pairs {
            if written == *one {
                self.replace(BugKind::Attribute, name, two);
            } else if written == *two && !ONE_WAY.contains(one) {
                self.replace(BugKind::Attribute, name, one);
            }
        }
    }

    fn range(&mut self, arguments: &[Node]) {
        match arguments {
            [stop] => {
                self.replace(BugKind::Slice, *stop, &format!("1, {}", self.read(*stop)));
                self.off_by_one(*stop);
            }
            [_, stop, ..] => self.off_by_one(*stop),
            [] => {}
        }
    }

    fn subscript(&mut self, node: Node) {
        let mut cursor = node.walk();
        let indices: Vec<Node> = node
            .children_by_field_name("subscript", &mut cursor)
            .collect();
        let [index] = indices[..] else { return };
        match (index.kind(), self.read(index)) {
            ("slice", _) => self.slice(index),
            (_, "0") => self.replace(BugKind::Slice, index, "-1"),
            (_, "-1") => self.replace(BugKind::Slice, index, "0"),
            // Of all names only these are surely numbers.
            (_, "i" | "j" | "idx" | "index" | "pos" | "position") | ("binary_operator", _) => {
                self.off_by_one(index)
            }
            _ => {}
        }
    }

    fn slice(&mut self, slice: Node) {
        let bounds = children(slice);
        let written = self.read(slice);
        if let ([bound], 1) = (&bounds[..], written.matches(':').count()) {
            let moved = self.read(*bound);
            let moved = if written.starts_with(':') {
                format!("{moved}:")
            } else {
                format!(":{moved}")
            };
            self.replace(BugKind::Slice, slice, &moved);
        }
        bounds.into_iter().for_each(|bound| self.off_by_one(bound));
    }

    /// `n` becomes `n + 1` and `n - 1`; `n + 1` becomes `n`. Numbers are left to [`BugKind::Constant`].
    fn off_by_one(&mut self, node: Node) {
        let written = self.read(node);
        match node.kind() {
            "identifier" | "attribute" | "call" => {
                self.replace(BugKind::Slice, node, &format!("{written} + 1"));
                self.replace(BugKind::Slice, node, &format!("{written} - 1"));
            }
            "binary_operator" => {
                let field = |name: &str| node.child_by_field_name(name);
                let (Some(left), Some(sign), Some(right)) =
                    (field("left"), field("operator"), field("right"))
                else {
                    return;
                };
                if self.read(right) == "1" && matches!(self.read(sign), "+" | "-") {
                    self.replace(BugKind::Slice, node, self.read(left));
                }
            }
            _ => {}
        }
    }
}

/// How many arguments a call has.
fn count(call: Node) -> usize {
    call.child_by_field_name("arguments")
        .map_or(0, |arguments| children(arguments).len())
}

fn is_text_or_list(node: Node) -> bool {
    match node.kind() {
        "string" | "concatenated_string" | "list" | "tuple" | "list_comprehension" => true,
        "binary_operator" => node
            .child_by_field_name("left")
            .is_some_and(is_text_or_list),
        _ => false,
    }
}
