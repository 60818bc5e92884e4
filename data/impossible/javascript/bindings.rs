//! What the names of a test stand for: cases of `test.each`, of loops and of `forEach`, and plain declarations.
//!
//! In: a test. Out: for each name the expressions that it may stand for, where the name is only ever compared.
//! Example: with `test.each([[1, 'one'], [2, 'two']])('%i', (n, want) => …)` the name `want` stands for `'one'` and `'two'`.

use tree_sitter::Node;

use super::functions::{Function, definition};
use super::{Bound, Known, arguments, called, checks, children};

/// Calls that hand a container to a function, item by item.
const ITEM_BY_ITEM: [&str; 5] = ["forEach", "map", "every", "some", "flatMap"];

/// The names of one test.
pub(super) struct Bindings<'a> {
    known: Known<'a>,
    text: &'a str,
}

impl<'a> Bindings<'a> {
    /// The names that a test and what stands around it declare.
    pub fn of_function(function: &Function<'a>, text: &'a str) -> Self {
        let mut bindings = Bindings {
            known: Known::new(),
            text,
        };
        let mut around = Vec::new();
        let mut node = Some(function.call);
        while let Some(one) = node {
            around.push(one);
            node = one.parent();
        }
        for one in around.into_iter().rev() {
            match one.kind() {
                "program" | "statement_block" => {
                    children(one)
                        .into_iter()
                        .for_each(|statement| bindings.declared(statement, one));
                }
                _ => bindings.visit_one(one),
            }
        }
        bindings.visit(function.body);
        bindings
    }

    /// What a name stands for, where nothing is done with it but to compare it.
    pub fn compared_only(&self, name: &str) -> &[Node<'a>] {
        match self.known.get(name) {
            Some(bound) if self.is_only_compared(bound.scope, name) => &bound.nodes,
            _ => &[],
        }
    }

    fn visit(&mut self, node: Node<'a>) {
        self.visit_one(node);
        children(node)
            .into_iter()
            .for_each(|child| self.visit(child));
    }

    fn visit_one(&mut self, node: Node<'a>) {
        match node.kind() {
            "lexical_declaration" | "variable_declaration" => {
                let scope = node.parent().unwrap_or(node);
                self.declared(node, scope);
            }
            "for_in_statement" => {
                let sides = (
                    node.child_by_field_name("left"),
                    node.child_by_field_name("right"),
                );
                if let (Some(left), Some(right)) = sides {
                    let items = self.items(right);
                    self.bind(left, &items, node);
                }
            }
            "call_expression" => {
                if let Some(found) = definition(node, self.text) {
                    if let Some(table) = found.table {
                        self.cases(table, found.body, node);
                    }
                } else if ITEM_BY_ITEM.contains(&called(node, self.text)) {
                    self.item_by_item(node);
                }
            }
            _ => {}
        }
    }

    fn declared(&mut self, declaration: Node<'a>, scope: Node<'a>) {
        if !matches!(
            declaration.kind(),
            "lexical_declaration" | "variable_declaration"
        ) {
            return;
        }
        for one in children(declaration) {
            let sides = (
                one.child_by_field_name("name"),
                one.child_by_field_name("value"),
            );
            if let (Some(name), Some(value)) = sides {
                self.bind(name, &[value], scope);
            }
        }
    }

    /// The cases of `each`: rows of an array, objects, or a table in a template.
    fn cases(&mut self, table: Node<'a>, body: Node<'a>, scope: Node<'a>) {
        let parameters = parameters(body);
        if table.kind() == "template_string" {
            return self.template(table, &parameters, scope);
        }
        let Some(rows) = children(table).first().map(|rows| self.items(*rows)) else {
            return;
        };
        for row in rows {
            let parts = if row.kind() == "array" {
                children(row)
            } else {
                vec![row]
            };
            parameters
                .iter()
                .zip(parts)
                .for_each(|(parameter, part)| self.bind(*parameter, &[part], scope));
        }
    }

