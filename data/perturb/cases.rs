//! Values of cases that stand outside of a test: of its class, of its module, of `pytest_generate_tests`, of a fixture.
//!
//! In: a test. Out: values, each with what makes a copy of the test run for its changed case alone.
//! Example: below `@pytest.mark.parametrize("n, out", [(1, 2)])` a copy in the class begins with `n, out = (3, 2)`; and of
//! `@pytest.fixture(params=[1])` a copy is decorated with `@pytest.mark.parametrize("size", [3], indirect=True)`.

use std::ops::Range;

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
        let Some(start) = Start::in_test(test, text) else {
            break;
        };
        let line = format!("{}{} = ", start.indent, cases.names.join(", "));
        for case in items(cases.list, shared, end) {
            let place = |hole| Place::Bound {
                at: start.at,
                hole,
                case: case.range.start,
            };
            found.extend(case.values(shared, files, key, [&line, "\n"], place));
        }
    }
    let pytest = if text[..end].contains("import pytest") {
        "pytest"
    } else {
        "__import__(\"pytest\")"
    };
    for fixture in params(root, text)
        .into_iter()
        .filter(|fixture| asks_for(test, *fixture, root, text))
    {
        let before = format!("@{pytest}.mark.parametrize(\"{}\", [", fixture.name);
        for case in items(fixture.list, shared, end) {
            let place = |hole| Place::Param {
                hole,
                case: case.range.start,
            };
            found.extend(case.values(shared, files, key, [&before, "], indirect=True)"], place));
        }
    }
    found
}

/// A case as it is written down. Of `pytest.param(1, 2, id="a")` that is `1, 2` in brackets.
struct Case<'a> {
    parts: Vec<Node<'a>>,
    range: Range<usize>,
    brackets: [&'static str; 2],
}

impl<'a> Case<'a> {
    fn new(node: Node<'a>, text: &str) -> Option<Self> {
        let is_param = node.kind() == "call" && text[node.byte_range()].contains("param(");
        if node.kind() == "comment" {
            return None;
        }
        if !is_param {
            return Some(Case {
                parts: vec![node],
                range: node.byte_range(),
                brackets: ["", ""],
            });
        }
        let given = children(node.child_by_field_name("arguments")?);
        let parts: Vec<Node> = given
            .into_iter()
            .take_while(|one| !matches!(one.kind(), "keyword_argument" | "comment"))
            .collect();
        let range = parts.first()?.start_byte()..parts.last()?.end_byte();
        let brackets = if parts.len() == 1 {
            ["", ""]
        } else {
            ["(", ")"]
        };
        Some(Case {
            parts,
            range,
            brackets,
        })
    }

    /// Its values, each with what stands around it: the rest of the case, and `around` that.
    fn values(
        &self,
        shared: &'a Shared<'a>,
        files: &'a Files<'a>,
        key: u64,
        around: [&str; 2],
        place: impl Fn(Hole) -> Place,
    ) -> Vec<Value> {
        let mut values = Values::new(shared.text, files, key);
        self.parts.iter().for_each(|part| values.of_case(*part));
        let ([open, close], text) = (self.brackets, shared.text);
        let hole = |value: &Value| Hole {
            before: format!(
                "{}{open}{}",
                around[0],
                &text[self.range.start..value.range.start]
            ),
            after: format!(
                "{}{close}{}",
                &text[value.range.end..self.range.end],
                around[1]
            ),
        };
        values
            .found
            .into_iter()
            .map(|value| Value {
                place: place(hole(&value)),
                ..value
            })
            .collect()
    }
}

/// The cases of a list that is written down here, or that need no names of another file.
fn items<'a>(list: Node<'a>, shared: &Shared<'a>, end: usize) -> Vec<Case<'a>> {
    let Some(list) = shared
        .written_down(list)
        .filter(|list| matches!(list.kind(), "list" | "tuple"))
    else {
        return Vec::new();
    };
    let known = |case: &Node<'a>| case.end_byte() <= end || is_data(*case, shared.text);
    children(list)
        .into_iter()
        .filter(known)
        .filter_map(|case| Case::new(case, shared.text))
        .collect()
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
            one.child_by_field_name("name")
                .is_some_and(|name| asked.contains(&&text[name.byte_range()]))
        };
        asked = functions
            .iter()
            .filter(of_fixture)
            .flat_map(|one| parameters(*one, text))
            .collect();
    }
    asked.contains(&fixture.name)
}
