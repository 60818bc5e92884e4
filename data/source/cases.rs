//! Cases of a test that stand outside of its function.
//!
//! In: a test function in Python, the root of its file. Out: calls of `parametrize` on its class, in `pytestmark` and in
//! `pytest_generate_tests`, and fixtures with `params`. Example: with `@pytest.mark.parametrize("n", [1, 2])` above
//! `class TestA` each of its methods runs for 1 and for 2.

use tree_sitter::Node;

/// Names that a call of `parametrize` gives values, and the list of its cases.
#[derive(Clone, Debug)]
pub(crate) struct Cases<'a> {
    pub names: Vec<&'a str>,
    pub list: Node<'a>,
}

/// A fixture that is made once for each of some parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params<'a> {
    pub name: &'a str,
    pub function: Node<'a>,
    pub list: Node<'a>,
}

impl Params<'_> {
    /// Whether its value is the parameter itself.
    pub fn hands_on(&self, text: &str) -> bool {
        let body = self
            .function
            .child_by_field_name("body")
            .map_or("", |body| &text[body.byte_range()]);
        let mut lines = body.lines().map(str::trim).filter(|line| !line.is_empty());
        matches!(
            lines.next(),
            Some("return request.param" | "yield request.param")
        ) && lines.next().is_none()
    }
}

/// The cases of a function that stand on its class, in `pytestmark` and in `pytest_generate_tests`, where it has parameters
/// of their names.
pub(crate) fn around<'a>(function: Node<'a>, root: Node<'a>, text: &'a str) -> Vec<Cases<'a>> {
    let own = parameters(function, text);
    let mut calls = Vec::new();
    let mut blocks = vec![root];
    let mut node = function;
    while let Some(parent) = node.parent() {
        if parent.kind() == "class_definition" {
            blocks.extend(parent.child_by_field_name("body"));
            let decorated = parent
                .parent()
                .filter(|one| one.kind() == "decorated_definition");
            let decorators = decorated
                .map_or(Vec::new(), children)
                .into_iter()
                .filter(|one| one.kind() == "decorator");
            calls.extend(decorators.filter_map(|one| one.named_child(0)));
        }
        node = parent;
    }
    for statement in blocks.into_iter().flat_map(children) {
        let assignment = statement
            .named_child(0)
            .filter(|_| statement.kind() == "expression_statement");
        let side = |field| assignment.and_then(|one| one.child_by_field_name(field));
        if side("left").is_some_and(|left| &text[left.byte_range()] == "pytestmark") {
            calls.extend(side("right"));
        }
        let name = statement
            .child_by_field_name("name")
            .map_or("", |name| &text[name.byte_range()]);
        if statement.kind() == "function_definition" && name == "pytest_generate_tests" {
            calls.push(statement);
        }
    }
    let mut found = Vec::new();
    calls
        .into_iter()
        .for_each(|node| collect(node, text, &mut found));
    found.retain(|cases| {
        !cases.names.is_empty() && cases.names.iter().all(|name| own.contains(name))
    });
    found
}

/// Calls of `parametrize` below a node.
fn collect<'a>(node: Node<'a>, text: &'a str, found: &mut Vec<Cases<'a>>) {
    found.extend(parametrized(node, text));
    children(node)
        .into_iter()
        .for_each(|child| collect(child, text, found));
}

fn parametrized<'a>(call: Node<'a>, text: &'a str) -> Option<Cases<'a>> {
    let function = call
        .child_by_field_name("function")
        .filter(|_| call.kind() == "call")?;
    if !text[function.byte_range()].ends_with("parametrize") {
        return None;
    }
    let given = children(call.child_by_field_name("arguments")?);
    let keyword = |name: &str| {
        given
            .iter()
            .find(|one| is_keyword(**one, name, text))
            .copied()
    };
    if keyword("indirect").is_some() {
        return None;
    }
    let value = |node: Node<'a>| node.child_by_field_name("value");
    let positional: Vec<Node> = given
        .iter()
        .filter(|one| one.kind() != "keyword_argument")
        .copied()
        .collect();
    let names = positional
        .first()
        .copied()
        .or_else(|| keyword("argnames").and_then(value))?;
    let list = positional
        .get(1)
        .copied()
        .or_else(|| keyword("argvalues").and_then(value))?;
    let words = |node: Node<'a>| text[node.byte_range()].trim_matches(['"', '\'']);
    let names = match names.kind() {
        "string" => words(names)
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect(),
        _ => children(names).into_iter().map(words).collect(),
    };
    Some(Cases { names, list })
}

