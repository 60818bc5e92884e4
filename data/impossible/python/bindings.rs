//! What the names of a test stand for: cases of `parametrize`, of loops and comprehensions, and plain assignments.
//!
//! In: a function, and the names of its module. Out: for each name the expressions that it may stand for, and whether it
//! is only ever compared. Example: with `for n, expected in [(1, "one"), (2, "two")]` the name `expected` stands for
//! `"one"` and `"two"`.

use std::collections::HashMap;

use tree_sitter::Node;

use super::{Known, called, children, keyword, positional};
use crate::source::cases::{around, parameters, params};

/// Calls that hand on what they are given to a comparison.
const HANDED_ON: [&str; 8] = [
    "approx", "sorted", "list", "set", "tuple", "dict", "str", "repr",
];

/// The names of one test.
pub(super) struct Bindings<'a> {
    known: Known<'a>,
    /// Names of the module, and attributes of the class that the function stands in.
    of_module: &'a Known<'a>,
    of_class: Known<'a>,
    /// Where a shared value that changes is another input of other functions: the whole file. `None` where that does not matter.
    root: Option<Node<'a>>,
    function: Node<'a>,
    text: &'a str,
}

/// Names that a module or the body of a class assigns once, outside of functions.
pub(super) fn of_block<'a>(block: Node<'a>, text: &'a str) -> Known<'a> {
    let mut known = HashMap::new();
    for statement in children(block)
        .into_iter()
        .filter(|one| one.kind() == "expression_statement")
    {
        for assignment in children(statement)
            .into_iter()
            .filter(|one| one.kind() == "assignment")
        {
            assign(assignment, text, &mut known);
        }
    }
    known.retain(|_, nodes: &mut Vec<Node>| nodes.len() == 1);
    known
}

impl<'a> Bindings<'a> {
    /// The names of a function with its decorators.
    pub fn of_function(
        function: Node<'a>,
        text: &'a str,
        of_module: &'a Known<'a>,
        root: Option<Node<'a>>,
    ) -> Self {
        let class = function.parent().filter(|body| body.kind() == "block");
        let of_class = class.map_or(HashMap::new(), |body| of_block(body, text));
        let mut bindings = Bindings {
            known: of_module.clone(),
            of_module,
            of_class,
            root,
            function,
            text,
        };
        bindings.cases_from_elsewhere();
        bindings.visit(function);
        bindings
    }

    /// Cases of the class, of `pytestmark`, of `pytest_generate_tests`, and parameters of fixtures that hand them on.
    fn cases_from_elsewhere(&mut self) {
        let mut root = self.function;
        while let Some(parent) = root.parent() {
            root = parent;
        }
        for cases in around(self.function, root, self.text) {
            self.of_cases(&cases.names, cases.list);
        }
        let asked = parameters(self.function, self.text);
        for fixture in params(root, self.text) {
            if asked.contains(&fixture.name) && fixture.hands_on(self.text) {
                self.of_cases(&[fixture.name], fixture.list);
            }
        }
    }

