//! Values of cases that stand outside of a test: of its class, of its module, of `pytest_generate_tests`, of a fixture.
//!
//! In: a test. Out: values, each with what makes a copy of the test run for its changed case alone.
//! Example: below `@pytest.mark.parametrize("n, out", [(1, 2)])` a copy in the class begins with `n, out = (3, 2)`; and of
//! `@pytest.fixture(params=[1])` a copy is decorated with `@pytest.mark.parametrize("size", [3], indirect=True)`.

use tree_sitter::Node;

use super::files::Files;
use super::python::{Place, Test, Value, Values, children, is_data};
use super::shared::{Hole, Shared, Start};
use crate::source::cases::{Params, around, parameters, params};

/// Fixtures that ask for fixtures are followed so far.
const DEPTH: usize = 3;

/// The values of all cases that `test` gets from elsewhere. What stands behind `end` is of another file, whose names are not
/// known here.
pub(super) fn outside<'a>(
    test: &Test<'a>,
    shared: &'a Shared<'a>,
    root: Node<'a>,
    end: usize,
    files: &'a Files<'a>,
    key: u64,
) -> Vec<Value> {
    let mut found = Vec::new();
    let text = shared.text;
    for cases in around(test.definition, root, text) {
        let Some(start) = Start::in_test(test, text) else { break };
        let names = cases.names.join(", ");
        for (case, before, after) in items(cases.list, cases.names.len(), shared, end) {
            let hole = |value: &Value| Hole {
                before: format!("{}{names} = {before}{}", start.indent, &text[case.start_byte()..value.range.start]),
                after: format!("{}{after}\n", &text[value.range.end..case.end_byte()]),
            };
            let place = |value: &Value| Place::Bound { at: start.at, hole: hole(value), case: case.start_byte() };
            found.extend(values(case, shared, files, key).into_iter().map(|one| Value { place: place(&one), ..one }));
        }
    }
    let pytest = if text[..end].contains("import pytest") { "pytest" } else { "__import__(\"pytest\")" };
    for fixture in params(root, text).into_iter().filter(|fixture| asks_for(test, *fixture, root, text)) {
        for (case, before, after) in items(fixture.list, 1, shared, end) {
            let hole = |value: &Value| Hole {
                before: format!(
                    "@{pytest}.mark.parametrize(\"{}\", [{before}{}",
                    fixture.name,
                    &text[case.start_byte()..value.range.start]
                ),
                after: format!("{}{after}], indirect=True)", &text[value.range.end..case.end_byte()]),
            };
            let place = |value: &Value| Place::Param { hole: hole(value), case: case.start_byte() };
            found.extend(values(case, shared, files, key).into_iter().map(|one| Value { place: place(&one), ..one }));
        }
    }
    found
}

/// The cases of a list that is written down, each with what goes before and behind it. Of `pytest.param(1, 2)` that is the
/// list of its values.
fn items<'a>(
    list: Node<'a>,
    names: usize,
    shared: &Shared<'a>,
    end: usize,
) -> Vec<(Node<'a>, &'static str, &'static str)> {
    let Some(list) = shared.written_down(list).filter(|list| matches!(list.kind(), "list" | "tuple")) else {
        return Vec::new();
    };
    let known = |case: &Node<'a>| case.end_byte() <= end || is_data(*case, shared.text);
    let of_case = |case: Node<'a>| match case.kind() {
        "comment" => None,
        "call" if shared.text[case.byte_range()].contains("param(") => {
            let given = case.child_by_field_name("arguments")?;
            let plain = children(given).into_iter().all(|one| !matches!(one.kind(), "keyword_argument" | "comment"));
            plain.then_some((given, "", if names == 1 { "[0]" } else { "" }))
        }
        _ => Some((case, "", "")),
    };
    children(list).into_iter().filter(known).filter_map(of_case).collect()
}

fn values<'a>(case: Node<'a>, shared: &'a Shared<'a>, files: &'a Files<'a>, key: u64) -> Vec<Value> {
    let mut values = Values::new(shared.text, files, key);
    values.of_case(case);
    values.found
}

/// Whether a test asks for a fixture, or for one that asks for it.
fn asks_for(test: &Test, fixture: Params, root: Node, text: &str) -> bool {
    let functions: Vec<Node> = children(root)
        .into_iter()
        .map(|one| one.child_by_field_name("definition").unwrap_or(one))
        .filter(|one| one.kind() == "function_definition")
        .collect();
    let mut asked: Vec<&str> = parameters(test.definition, text);
    for _ in 0..DEPTH {
        if asked.contains(&fixture.name) {
            return true;
        }
        let of_fixture = |one: &&Node| {
            one.child_by_field_name("name").is_some_and(|name| asked.contains(&&text[name.byte_range()]))
        };
        asked = functions.iter().filter(of_fixture).flat_map(|one| parameters(*one, text)).collect();
    }
    asked.contains(&fixture.name)
}
