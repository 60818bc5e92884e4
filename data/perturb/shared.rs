//! Values that a test shares with others: constants, helpers, classes and fixtures of its file, attributes of its class.
//!
//! In: a test of a Python file. Out: lines that stand at the start of a copy and hide what it shares, each with one value
//! that can be changed.
//! Example: beside `LINES = [1, 2]` a copy of `def test_total(): assert total(LINES) == 3` starts with `LINES = [2, 2]`.

use std::collections::{BTreeMap, BTreeSet};

use tree_sitter::Node;

use super::files::Files;
use super::python::{Place, Test, Value, Values, children};

/// How far names are followed: a test asks a fixture, which calls a helper, which reads a constant.
const DEPTH: usize = 3;
/// Methods that run before each test of a class.
const SET_UP: [&str; 3] = ["setUp", "asyncSetUp", "setup_method"];

/// Definitions of a file that its tests share.
pub(super) struct Shared<'a> {
    pub text: &'a str,
    module: BTreeMap<&'a str, Node<'a>>,
    /// Attributes of each class, by the node of its body.
    classes: BTreeMap<usize, BTreeMap<&'a str, Node<'a>>>,
    /// The body of what runs before each test of a class.
    set_ups: BTreeMap<usize, Node<'a>>,
}

/// A definition between a test and a value, as a test knows it.
#[derive(Clone, Copy)]
struct Link<'a> {
    /// `LINES`, or `self.LINES`.
    name: &'a str,
    node: Node<'a>,
    of_class: bool,
}

/// A piece of text where something else goes once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub before: String,
    pub after: String,
}

/// What the tests of a file share. Fixtures of a `conftest.py` stand in `text` as well.
pub(super) fn of_file<'a>(root: Node<'a>, text: &'a str) -> Shared<'a> {
    let mut shared = Shared {
        text,
        module: BTreeMap::new(),
        classes: BTreeMap::new(),
        set_ups: BTreeMap::new(),
    };
    shared.module = shared.definitions(root);
    let classes = children(root)
        .into_iter()
        .map(definition_of)
        .filter(|node| node.kind() == "class_definition");
    for body in classes.filter_map(|class| class.child_by_field_name("body")) {
        let attributes = shared.definitions(body);
        shared.classes.insert(body.id(), attributes);
        shared
            .set_ups
            .extend(shared.set_up(body).map(|set_up| (body.id(), set_up)));
    }
    shared
}

impl<'a> Shared<'a> {
    /// Constants, helper functions, fixtures and classes of a block that are no tests, each defined once.
    fn definitions(&self, block: Node<'a>) -> BTreeMap<&'a str, Node<'a>> {
        let (mut known, mut twice) = (BTreeMap::new(), BTreeSet::new());
        for child in children(block) {
            let node = definition_of(child);
            let name = match node.kind() {
                "expression_statement" => node
                    .named_child(0)
                    .and_then(|one| one.child_by_field_name("left")),
                "function_definition" | "class_definition" => node.child_by_field_name("name"),
                _ => None,
            };
            let Some(name) = name.filter(|name| name.kind() == "identifier") else {
                continue;
            };
            let name = self.word(name);
            if known.insert(name, child).is_some() {
                twice.insert(name);
            }
        }
        known.retain(|name, _| {
            !twice.contains(name) && !name.to_ascii_lowercase().starts_with("test")
        });
        known
    }