/// Fixtures of a module with parameters, each with their list.
pub(crate) fn params<'a>(root: Node<'a>, text: &'a str) -> Vec<Params<'a>> {
    let of_function = |decorated: Node<'a>| {
        let function = decorated
            .child_by_field_name("definition")
            .filter(|one| one.kind() == "function_definition")?;
        let call = children(decorated)
            .into_iter()
            .find(|one| one.kind() == "decorator")?
            .named_child(0)?;
        let maker = call
            .child_by_field_name("function")
            .filter(|_| call.kind() == "call")?;
        let given = children(call.child_by_field_name("arguments")?);
        if !text[maker.byte_range()].ends_with("fixture")
            || given.iter().any(|one| is_keyword(*one, "name", text))
        {
            return None;
        }
        let list = given
            .iter()
            .find(|one| is_keyword(**one, "params", text))?
            .child_by_field_name("value")?;
        let name = &text[function.child_by_field_name("name")?.byte_range()];
        Some(Params {
            name,
            function,
            list,
        })
    };
    children(root).into_iter().filter_map(of_function).collect()
}

/// The names of a function's parameters.
pub(crate) fn parameters<'a>(function: Node<'a>, text: &'a str) -> Vec<&'a str> {
    let function = function
        .child_by_field_name("definition")
        .unwrap_or(function);
    let list = function
        .child_by_field_name("parameters")
        .map_or(Vec::new(), children);
    let name = |one: Node<'a>| {
        let plain = if one.kind() == "identifier" {
            Some(one)
        } else {
            one.named_child(0)
        };
        plain.map(|name| &text[name.byte_range()])
    };
    list.into_iter().filter_map(name).collect()
}

fn is_keyword(node: Node, name: &str, text: &str) -> bool {
    let word = node
        .child_by_field_name("name")
        .filter(|_| node.kind() == "keyword_argument");
    word.is_some_and(|word| &text[word.byte_range()] == name)
}

/// The named children, without comments.
fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let all = (0..node.named_child_count()).filter_map(|index| node.named_child(index as u32));
    all.filter(|child| child.kind() != "comment").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::functions::parse;

    const TEXT: &str = "import pytest\n\npytestmark = [pytest.mark.slow, pytest.mark.parametrize('mode', ['a'])]\n\n\n\
        def pytest_generate_tests(metafunc):\n    metafunc.parametrize(['k', 'v'], CASES)\n\n\n\
        @pytest.fixture(params=[1, 2])\ndef size(request):\n    return request.param\n\n\n\
        @pytest.fixture(params=[3])\ndef stack(request):\n    return Stack(request.param)\n\n\n\
        @pytest.mark.parametrize('n, out', [(1, 2)])\nclass TestA:\n    def test_a(self, n, out, mode, k=None):\n        pass\n";

    #[test]
    fn cases_around_a_test_are_found_where_it_asks_for_them() {
        let tree = parse(TEXT);
        let class = children(tree.root_node())
            .pop()
            .and_then(|one| one.child_by_field_name("definition"));
        let body = class
            .and_then(|class| class.child_by_field_name("body"))
            .expect("a body");
        let found = around(
            body.named_child(0).expect("a method"),
            tree.root_node(),
            TEXT,
        );
        let names: Vec<Vec<&str>> = found.into_iter().map(|cases| cases.names).collect();
        assert_eq!(names, [vec!["n", "out"], vec!["mode"]]);
    }

    #[test]
    fn fixtures_with_parameters_are_found() {
        let tree = parse(TEXT);
        let found: Vec<(&str, bool)> = params(tree.root_node(), TEXT)
            .iter()
            .map(|one| (one.name, one.hands_on(TEXT)))
            .collect();
        assert_eq!(found, [("size", true), ("stack", false)]);
    }
}
