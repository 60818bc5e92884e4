//! Syntax, by tree-sitter: whether a text can be parsed at all, and which statements are wholly new.

use std::collections::HashSet;

use tree_sitter::{Language, Node, Parser, Tree};

use crate::patch::{FileChange, Patch};

/// Files that are looked at: those that the whole patch leaves well formed.
pub(super) struct Syntax {
    sound: HashSet<String>,
}

impl Syntax {
    pub(super) fn new(whole: &Patch, read: &dyn Fn(&str) -> Option<String>) -> Self {
        let changes = whole.apply(read).unwrap_or_default();
        let is_sound = |change: &FileChange| {
            change
                .content
                .as_deref()
                .is_some_and(|text| parses(&change.path, text) == Some(true))
        };
        Syntax {
            sound: changes
                .into_iter()
                .filter(is_sound)
                .map(|change| change.path)
                .collect(),
        }
    }

    /// False where a file cannot be parsed that could be.
    pub(super) fn may_parse(&self, changes: &[FileChange]) -> bool {
        let broken = |change: &FileChange| {
            let text = change
                .content
                .as_deref()
                .filter(|_| self.sound.contains(&change.path));
            text.is_some_and(|text| parses(&change.path, text) == Some(false))
        };
        !changes.iter().any(broken)
    }
}

/// Whether a source is well formed; none where its language is not known here.
fn parses(path: &str, text: &str) -> Option<bool> {
    let tree = tree(path, text)?;
    Some(!tree.root_node().has_error() && !has_empty_block(tree.root_node()))
}

fn tree(path: &str, text: &str) -> Option<Tree> {
    let language: Language = match path.rsplit_once('.')?.1 {
        "py" => tree_sitter_python::LANGUAGE.into(),
        "js" | "mjs" | "cjs" | "jsx" => tree_sitter_javascript::LANGUAGE.into(),
        _ => return None,
    };
    let mut parser = Parser::new();
    parser.set_language(&language).ok()?;
    parser.parse(text, None)
}

/// The grammar reads a block without statements, which Python refuses.
fn has_empty_block(root: Node) -> bool {
    let mut stack = vec![root];
    while let Some(node) = stack.pop() {
        let children =
            || (0..node.named_child_count()).filter_map(|index| node.named_child(index as u32));
        if node.kind() == "block" && children().all(|child| child.kind() == "comment") {
            return true;
        }
        stack.extend(children());
    }
    false
}

/// The first and the last line of every statement all of whose lines were added, outer ones before inner ones.
pub(super) fn added_statements(
    path: &str,
    text: &str,
    is_added: &dyn Fn(usize) -> bool,
) -> Vec<(usize, usize)> {
    let Some(tree) = tree(path, text) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut stack = vec![tree.root_node()];
    while let Some(node) = stack.pop() {
        let (first, last) = (node.start_position().row + 1, node.end_position().row + 1);
        if is_statement(node.kind()) && last > first && (first..=last).all(is_added) {
            found.push((first, last));
        }
        stack.extend(
            (0..node.named_child_count())
                .rev()
                .filter_map(|index| node.named_child(index as u32)),
        );
    }
    found
}

fn is_statement(kind: &str) -> bool {
    let ends = ["_statement", "_definition", "_declaration", "_clause"];
    ends.iter().any(|end| kind.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_refuses_is_told_from_what_it_takes() {
        let parses = |text: &str| parses("a.py", text);
        assert_eq!(parses("def f(x):\n    return x\n"), Some(true));
        assert_eq!(parses("def f(x):\nreturn x\n"), Some(false));
        assert_eq!(parses("if x:\n    # why\ny = 1\n"), Some(false));
        assert_eq!(parses("f(1,\n"), Some(false));
        assert_eq!(super::parses("a.txt", "f(1,\n"), None);
    }

    #[test]
    fn added_statements_are_told_from_the_outermost_on() {
        let text = "def f(x):\n    if x:\n        if not x:\n            raise E\n    return x\n";
        assert_eq!(
            added_statements("a.py", text, &|line| (2..=4).contains(&line)),
            [(2, 4), (3, 4)]
        );
        assert_eq!(added_statements("a.py", text, &|line| line == 2), []);
    }
}
