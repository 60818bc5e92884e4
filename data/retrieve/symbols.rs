//! What a source defines and what it imports, by its syntax tree.
//!
//! In: Python or JavaScript. Out: functions, classes, methods and names of the module with their lines; imported modules.
//! Example: `class Cart:\n    def total(self): ...` defines `Cart` in line 1 and `Cart.total` in line 2.

use serde::{Deserialize, Serialize};
use tree_sitter::{Node, Parser};

use crate::task::Language;

/// A name and where it is defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// Qualified by its classes: `total`, `Cart.total`.
    pub name: String,
    /// Counted from 1.
    pub line: usize,
}

impl Symbol {
    /// The name without its classes.
    pub fn short(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}

/// What a source defines and imports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbols {
    /// In the order of their lines.
    pub defined: Vec<Symbol>,
    /// Modules as they are named: `money.amount`, `./amount`.
    pub imported: Vec<String>,
}

/// What a file is written in, by its name; none where it is no source that is parsed here.
pub fn language_of(path: &str) -> Option<Language> {
    match path.rsplit_once('.')?.1 {
        "py" | "pyi" => Some(Language::Python),
        "js" | "jsx" | "mjs" | "cjs" => Some(Language::JavaScript),
        _ => None,
    }
}

/// The symbols of a source.
pub fn symbols(language: Language, source: &str) -> Symbols {
    let mut parser = Parser::new();
    let grammar = match language {
        Language::Python => tree_sitter_python::LANGUAGE.into(),
        Language::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
    };
    parser
        .set_language(&grammar)
        .expect("grammar and library have the same version");
    let tree = parser
        .parse(source, None)
        .expect("a parser with a language and no time limit always answers");
    let mut found = Symbols::default();
    collect(tree.root_node(), source, "", &mut found);
    found
}

fn collect(node: Node, source: &str, prefix: &str, found: &mut Symbols) {
    let mut cursor = node.walk();
    let children: Vec<Node> = node.named_children(&mut cursor).collect();
    for child in children {
        let text = |node: Node| source[node.byte_range()].to_string();
        let name = child.child_by_field_name("name").map(text);
        match child.kind() {
            "function_definition"
            | "function_declaration"
            | "generator_function_declaration"
            | "method_definition" => {
                define(found, prefix, name, child);
            }
            "class_definition" | "class_declaration" => {
                let inner = format!("{prefix}{}.", name.clone().unwrap_or_default());
                define(found, prefix, name, child);
                if let Some(body) = child.child_by_field_name("body") {
                    collect(body, source, &inner, found);
                }
            }
            "assignment" | "variable_declarator" => {
                let left = child.child_by_field_name("left").map(text).or(name);
                let plain = |name: &String| {
                    name.chars()
                        .all(|letter| letter.is_alphanumeric() || letter == '_')
                };
                define(found, prefix, left.filter(plain), child);
                require(child, source, found);
            }
            "import_statement" | "import_from_statement" => import(child, source, found),
            // What stands in functions is nobody else's.
            "ERROR"
            | "block"
            | "statement_block"
            | "decorated_definition"
            | "expression_statement"
            | "export_statement"
            | "lexical_declaration"
            | "variable_declaration"
            | "if_statement"
            | "try_statement"
            | "with_statement"
            | "else_clause"
            | "except_clause"
            | "class_body" => collect(child, source, prefix, found),
            _ => {}
        }
    }
}

fn define(found: &mut Symbols, prefix: &str, name: Option<String>, node: Node) {
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        found.defined.push(Symbol {
            name: format!("{prefix}{name}"),
            line: node.start_position().row + 1,
        });
    }
}

/// `import a.b`, `from a.b import c` (which may name a module `a.b.c`), `import x from "./a"`.
fn import(node: Node, source: &str, found: &mut Symbols) {
    if let Some(from) = node.child_by_field_name("source") {
        found.imported.push(
            source[from.byte_range()]
                .trim_matches(['"', '\'', '`'])
                .to_string(),
        );
        return;
    }
    let module = node
        .child_by_field_name("module_name")
        .map(|node| source[node.byte_range()].to_string());
    let mut cursor = node.walk();
    let names: Vec<String> = node
        .children_by_field_name("name", &mut cursor)
        .map(|name| name.child_by_field_name("name").unwrap_or(name))
        .map(|name| source[name.byte_range()].to_string())
        .collect();
    match module {
        None => found.imported.extend(names),
        Some(module) => {
            let joined = |name: String| format!("{}.{name}", module.trim_end_matches('.'));
            found.imported.extend(names.into_iter().map(joined));
            found.imported.push(module);
        }
    }
}

/// `const x = require("./a")`
fn require(node: Node, source: &str, found: &mut Symbols) {
    let Some(value) = node.child_by_field_name("value") else {
        return;
    };
    let text = &source[value.byte_range()];
    let named = text
        .strip_prefix("require(")
        .and_then(|rest| rest.split(')').next());
    found
        .imported
        .extend(named.map(|name| name.trim_matches(['"', '\'', '`', ' ']).to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(language: Language, source: &str) -> Vec<(String, usize)> {
        symbols(language, source)
            .defined
            .into_iter()
            .map(|symbol| (symbol.name, symbol.line))
            .collect()
    }

    #[test]
    fn python_defines_functions_classes_methods_and_names_of_the_module() {
        let source = "import os\nLIMIT = 3\n\n@cache\ndef add(a):\n    inner = 1\n    return a\n\nclass Cart:\n    size = 1\n    def total(self):\n        return 0\n";
        let expected = [
            ("LIMIT", 2),
            ("add", 5),
            ("Cart", 9),
            ("Cart.size", 10),
            ("Cart.total", 11),
        ];
        let expected = expected.map(|(name, line)| (name.to_string(), line));
        assert_eq!(defined(Language::Python, source), expected);
    }

    #[test]
    fn javascript_defines_functions_classes_methods_and_constants() {
        let source = "const limit = 3;\nexport function add(a) { return a; }\nclass Cart {\n  total() { return 0; }\n}\n";
        let expected = [("limit", 1), ("add", 2), ("Cart", 3), ("Cart.total", 4)];
        let expected = expected.map(|(name, line)| (name.to_string(), line));
        assert_eq!(defined(Language::JavaScript, source), expected);
    }

    #[test]
    fn imports_name_their_modules() {
        let python =
            "import a.b as c\nfrom money.amount import Amount, other as o\nfrom . import near\n";
        let expected = [
            "a.b",
            "money.amount.Amount",
            "money.amount.other",
            "money.amount",
            ".near",
            ".",
        ];
        assert_eq!(symbols(Language::Python, python).imported, expected);
        let javascript = "import x from './a';\nconst { y } = require(\"../b\");\n";
        assert_eq!(
            symbols(Language::JavaScript, javascript).imported,
            ["./a", "../b"]
        );
    }

    #[test]
    fn broken_sources_give_what_can_be_read() {
        assert_eq!(
            defined(Language::Python, "def a():\n    return 1\n\n\ndef b(:\n"),
            [("a".to_string(), 1), ("b".to_string(), 5)]
        );
    }
}
