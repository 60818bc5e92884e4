//! Which names of a function may stand for which others.
//!
//! In: the tree of a function. Out: where each name is bound, and which identifiers are uses of a local.
//! Example: in `def f(a):\n    b = a\n    return b`, `a` and `b` are bound; the last `b` may become `a`.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use tree_sitter::{Node, Tree};

use super::edits::{children, is_opaque};

/// The names of a function and where they hold.
pub(super) struct Names<'a> {
    text: &'a str,
    bindings: Vec<Binding<'a>>,
    /// Names that are local anywhere, those of comprehensions included.
    locals: HashSet<&'a str>,
    /// First bytes of identifiers that are no uses: targets, attributes, keywords, called names.
    fixed: HashSet<usize>,
}

struct Binding<'a> {
    name: &'a str,
    /// The function or lambda in which it holds.
    scope: Range<usize>,
    /// It may be used on later rows; none for parameters, which hold everywhere.
    row: Option<usize>,
}

/// `self` for another value, or another value for `self`, is no slip that people make.
const NEVER: [&str; 3] = ["self", "cls", "_"];

impl<'a> Names<'a> {
    pub(super) fn new(tree: &Tree, text: &'a str) -> Names<'a> {
        let mut names = Names {
            text,
            bindings: Vec::new(),
            locals: HashSet::new(),
            fixed: HashSet::new(),
        };
        let mut stack: Vec<(Node, Option<Range<usize>>)> = vec![(tree.root_node(), None)];
        while let Some((node, scope)) = stack.pop() {
            if is_opaque(node) {
                continue;
            }
            let inner = match node.kind() {
                "function_definition" | "lambda" => Some(node.byte_range()),
                // What a class binds is not seen by its methods.
                "class_definition" => None,
                _ => scope,
            };
            names.visit(node, inner.as_ref());
            stack.extend(
                children(node)
                    .into_iter()
                    .map(|child| (child, inner.clone())),
            );
        }
        names
    }

    /// What may stand in the place of this identifier, sorted; nothing where it is no use of a local.
    pub(super) fn others(&self, identifier: Node) -> BTreeSet<&'a str> {
        let name = &self.text[identifier.byte_range()];
        let place = identifier.start_byte();
        if self.fixed.contains(&place) || !self.locals.contains(name) || NEVER.contains(&name) {
            return BTreeSet::new();
        }
        let row = identifier.start_position().row;
        let seen = |binding: &&Binding| {
            binding.scope.contains(&place)
                && binding.row.is_none_or(|bound| bound < row)
                && binding.name != name
        };
        self.bindings
            .iter()
            .filter(seen)
            .map(|binding| binding.name)
            .collect()
    }

    fn visit(&mut self, node: Node, scope: Option<&Range<usize>>) {
        let field = |name: &str| node.child_by_field_name(name);
        let row = Some(node.end_position().row);
        match node.kind() {
            "function_definition" | "class_definition" | "keyword_argument" => {
                self.fix(field("name"))
            }
            "attribute" => self.fix(field("attribute")),
            "call" => self.fix(field("function")),
            "parameters" | "lambda_parameters" => {
                for parameter in children(node) {
                    self.parameter(parameter, scope);
                }
            }
            // `x: int` alone binds nothing.
            "assignment" => self.target(
                field("left"),
                scope.filter(|_| field("right").is_some()),
                row,
            ),
            "augmented_assignment" => self.target(field("left"), None, row),
            "for_statement" => {
                let row = field("left").map(|left| left.end_position().row);
                self.target(field("left"), scope, row);
            }
            "named_expression" => self.target(field("name"), scope, row),
            "for_in_clause" => self.target(field("left"), None, row),
            "as_pattern" => {
                // Only `with` keeps its name: that of `except` ends with the clause.
                let scope = scope.filter(|_| {
                    node.parent()
                        .is_some_and(|parent| parent.kind() == "with_item")
                });
                self.target(field("alias"), scope, row);
            }
            _ => {}
        }
    }

    fn parameter(&mut self, parameter: Node, scope: Option<&Range<usize>>) {
        let name = match parameter.kind() {
            "identifier" => Some(parameter),
            "typed_parameter" => parameter.named_child(0),
            _ => parameter.child_by_field_name("name"),
        };
        match name {
            Some(name) if name.kind() == "identifier" => self.target(Some(name), scope, None),
            // `*args` and `**kwargs` are values of another shape: they replace nothing.
            _ => children(name.unwrap_or(parameter))
                .into_iter()
                .for_each(|inner| self.fix(Some(inner))),
        }
    }

    /// Binds the names of a target; without a scope they are only known to be local.
    fn target(&mut self, target: Option<Node>, scope: Option<&Range<usize>>, row: Option<usize>) {
        let Some(target) = target else { return };
        match target.kind() {
            "identifier" => {
                let name = &self.text[target.byte_range()];
                self.fixed.insert(target.start_byte());
                self.locals.insert(name);
                if let Some(scope) =
                    scope.filter(|_| !NEVER.contains(&name) && !name.starts_with("__"))
                {
                    self.bindings.push(Binding {
                        name,
                        scope: scope.clone(),
                        row,
                    });
                }
            }
            "pattern_list"
            | "tuple_pattern"
            | "list_pattern"
            | "list_splat_pattern"
            | "as_pattern_target"
            | "tuple"
            | "list"
            | "parenthesized_expression" => {
                for inner in children(target) {
                    self.target(Some(inner), scope, row);
                }
            }
            _ => {}
        }
    }

    fn fix(&mut self, identifier: Option<Node>) {
        if let Some(identifier) = identifier.filter(|node| node.kind() == "identifier") {
            self.fixed.insert(identifier.start_byte());
        }
    }
}
