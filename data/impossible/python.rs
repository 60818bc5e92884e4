//! What tests in Python expect: asserts, unittest's methods, `pytest.raises`, cases of `parametrize` and of loops.
//!
//! In: a test file, and the names of tests in it. Out: the places of expected values, and comparisons that can be turned.
//! Example: of `assert add(1, 2) == 3` the `3` is expected, and `==` can be turned; `1` and `2` are asked for, not expected.

use std::collections::HashMap;

use tree_sitter::Node;

use super::Expectation;
use crate::source::functions::parse;

mod bindings;
mod checks;

use bindings::Bindings;

/// Names of a file or of a function, and what they stand for.
type Known<'a> = HashMap<&'a str, Vec<Node<'a>>>;

/// The expectations of `tests`; `alone`, those that can be changed without another input of other functions.
pub(super) fn expectations(text: &str, tests: &[&str], alone: bool) -> Vec<Expectation> {
    let tree = parse(text);
    let mut functions = Vec::new();
    collect(tree.root_node(), text, "", &mut functions);
    let module = bindings::of_block(tree.root_node(), text);
    let mut found = Vec::new();
    for test in tests {
        let plain = |name: &str| name.rsplit("::").next().map(str::to_string);
        // A test that a class inherits stands in another class.
        let exact: Vec<_> = functions.iter().filter(|(name, _)| name == test).collect();
        let inherited = || {
            functions
                .iter()
                .filter(|(name, _)| name.contains("::") && plain(name) == plain(test))
                .collect()
        };
        let nodes: Vec<_> = if exact.is_empty() && test.contains("::") {
            inherited()
        } else {
            exact
        };
        for (_, node) in nodes {
            let bindings =
                Bindings::of_function(*node, text, &module, alone.then(|| tree.root_node()));
            let mut checks = checks::Checks {
                text,
                bindings: &bindings,
                root: tree.root_node(),
                found: Vec::new(),
            };
            checks.block(*node);
            let of_test = |(range, how)| Expectation {
                test: (*test).to_string(),
                range,
                how,
            };
            found.extend(checks.found.into_iter().map(of_test));
        }
    }
    found
}

/// Functions and methods that stand in no other function, with their decorators.
fn collect<'a>(node: Node<'a>, text: &'a str, prefix: &str, found: &mut Vec<(String, Node<'a>)>) {
    for child in children(node) {
        let definition = child.child_by_field_name("definition").unwrap_or(child);
        let name = definition
            .child_by_field_name("name")
            .map_or("", |name| &text[name.byte_range()]);
        match definition.kind() {
            "function_definition" if !child.has_error() => {
                found.push((format!("{prefix}{name}"), child))
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

/// The named children, without comments.
fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let all = (0..node.named_child_count()).filter_map(|index| node.named_child(index as u32));
    all.filter(|child| child.kind() != "comment").collect()
}

/// The positional arguments of a call.
fn positional(call: Node<'_>) -> Vec<Node<'_>> {
    let list = call
        .child_by_field_name("arguments")
        .filter(|list| list.kind() == "argument_list");
    let plain = |one: &Node| {
        !matches!(
            one.kind(),
            "keyword_argument" | "list_splat" | "dictionary_splat"
        )
    };
    list.map_or(Vec::new(), |list| {
        children(list).into_iter().filter(plain).collect()
    })
}

/// The value of a keyword argument of a call.
fn keyword<'a>(call: Node<'a>, name: &str, text: &str) -> Option<Node<'a>> {
    let list = call.child_by_field_name("arguments")?;
    let is_it = |one: &Node| {
        one.child_by_field_name("name")
            .is_some_and(|word| &text[word.byte_range()] == name)
    };
    children(list)
        .into_iter()
        .find(|one| one.kind() == "keyword_argument" && is_it(one))?
        .child_by_field_name("value")
}

/// The last name of what is called: `raises` of `pytest.raises(...)`.
fn called<'a>(call: Node, text: &'a str) -> &'a str {
    let function = call
        .child_by_field_name("function")
        .map_or("", |name| &text[name.byte_range()]);
    function.rsplit('.').next().unwrap_or(function)
}

/// True for numbers, texts, and containers of them.
fn is_literal(node: Node) -> bool {
    match node.kind() {
        "integer" | "float" | "true" | "false" | "none" | "string" | "concatenated_string" => true,
        "unary_operator"
        | "list"
        | "tuple"
        | "set"
        | "dictionary"
        | "pair"
        | "parenthesized_expression"
        | "binary_operator" => children(node).into_iter().all(is_literal),
        _ => false,
    }
}
