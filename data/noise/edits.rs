//! One function for each kind of noise: a text with one change more, or none where the rule finds no place.

use tree_sitter::Node;

use super::names::{local_names, renamed};
use super::{Draws, NoiseKind};
use crate::source::functions::{Function, parse};

const REMARKS: [&str; 8] = [
    "Handle the common case first.",
    "NOTE: keep this in sync with the callers.",
    "TODO: revisit this once the tests are faster.",
    "This used to be wrong; see the issue.",
    "The order of these steps matters.",
    "Make sure that the result is correct.",
    "Be careful with edge cases here.",
    "Fixed as described in the issue.",
];
const DOCSTRINGS: [&str; 4] = [
    "Return the result.",
    "See the documentation of the module.",
    "Internal: the interface may change.",
    "Do the work.",
];
const LEVELS: [&str; 3] = ["debug", "debug", "info"];
const HELPERS: [&str; 4] = ["_debug_value", "_as_text", "_is_valid", "_describe"];

/// The text with one change of this kind in or after the function.
pub(super) fn apply(
    kind: NoiseKind,
    text: &str,
    function: &Function,
    draws: &mut Draws,
) -> Option<String> {
    match kind {
        NoiseKind::Comment => above_statement(text, function, draws, &|draws, indent| {
            format!("{indent}# {}\n", REMARKS[draws.below(REMARKS.len())])
        }),
        NoiseKind::BlankLine => above_statement(text, function, draws, &|_, _| "\n".to_string()),
        NoiseKind::Docstring => docstring(text, function, draws),
        NoiseKind::Logging => logging(text, function, draws),
        NoiseKind::Guard => guard(text, function, draws),
        NoiseKind::Rename => rename(text, function, draws),
        NoiseKind::DeadHelper => dead_helper(text, draws),
        NoiseKind::Quotes => quotes(text, function, draws),
        NoiseKind::ReturnLocal => return_local(text, function, draws),
        NoiseKind::Parentheses => parentheses(text, function, draws),
        NoiseKind::ExtraFile => None,
    }
}

/// A file beside the one with the bug.
pub(super) fn extra_file(focus: &str, draws: &mut Draws) -> (String, String) {
    let folder = focus
        .rsplit_once('/')
        .map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let number = draws.below(1000);
    match draws.below(3) {
        0 => (format!("NOTES-{number}.md"), "# Notes\n\nThe issue is fixed, and the tests pass.\n".to_string()),
        1 => (
            format!("{folder}reproduce_{number}.py"),
            "\"\"\"Reproduces the issue.\"\"\"\n\n\ndef main():\n    print(\"fixed\")\n\n\nif __name__ == \"__main__\":\n    main()\n"
                .to_string(),
        ),
        _ => (format!("CHANGES-{number}.txt"), "- fixed the issue\n".to_string()),
    }
}

/// The nodes below `node`, in the order of the text.
fn nodes(node: Node<'_>) -> Vec<Node<'_>> {
    let (mut stack, mut found) = (vec![node], Vec::new());
    while let Some(node) = stack.pop() {
        found.push(node);
        stack.extend(
            (0..node.named_child_count())
                .rev()
                .filter_map(|index| node.named_child(index as u32)),
        );
    }
    found
}

/// The definition of a function in the tree of its file.
pub(super) fn definition<'t>(root: Node<'t>, function: &Function) -> Option<Node<'t>> {
    let within = |node: &Node| {
        let (first, last) = (node.start_position().row + 1, node.end_position().row + 1);
        node.kind() == "function_definition"
            && first >= function.first_line
            && last <= function.last_line + 1
    };
    nodes(root).into_iter().find(within)
}

/// The statements of a function that begin a line, without those of a docstring.
fn statements<'t>(definition: Node<'t>, text: &str) -> Vec<Node<'t>> {
    let begins_line = |node: &Node| {
        let line = text[..node.start_byte()]
            .rsplit('\n')
            .next()
            .unwrap_or_default();
        line.trim().is_empty()
    };
    let is_statement = |node: &Node| {
        node.parent().is_some_and(|parent| parent.kind() == "block")
            && node.kind() != "comment"
            && !is_docstring(*node)
            && begins_line(node)
    };
    nodes(definition)
        .into_iter()
        .skip(1)
        .filter(is_statement)
        .collect()
}