    /// Binds names to what they are in the cases of a list.
    fn of_cases(&mut self, names: &[&'a str], list: Node<'a>) {
        for case in self.items(list) {
            let is_param = case.kind() == "call" && called(case, self.text) == "param";
            let parts = match case.kind() {
                _ if is_param => positional(case),
                "tuple" | "list" if names.len() > 1 => children(case),
                _ => vec![case],
            };
            if parts.len() == names.len() {
                for (name, part) in names.iter().zip(parts) {
                    self.known.entry(name).or_default().push(part);
                }
            }
        }
    }

    /// What a name, or an attribute of the test's class, stands for, where the test does nothing with it but compare it.
    pub fn compared_only(&self, name: Node<'a>) -> &[Node<'a>] {
        match self.stands_for(name) {
            Some(nodes) if self.is_only_compared(self.function, name) => nodes,
            _ => &[],
        }
    }

    fn stands_for(&self, name: Node<'a>) -> Option<&[Node<'a>]> {
        let word = |field: &str| {
            name.child_by_field_name(field)
                .map_or("", |one| &self.text[one.byte_range()])
        };
        let text = &self.text[name.byte_range()];
        let (nodes, is_shared) = match name.kind() {
            "identifier" => (self.known.get(text), self.of_module.contains_key(text)),
            "attribute" if matches!(word("object"), "self" | "cls") => {
                (self.of_class.get(word("attribute")), true)
            }
            _ => (None, false),
        };
        let elsewhere = self
            .root
            .is_some_and(|root| is_shared && self.is_used_elsewhere(root, name));
        nodes.filter(|_| !elsewhere).map(Vec::as_slice)
    }

    /// Whether another function does something else with a shared name than to compare it.
    fn is_used_elsewhere(&self, node: Node, name: Node) -> bool {
        if node.id() == self.function.id() {
            return false;
        }
        if node.kind() == name.kind()
            && self.text[node.byte_range()] == self.text[name.byte_range()]
        {
            return !self.ends_in_comparison(node);
        }
        children(node)
            .into_iter()
            .any(|child| self.is_used_elsewhere(child, name))
    }

    fn visit(&mut self, node: Node<'a>) {
        match node.kind() {
            "decorator" => self.parametrize(node),
            "assignment" => {
                self.take_apart(node);
                let mut own = HashMap::new();
                assign(node, self.text, &mut own);
                for (name, nodes) in own {
                    self.known.entry(name).or_default().extend(nodes);
                }
            }
            "for_statement" | "for_in_clause" => {
                let sides = (
                    node.child_by_field_name("left"),
                    node.child_by_field_name("right"),
                );
                if let (Some(left), Some(right)) = sides {
                    self.loop_over(left, right);
                }
            }
            _ => {}
        }
        children(node)
            .into_iter()
            .for_each(|child| self.visit(child));
    }

    fn parametrize(&mut self, decorator: Node<'a>) {
        let Some(call) = decorator
            .named_child(0)
            .filter(|call| call.kind() == "call")
        else {
            return;
        };
        if called(call, self.text) != "parametrize" {
            return;
        }
        let arguments = positional(call);
        let names = arguments
            .first()
            .copied()
            .or_else(|| keyword(call, "argnames", self.text));
        let values = arguments
            .get(1)
            .copied()
            .or_else(|| keyword(call, "argvalues", self.text));
        let (Some(names), Some(values)) = (names, values) else {
            return;
        };
        let words = |node: Node<'a>| self.text[node.byte_range()].trim_matches(['"', '\'']);
        let names: Vec<&str> = match names.kind() {
            "string" => words(names)
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .collect(),
            _ => children(names).into_iter().map(words).collect(),
        };
        self.of_cases(&names, values);
    }

    /// The items of a container that is written down here, or that a name of the module stands for.
    fn items(&self, node: Node<'a>) -> Vec<Node<'a>> {
        match node.kind() {
            "list" | "tuple" | "set" | "expression_list" => children(node),
            "parenthesized_expression" => children(node)
                .first()
                .map_or(Vec::new(), |inner| self.items(*inner)),
            "identifier" | "attribute" => match self.stands_for(node) {
                Some([one]) if one.kind() != "identifier" => self.items(*one),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn loop_over(&mut self, left: Node<'a>, right: Node<'a>) {
        let targets = children(left);
        if right.kind() == "call" {
            let (name, arguments) = (called(right, self.text), positional(right));
            match (name, targets.as_slice(), arguments.as_slice()) {
                ("enumerate", [_, inner], [list, ..]) => {
                    let items = self.items(*list);
                    self.bind(*inner, &items);
                }
                ("zip", targets, lists) if targets.len() == lists.len() => {
                    for (target, list) in targets.iter().zip(lists) {
                        let items = self.items(*list);
                        self.bind(*target, &items);
                    }
                }
                ("items", [key, value], []) => self.loop_over_pairs(*key, *value, right),
                _ => {}
            }
            return;
        }
        let items = self.items(right);
        self.bind(left, &items);
    }

    fn loop_over_pairs(&mut self, key: Node<'a>, value: Node<'a>, call: Node<'a>) {
        let object = call
            .child_by_field_name("function")
            .and_then(|function| function.child_by_field_name("object"));
        let dictionary = match object {
            Some(object) if matches!(object.kind(), "identifier" | "attribute") => self
                .stands_for(object)
                .and_then(|nodes| nodes.first().copied()),
            other => other,
        };
        let Some(dictionary) = dictionary.filter(|node| node.kind() == "dictionary") else {
            return;
        };
        let pairs: Vec<Node> = children(dictionary)
            .into_iter()
            .filter(|pair| pair.kind() == "pair")
            .collect();
        let part = |field: &str| {
            pairs
                .iter()
                .filter_map(|pair| pair.child_by_field_name(field))
                .collect::<Vec<_>>()
        };
        self.bind(key, &part("key"));
        self.bind(value, &part("value"));
    }

    /// `n, expected = case`, where the case is a parameter of which nothing else is asked.
    fn take_apart(&mut self, assignment: Node<'a>) {
        let sides = (
            assignment.child_by_field_name("left"),
            assignment.child_by_field_name("right"),
        );
        let (Some(left), Some(right)) = sides else {
            return;
        };
        let name = &self.text[right.byte_range()];
        let is_case =
            right.kind() == "identifier" && parameters(self.function, self.text).contains(&name);
        let is_pattern = matches!(
            left.kind(),
            "pattern_list" | "tuple_pattern" | "list_pattern"
        );
        if is_case && is_pattern && self.uses(self.function, name) == 2 {
            let cases = self.known.get(name).cloned().unwrap_or_default();
            self.bind(left, &cases);
        }
    }

    /// How often a name stands below a node, outside of decorators.
    fn uses(&self, node: Node, name: &str) -> usize {
        let own = node.kind() == "identifier" && &self.text[node.byte_range()] == name;
        let below = children(node)
            .into_iter()
            .filter(|child| child.kind() != "decorator");
        usize::from(own) + below.map(|child| self.uses(child, name)).sum::<usize>()
    }

    fn bind(&mut self, target: Node<'a>, items: &[Node<'a>]) {
        if target.kind() == "identifier" {
            self.known
                .entry(&self.text[target.byte_range()])
                .or_default()
                .extend(items);
            return;
        }
        let targets = children(target);
        for item in items
            .iter()
            .filter(|item| matches!(item.kind(), "tuple" | "list"))
        {
            let parts = children(*item);
            if parts.len() == targets.len() {
                targets
                    .iter()
                    .zip(parts)
                    .for_each(|(target, part)| self.bind(*target, &[part]));
            }
        }
    }

    fn is_only_compared(&self, node: Node, name: Node) -> bool {
        if node.kind() == name.kind()
            && self.text[node.byte_range()] == self.text[name.byte_range()]
        {
            return self.ends_in_comparison(node);
        }
        children(node)
            .into_iter()
            .all(|child| self.is_only_compared(child, name))
    }

    /// Whether a use of a name is its definition, or part of one side of a comparison.
    fn ends_in_comparison(&self, used: Node) -> bool {
        let mut node = used;
        while let Some(parent) = node.parent() {
            match parent.kind() {
                "parenthesized_expression"
                | "tuple"
                | "list"
                | "set"
                | "pair"
                | "dictionary"
                | "unary_operator"
                | "interpolation"
                | "string"
                | "pattern_list"
                | "tuple_pattern"
                | "list_pattern" => {}
                "comparison_operator" | "assert_statement" => return true,
                "for_statement" | "for_in_clause" | "assignment" => {
                    return parent
                        .child_by_field_name("left")
                        .is_some_and(|left| left.id() == node.id());
                }
                // A word before `=` in a call is no use of the name.
                "keyword_argument" => {
                    return parent
                        .child_by_field_name("name")
                        .is_some_and(|name| name.id() == node.id());
                }
                "parameters" | "typed_parameter" | "default_parameter" => return true,
                "argument_list" => {
                    let Some(call) = parent.parent() else {
                        return false;
                    };
                    let word = called(call, self.text);
                    if super::checks::compares(word) {
                        return true;
                    }
                    if !HANDED_ON.contains(&word) {
                        return false;
                    }
                    node = call;
                    continue;
                }
                _ => return false,
            }
            node = parent;
        }
        false
    }
}

/// `a = 3` and `a, b = 3, 4`.
fn assign<'a>(assignment: Node<'a>, text: &'a str, known: &mut Known<'a>) {
    let sides = (
        assignment.child_by_field_name("left"),
        assignment.child_by_field_name("right"),
    );
    let (Some(left), Some(right)) = sides else {
        return;
    };
    if left.kind() == "identifier" {
        known
            .entry(&text[left.byte_range()])
            .or_default()
            .push(right);
        return;
    }
    let (targets, parts) = (children(left), children(right));
    if matches!(right.kind(), "expression_list" | "tuple") && targets.len() == parts.len() {
        for (target, part) in targets
            .into_iter()
            .zip(parts)
            .filter(|(target, _)| target.kind() == "identifier")
        {
            known
                .entry(&text[target.byte_range()])
                .or_default()
                .push(part);
        }
    }
}
