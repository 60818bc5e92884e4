//! Local variables of a function, and a function with another name for one of them.

use std::collections::BTreeSet;

use tree_sitter::Node;

/// What looks at names while the program runs.
const LOOKS_AT_NAMES: [&str; 5] = ["locals", "vars", "eval", "exec", "globals"];

/// Local variables of the function; empty where it reads names at run time (`locals`, `eval`).
pub(super) fn local_names(definition: Node, text: &str) -> Vec<String> {
    let mut assigned = BTreeSet::new();
    let mut taken = BTreeSet::new();
    let word = |node: Node| text[node.byte_range()].to_string();
    let mut stack = children(definition);
    while let Some(node) = stack.pop() {
        match node.kind() {
            // An inner function, and what is declared elsewhere, has names of its own.
            "function_definition"
            | "lambda"
            | "class_definition"
            | "global_statement"
            | "nonlocal_statement" => {
                taken.extend(identifiers(node).into_iter().map(word));
                continue;
            }
            "parameters" | "import_statement" | "import_from_statement" => {
                taken.extend(identifiers(node).into_iter().map(word));
            }
            "call" => {
                let called = node
                    .child_by_field_name("function")
                    .map(word)
                    .unwrap_or_default();
                if LOOKS_AT_NAMES.contains(&called.as_str()) {
                    return Vec::new();
                }
            }
            "assignment" => {
                let left = node
                    .child_by_field_name("left")
                    .filter(|left| left.kind() == "identifier");
                assigned.extend(left.map(word));
            }
            _ => {}
        }
        stack.extend(children(node));
    }
    assigned
        .into_iter()
        .filter(|name| !taken.contains(name) && !name.starts_with("__"))
        .collect()
}

/// The text with another name for a local variable of the function.
pub(super) fn renamed(definition: Node, text: &str, name: &str, longer: &str) -> String {
    let mut places: Vec<_> = identifiers(definition)
        .into_iter()
        .filter(|node| &text[node.byte_range()] == name && is_variable(*node))
        .map(|node| node.byte_range())
        .collect();
    places.sort_by_key(|range| range.start);
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for range in places {
        out += &text[at..range.start];
        out += longer;
        at = range.end;
    }
    out + &text[at..]
}

/// Not an attribute, and not the name of an argument in a call.
fn is_variable(node: Node) -> bool {
    let Some(parent) = node.parent() else {
        return false;
    };
    let is_field = |field| parent.child_by_field_name(field) == Some(node);
    match parent.kind() {
        "attribute" => !is_field("attribute"),
        "keyword_argument" | "default_parameter" | "function_definition" => !is_field("name"),
        _ => true,
    }
}

fn identifiers(node: Node<'_>) -> Vec<Node<'_>> {
    let (mut stack, mut found) = (vec![node], Vec::new());
    while let Some(node) = stack.pop() {
        if node.kind() == "identifier" {
            found.push(node);
        }
        stack.extend(children(node));
    }
    found
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    (0..node.named_child_count())
        .filter_map(|index| node.named_child(index as u32))
        .collect()
}
