//! What tests of jest expect: matchers of `expect`, Node's `assert`, helpers, cases of `test.each` and of loops.
//!
//! In: a test file, and the names of tests in it. Out: the places of expected values, and comparisons that can be turned.
//! Example: of `expect(add(1, 2)).toBe(3)` the `3` is expected, and `toBe` can be turned into `not.toBe`.

use std::collections::{BTreeMap, HashMap};

use tree_sitter::{Node, Parser, Tree};

use super::Expectation;

mod bindings;
mod checks;
pub(crate) mod functions;

use bindings::Bindings;

/// Names of a scope, and what they stand for.
type Known<'a> = HashMap<&'a str, Bound<'a>>;

/// What a name stands for, and where it is known.
#[derive(Clone)]
struct Bound<'a> {
    nodes: Vec<Node<'a>>,
    scope: Node<'a>,
}

/// The expectations of `tests`, given as jest tells them or as [`functions::Function::title`] has them.
pub(super) fn expectations(text: &str, tests: &[&str]) -> Vec<Expectation> {
    let tree = parse(text);
    let functions = functions::of_file(tree.root_node(), text);
    let mut found = Vec::new();
    for test in tests {
        for function in functions::named(&functions, test) {
            let bindings = Bindings::of_function(function, text);
            let mut checks = checks::Checks {
                text,
                bindings: &bindings,
                root: tree.root_node(),
                found: Vec::new(),
            };
            checks.block(function.body);
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

/// The title of the function that each test belongs to; its own name where there is none.
pub(super) fn function_names(text: &str, tests: &[&str]) -> BTreeMap<String, String> {
    let tree = parse(text);
    let functions = functions::of_file(tree.root_node(), text);
    let title = |test: &str| {
        functions::named(&functions, test)
            .first()
            .map_or(test.to_string(), |one| one.title.clone())
    };
    tests
        .iter()
        .map(|test| ((*test).to_string(), title(test)))
        .collect()
}

pub(crate) fn parse(source: &str) -> Tree {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_javascript::LANGUAGE.into())
        .expect("grammar and library have the same version");
    parser
        .parse(source, None)
        .expect("a parser with a language and no time limit always answers")
}

/// The named children, without comments.
pub(crate) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let all = (0..node.named_child_count()).filter_map(|index| node.named_child(index as u32));
    all.filter(|child| child.kind() != "comment").collect()
}

/// The arguments of a call or of `new`.
pub(crate) fn arguments(call: Node<'_>) -> Vec<Node<'_>> {
    let list = call
        .child_by_field_name("arguments")
        .filter(|list| list.kind() == "arguments");
    list.map_or(Vec::new(), children)
}

/// The last name of what is called: `deepEqual` of `assert.deepEqual(...)`.
fn called<'a>(call: Node, text: &'a str) -> &'a str {
    let function = call
        .child_by_field_name("function")
        .or_else(|| call.child_by_field_name("constructor"));
    function.map_or("", |function| last_name(function, text))
}

fn last_name<'a>(function: Node, text: &'a str) -> &'a str {
    match function.kind() {
        "identifier" => &text[function.byte_range()],
        "member_expression" => function
            .child_by_field_name("property")
            .map_or("", |name| &text[name.byte_range()]),
        _ => "",
    }
}

/// True for numbers, texts, and containers of them.
fn is_literal(node: Node) -> bool {
    match node.kind() {
        "number" | "string" | "true" | "false" | "null" | "undefined" | "regex" => true,
        "template_string" => children(node)
            .iter()
            .all(|part| part.kind() != "template_substitution"),
        "pair" => node.child_by_field_name("value").is_some_and(is_literal),
        "unary_expression"
        | "binary_expression"
        | "array"
        | "object"
        | "parenthesized_expression" => children(node).into_iter().all(is_literal),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