    /// What runs before each test of a class.
    fn set_up(&self, class: Node<'a>) -> Option<Node<'a>> {
        let named = |one: &Node| {
            let name = one
                .child_by_field_name("name")
                .map_or("", |name| self.word(name));
            one.kind() == "function_definition" && SET_UP.contains(&name)
        };
        children(class)
            .into_iter()
            .find(named)?
            .child_by_field_name("body")
    }

    /// A list or tuple, or the one that a constant of the module stands for.
    pub fn written_down(&self, node: Node<'a>) -> Option<Node<'a>> {
        if node.kind() != "identifier" {
            return Some(node);
        }
        self.module
            .get(self.word(node))?
            .named_child(0)?
            .child_by_field_name("right")
    }

    fn word(&self, node: Node) -> &'a str {
        &self.text[node.byte_range()]
    }

    /// Values of what `test` shares, each with the lines that hide it.
    pub fn values(&'a self, test: &Test<'a>, files: &'a Files<'a>, key: u64) -> Vec<Value> {
        let Some(start) = Start::in_test(test, self.text) else {
            return Vec::new();
        };
        let attributes = test
            .node
            .parent()
            .and_then(|body| self.classes.get(&body.id()));
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        // It runs once more, with another value.
        if let Some(set_up) = test
            .node
            .parent()
            .and_then(|body| self.set_ups.get(&body.id()))
        {
            found = self.values_of(
                &[Link {
                    name: "",
                    node: *set_up,
                    of_class: true,
                }],
                test,
                &start,
                (files, key),
            );
        }
        let mut chains: Vec<Vec<Link>> = vec![Vec::new()];
        for _ in 0..DEPTH {
            let mut longer = Vec::new();
            for chain in &chains {
                let from = chain.last().map_or(test.node, |link| link.node);
                for link in self.named_in(from, attributes) {
                    if seen.insert(link.node.id()) {
                        longer.push(chain.iter().copied().chain([link]).collect::<Vec<Link>>());
                    }
                }
            }
            longer
                .iter()
                .for_each(|chain| found.extend(self.values_of(chain, test, &start, (files, key))));
            chains = longer;
        }
        found
    }

    /// What a node names of its module and of its class.
    fn named_in(
        &self,
        node: Node<'a>,
        attributes: Option<&BTreeMap<&'a str, Node<'a>>>,
    ) -> Vec<Link<'a>> {
        let mut found = Vec::new();
        let own = match node.kind() {
            "attribute" => {
                let object = node
                    .child_by_field_name("object")
                    .map_or("", |one| self.word(one));
                let name = node
                    .child_by_field_name("attribute")
                    .map_or("", |one| self.word(one));
                let attribute = attributes
                    .filter(|_| object == "self")
                    .and_then(|known| known.get(name));
                attribute.map(|known| Link {
                    name: self.word(node),
                    node: *known,
                    of_class: true,
                })
            }
            "identifier" => {
                let name = self.word(node);
                self.module.get(name).map(|known| Link {
                    name,
                    node: *known,
                    of_class: false,
                })
            }
            _ => None,
        };
        found.extend(own);
        let skipped = match node.kind() {
            "attribute" => node.child_by_field_name("attribute"),
            "keyword_argument" => node.child_by_field_name("name"),
            _ => None,
        };
        for child in children(node)
            .into_iter()
            .filter(|child| Some(*child) != skipped && child.kind() != "decorator")
        {
            found.extend(self.named_in(child, attributes));
        }
        found
    }