fn is_docstring(node: Node) -> bool {
    node.kind() == "expression_statement"
        && node.named_child_count() == 1
        && node
            .named_child(0)
            .is_some_and(|child| matches!(child.kind(), "string" | "concatenated_string"))
}

/// The first statement of the body that is no docstring.
fn first_statement<'t>(definition: Node<'t>, text: &str) -> Option<Node<'t>> {
    let body = definition.child_by_field_name("body")?;
    statements(definition, text)
        .into_iter()
        .find(|node| node.parent() == Some(body))
}

fn indent_of<'a>(node: Node, text: &'a str) -> &'a str {
    let start = text[..node.start_byte()].rfind('\n').map_or(0, |at| at + 1);
    &text[start..node.start_byte()]
}

/// The text with lines in front of that of `node`.
fn with_above(text: &str, node: Node, lines: &str) -> String {
    let start = text[..node.start_byte()].rfind('\n').map_or(0, |at| at + 1);
    format!("{}{lines}{}", &text[..start], &text[start..])
}

fn above_statement(
    text: &str,
    function: &Function,
    draws: &mut Draws,
    line: &dyn Fn(&mut Draws, &str) -> String,
) -> Option<String> {
    let tree = parse(text);
    let definition = definition(tree.root_node(), function)?;
    let statement = *draws.one(&statements(definition, text))?;
    let line = line(draws, indent_of(statement, text));
    Some(with_above(text, statement, &line))
}

fn docstring(text: &str, function: &Function, draws: &mut Draws) -> Option<String> {
    let tree = parse(text);
    let definition = definition(tree.root_node(), function)?;
    let body = definition.child_by_field_name("body")?;
    let first = first_statement(definition, text)?;
    if body.named_child(0) != Some(first) {
        return None;
    }
    let line = format!(
        "{}\"\"\"{}\"\"\"\n",
        indent_of(first, text),
        DOCSTRINGS[draws.below(DOCSTRINGS.len())]
    );
    Some(with_above(text, first, &line))
}

fn logging(text: &str, function: &Function, draws: &mut Draws) -> Option<String> {
    let tree = parse(text);
    let definition = definition(tree.root_node(), function)?;
    let first = first_statement(definition, text)?;
    let name = function.name.rsplit('.').next().unwrap_or_default();
    let level = LEVELS[draws.below(LEVELS.len())];
    let line = format!(
        "{}logging.getLogger(__name__).{level}(\"{name} called\")\n",
        indent_of(first, text)
    );
    let logged = with_above(text, first, &line);
    if text.lines().any(|line| line == "import logging") {
        return Some(logged);
    }
    // Imports stand behind the docstring of the module and what comes from the future.
    let root = tree.root_node();
    let top = (0..root.named_child_count()).filter_map(|index| root.named_child(index as u32));
    let place = top.into_iter().find(|node| {
        !is_docstring(*node) && !matches!(node.kind(), "comment" | "future_import_statement")
    })?;
    let start = text[..place.start_byte()]
        .rfind('\n')
        .map_or(0, |at| at + 1);
    (start <= first.start_byte())
        .then(|| format!("{}import logging\n{}", &logged[..start], &logged[start..]))
}

fn guard(text: &str, function: &Function, draws: &mut Draws) -> Option<String> {
    let tree = parse(text);
    let definition = definition(tree.root_node(), function)?;
    let first = first_statement(definition, text)?;
    let parameters = definition.child_by_field_name("parameters")?;
    let named = (0..parameters.named_child_count())
        .filter_map(|index| parameters.named_child(index as u32));
    let names: Vec<&str> = named
        .filter(|node| node.kind() == "identifier")
        .map(|node| &text[node.byte_range()])
        .filter(|name| !matches!(*name, "self" | "cls"))
        .collect();
    let name = draws.one(&names)?;
    let indent = indent_of(first, text);
    let lines = match draws.below(3) {
        0 => format!("{indent}assert {name} is not None\n"),
        1 => format!(
            "{indent}if {name} is None:\n{indent}    raise ValueError(\"{name} is missing\")\n"
        ),
        _ => format!(
            "{indent}if {name} is None:\n{indent}    raise TypeError(\"{name} must not be None\")\n"
        ),
    };
    Some(with_above(text, first, &lines))
}