    fn template(&mut self, table: Node<'a>, parameters: &[Node<'a>], scope: Node<'a>) {
        let fields: Vec<Node> = children(table)
            .into_iter()
            .filter(|one| one.kind() == "template_substitution")
            .collect();
        let Some(first) = fields.first() else { return };
        let heads = self.text[table.start_byte() + 1..first.start_byte()]
            .trim()
            .lines()
            .next()
            .unwrap_or("");
        let heads: Vec<&str> = heads.split('|').map(str::trim).collect();
        let names = parameters
            .first()
            .filter(|one| one.kind() == "object_pattern")
            .map_or(Vec::new(), |one| children(*one));
        for (number, field) in fields.into_iter().enumerate() {
            let head = heads[number % heads.len()];
            let wanted = names
                .iter()
                .find_map(|name| taken_from(*name, head, self.text));
            if let (Some(target), Some(value)) = (wanted, field.named_child(0)) {
                self.bind(target, &[value], scope);
            }
        }
    }

    fn item_by_item(&mut self, call: Node<'a>) {
        let list = call
            .child_by_field_name("function")
            .and_then(|function| function.child_by_field_name("object"));
        let function = arguments(call)
            .into_iter()
            .find(|one| one.kind().contains("function"));
        if let (Some(list), Some(function)) = (list, function) {
            let items = self.items(list);
            if let Some(first) = parameters(function).first() {
                self.bind(*first, &items, call);
            }
        }
    }

    /// The items of a container that is written down here, or that a name stands for.
    fn items(&self, node: Node<'a>) -> Vec<Node<'a>> {
        match node.kind() {
            "array" => children(node),
            "parenthesized_expression" => children(node)
                .first()
                .map_or(Vec::new(), |inner| self.items(*inner)),
            "identifier" => match self
                .known
                .get(&self.text[node.byte_range()])
                .map(|bound| bound.nodes.as_slice())
            {
                Some([one]) if one.kind() != "identifier" => self.items(*one),
                _ => Vec::new(),
            },
            // The pairs of an object stand for its entries.
            "call_expression" if called(node, self.text) == "entries" => {
                match arguments(node).first().copied() {
                    Some(object) if object.kind() == "object" => children(object),
                    Some(name) if name.kind() == "identifier" => {
                        let bound = self.known.get(&self.text[name.byte_range()]);
                        let object = bound
                            .and_then(|bound| bound.nodes.first())
                            .filter(|one| one.kind() == "object");
                        object.map_or(Vec::new(), |object| children(*object))
                    }
                    _ => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    fn bind(&mut self, target: Node<'a>, items: &[Node<'a>], scope: Node<'a>) {
        match target.kind() {
            "identifier" | "shorthand_property_identifier_pattern" => {
                let name = &self.text[target.byte_range()];
                let bound = self.known.entry(name).or_insert(Bound {
                    nodes: Vec::new(),
                    scope,
                });
                if bound.scope.id() != scope.id() {
                    *bound = Bound {
                        nodes: Vec::new(),
                        scope,
                    };
                }
                bound.nodes.extend(items);
            }
            "assignment_pattern" => {
                if let Some(left) = target.child_by_field_name("left") {
                    self.bind(left, items, scope);
                }
            }
            "array_pattern" => {
                for item in items {
                    let parts = match item.kind() {
                        "array" => children(*item),
                        "pair" => ["key", "value"]
                            .iter()
                            .filter_map(|part| item.child_by_field_name(part))
                            .collect(),
                        _ => continue,
                    };
                    let pairs = children(target).into_iter().zip(parts);
                    pairs.for_each(|(target, part)| self.bind(target, &[part], scope));
                }
            }
            "object_pattern" => {
                let pairs = items
                    .iter()
                    .filter(|item| item.kind() == "object")
                    .flat_map(|item| children(*item));
                for pair in pairs.filter(|pair| pair.kind() == "pair") {
                    let sides = (
                        pair.child_by_field_name("key"),
                        pair.child_by_field_name("value"),
                    );
                    let (Some(key), Some(value)) = sides else {
                        continue;
                    };
                    let key = self.text[key.byte_range()].trim_matches(['"', '\'']);
                    let wanted = children(target)
                        .into_iter()
                        .find_map(|one| taken_from(one, key, self.text));
                    if let Some(wanted) = wanted {
                        self.bind(wanted, &[value], scope);
                    }
                }
            }
            _ => {}
        }
    }

    fn is_only_compared(&self, node: Node, name: &str) -> bool {
        let is_name = matches!(node.kind(), "identifier" | "shorthand_property_identifier");
        if is_name && &self.text[node.byte_range()] == name {
            return self.ends_in_comparison(node);
        }
        children(node)
            .into_iter()
            .all(|child| self.is_only_compared(child, name))
    }

    /// Whether a use of a name is its definition, part of a title, or part of one side of a comparison.
    fn ends_in_comparison(&self, used: Node) -> bool {
        let mut node = used;
        while let Some(parent) = node.parent() {
            let is_field = |field: &str| {
                parent
                    .child_by_field_name(field)
                    .is_some_and(|one| one.id() == node.id())
            };
            match parent.kind() {
                "parenthesized_expression"
                | "array"
                | "pair"
                | "object"
                | "unary_expression"
                | "spread_element"
                | "template_substitution"
                | "template_string"
                | "array_pattern"
                | "object_pattern"
                | "pair_pattern"
                | "new_expression" => {}
                "assignment_pattern" if is_field("left") => {}
                "formal_parameters" => return true,
                "arrow_function" => return is_field("parameter"),
                "variable_declarator" => return is_field("name"),
                "for_in_statement" => return is_field("left"),
                "binary_expression" => {
                    let operator = parent
                        .child_by_field_name("operator")
                        .map_or("", |one| one.kind());
                    return matches!(operator, "==" | "===" | "!=" | "!==");
                }
                "arguments" => {
                    let Some(call) = parent.parent() else {
                        return false;
                    };
                    if call.kind() != "new_expression" {
                        let is_title = definition(call, self.text)
                            .is_some_and(|found| found.name.id() == node.id());
                        return is_title || checks::compares(call, self.text);
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

fn parameters(function: Node<'_>) -> Vec<Node<'_>> {
    if let Some(one) = function.child_by_field_name("parameter") {
        return vec![one];
    }
    function
        .child_by_field_name("parameters")
        .map_or(Vec::new(), children)
}

/// The part of an object pattern that takes the value of `key`.
fn taken_from<'a>(part: Node<'a>, key: &str, text: &str) -> Option<Node<'a>> {
    match part.kind() {
        "shorthand_property_identifier_pattern" => {
            (&text[part.byte_range()] == key).then_some(part)
        }
        "pair_pattern" => {
            let is_it = part
                .child_by_field_name("key")
                .is_some_and(|one| &text[one.byte_range()] == key);
            part.child_by_field_name("value").filter(|_| is_it)
        }
        "object_assignment_pattern" => part
            .child_by_field_name("left")
            .filter(|one| &text[one.byte_range()] == key),
        _ => None,
    }
}