    /// The values of the last definition of a chain.
    fn values_of(
        &'a self,
        chain: &[Link<'a>],
        test: &Test<'a>,
        start: &Start,
        (files, key): (&'a Files<'a>, u64),
    ) -> Vec<Value> {
        let Some(last) = chain.last() else {
            return Vec::new();
        };
        let mut values = Values::new(self.text, files, key);
        values.visit(body_of(last.node));
        let lines: Option<Vec<String>> = chain
            .iter()
            .map(|link| self.line(*link, chain, test, start))
            .collect();
        let Some(mut lines) = lines else {
            return Vec::new();
        };
        // The deepest first: what is made at once has to know it.
        lines.reverse();
        let rest: String = lines[1..].concat();
        let with_hole = |value: Value| {
            let hole = self.hole(*last, &value, &lines[0])?;
            let after = format!("{}{rest}", hole.after);
            Some(Value {
                place: Place::Hidden {
                    at: start.at,
                    hole: Hole {
                        before: hole.before,
                        after,
                    },
                },
                ..value
            })
        };
        values.found.into_iter().filter_map(with_hole).collect()
    }

    /// Lines that define the same within the test. `None` where that cannot be said there.
    fn line(
        &self,
        link: Link<'a>,
        chain: &[Link<'a>],
        test: &Test,
        start: &Start,
    ) -> Option<String> {
        let node = definition_of(link.node);
        let text = self.word(node);
        if holds_lines(node) {
            return None;
        }
        let column = node.start_position().column;
        let body: Vec<&str> = text.split('\n').collect();
        let dedented = |line: &&str| {
            line.get(column..)
                .filter(|_| line[..column].trim().is_empty())
                .map(str::to_string)
        };
        let mut lines = vec![body[0].to_string()];
        for line in &body[1..] {
            lines.push(if line.trim().is_empty() {
                String::new()
            } else {
                dedented(line)?
            });
        }
        match node.kind() {
            "expression_statement" if link.of_class && !lines[0].starts_with("self.") => {
                lines[0].insert_str(0, "self.")
            }
            "expression_statement" | "class_definition" | "block" => {}
            "function_definition" if link.of_class => return None,
            "function_definition" => lines.extend(self.call_of_fixture(link, node, chain, test)?),
            _ => return None,
        }
        let indented = lines.iter().map(|line| format!("{}{line}\n", start.indent));
        Some(indented.collect())
    }

    /// A fixture is called at once, since its value is asked for; nothing for other functions. `None` where that cannot be.
    fn call_of_fixture(
        &self,
        link: Link<'a>,
        function: Node<'a>,
        chain: &[Link<'a>],
        test: &Test<'a>,
    ) -> Option<Option<String>> {
        let Some(decorator) = link
            .node
            .named_child(0)
            .filter(|one| one.kind() == "decorator")
        else {
            return Some(None);
        };
        let decorator = self.word(decorator);
        let is_plain = decorator.contains("fixture")
            && !["params", "name", "autouse"]
                .iter()
                .any(|word| decorator.contains(word));
        let parameters = |function: Node<'a>| {
            function
                .child_by_field_name("parameters")
                .map_or(Vec::new(), children)
        };
        let given: Vec<&str> = parameters(test.definition)
            .into_iter()
            .map(|one| self.word(one))
            .collect();
        let asked: Vec<&str> = parameters(function)
            .into_iter()
            .map(|one| self.word(one))
            .collect();
        let is_known =
            |name: &&str| given.contains(name) || chain.iter().any(|link| link.name == *name);
        if !is_plain || !asked.iter().all(is_known) {
            return None;
        }
        let call = format!("{}({})", link.name, asked.join(", "));
        let value = if has_kind(function, "yield") {
            format!("next({call})")
        } else {
            call
        };
        Some(Some(format!("{} = {value}", link.name)))
    }

    /// Where a value stands in the lines of its definition.
    fn hole(&self, link: Link, value: &Value, line: &str) -> Option<Hole> {
        let was = &self.text[value.range.clone()];
        let from = definition_of(link.node).start_byte();
        // Indentation moves places, so the value is found by its number among equal texts.
        let before = self.text[from..value.range.start].matches(was).count();
        let at = line.match_indices(was).nth(before)?.0;
        Some(Hole {
            before: line[..at].to_string(),
            after: line[at + was.len()..].to_string(),
        })
    }
}

/// Where lines can be put into a test.
pub(super) struct Start {
    pub at: usize,
    pub indent: String,
}

impl Start {
    /// Before the first statement, if it stands on a line of its own.
    pub fn in_test(test: &Test, text: &str) -> Option<Start> {
        let first = test
            .definition
            .child_by_field_name("body")?
            .named_child(0)?;
        let at = first.start_byte() - first.start_position().column;
        let indent = &text[at..first.start_byte()];
        indent.trim().is_empty().then(|| Start {
            at,
            indent: indent.to_string(),
        })
    }
}

/// The node below its decorators.
fn definition_of(node: Node<'_>) -> Node<'_> {
    node.child_by_field_name("definition").unwrap_or(node)
}

/// The part of a definition that holds values: a side of an assignment, or a block.
fn body_of(node: Node<'_>) -> Node<'_> {
    let node = definition_of(node);
    let side = node
        .named_child(0)
        .and_then(|one| one.child_by_field_name("right"));
    node.child_by_field_name("body").or(side).unwrap_or(node)
}

/// Whether a text inside runs over several lines: it would be another one with other indentation.
fn holds_lines(node: Node) -> bool {
    let tall = node.start_position().row != node.end_position().row;
    tall && (node.kind() == "string" || children(node).into_iter().any(holds_lines))
}

fn has_kind(node: Node, kind: &str) -> bool {
    node.kind() == kind
        || children(node)
            .into_iter()
            .any(|child| has_kind(child, kind))
}