fn rename(text: &str, function: &Function, draws: &mut Draws) -> Option<String> {
    let tree = parse(text);
    let definition = definition(tree.root_node(), function)?;
    let names = local_names(definition, text);
    let name = draws.one(&names)?;
    let longer = match draws.below(3) {
        0 => format!("{name}_value"),
        1 => format!("current_{name}"),
        _ => format!("the_{name}"),
    };
    if text.contains(&longer) {
        return None;
    }
    Some(renamed(definition, text, name, &longer))
}

fn dead_helper(text: &str, draws: &mut Draws) -> Option<String> {
    let name = HELPERS[draws.below(HELPERS.len())];
    if text.contains(name) {
        return None;
    }
    let body = match draws.below(3) {
        0 => "    return repr(value)\n".to_string(),
        1 => "    if value is None:\n        return \"\"\n    return str(value)\n".to_string(),
        _ => "    \"\"\"Whether a value can be used.\"\"\"\n    return value is not None\n"
            .to_string(),
    };
    Some(format!(
        "{}\n\n\ndef {name}(value):\n{body}",
        text.trim_end_matches('\n')
    ))
}

fn quotes(text: &str, function: &Function, draws: &mut Draws) -> Option<String> {
    let tree = parse(text);
    let definition = definition(tree.root_node(), function)?;
    let simple = |node: &Node| {
        let source = &text[node.byte_range()];
        let inner = source
            .get(1..source.len().saturating_sub(1))
            .unwrap_or_default();
        let plain = !inner.contains(['\'', '"', '\\', '\n', '{']);
        let quoted = source.len() > 1 && (source.starts_with('\'') || source.starts_with('"'));
        node.kind() == "string" && quoted && plain && !node.parent().is_some_and(is_docstring)
    };
    let strings: Vec<Node> = nodes(definition).into_iter().filter(simple).collect();
    let node = draws.one(&strings)?;
    let source = &text[node.byte_range()];
    let other = if source.starts_with('"') { '\'' } else { '"' };
    let inner = &source[1..source.len() - 1];
    Some(format!(
        "{}{other}{inner}{other}{}",
        &text[..node.start_byte()],
        &text[node.end_byte()..]
    ))
}

fn return_local(text: &str, function: &Function, draws: &mut Draws) -> Option<String> {
    let tree = parse(text);
    let definition = definition(tree.root_node(), function)?;
    let source = &text[definition.byte_range()];
    let name = ["result", "value", "output", "answer"]
        .into_iter()
        .find(|name| !source.contains(name))?;
    let usable = |node: &Node| {
        let plain = node.named_child_count() == 1
            && node
                .named_child(0)
                .is_some_and(|child| child.kind() != "expression_list");
        node.kind() == "return_statement" && plain && !text[node.byte_range()].contains('\n')
    };
    let returns: Vec<Node> = statements(definition, text)
        .into_iter()
        .filter(usable)
        .collect();
    let node = draws.one(&returns)?;
    let value = &text[node.named_child(0)?.byte_range()];
    let lines = format!("{name} = {value}\n{}return {name}", indent_of(*node, text));
    Some(format!(
        "{}{lines}{}",
        &text[..node.start_byte()],
        &text[node.end_byte()..]
    ))
}

fn parentheses(text: &str, function: &Function, draws: &mut Draws) -> Option<String> {
    let tree = parse(text);
    let definition = definition(tree.root_node(), function)?;
    let condition = |node: Node<'_>| {
        let found = matches!(
            node.kind(),
            "if_statement" | "while_statement" | "elif_clause"
        );
        let condition = node.child_by_field_name("condition").filter(|_| found)?;
        let range = condition.byte_range();
        (condition.kind() != "parenthesized_expression" && !text[range.clone()].contains('\n'))
            .then_some(range)
    };
    let conditions: Vec<_> = nodes(definition)
        .into_iter()
        .filter_map(condition)
        .collect();
    let range = draws.one(&conditions)?.clone();
    Some(format!(
        "{}({}){}",
        &text[..range.start],
        &text[range.clone()],
        &text[range.end..]
    ))
}
