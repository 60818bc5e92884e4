//! The functions of Python sources, and the sources of a folder.
//!
//! In: Python text, or a folder. Out: where each function begins and ends; the sorted files worth reading; one hash
//! for a whole tree. Example: `class Cart:\n    def total(self):\n        return 0\n` holds `Cart.total`, lines 2 to 3.

use std::fs;
use std::path::{Path, PathBuf};

use tree_sitter::{Node, Parser, Tree};

use crate::file::FileError;

/// Larger sources are tables, not code.
const MAX_SOURCE_BYTES: u64 = 1 << 20;

/// Folders that hold no code of the package itself. Installed packages are left out because a package that is learnt
/// from there could be one that is evaluated on.
const SKIPPED_FOLDERS: [&str; 9] = [
    "__pycache__",
    "test",
    "tests",
    "testing",
    "doc",
    "docs",
    "site-packages",
    "dist-packages",
    "node_modules",
];

/// A function or method that stands in no other function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Qualified by its classes: `total`, `Cart.total`.
    pub name: String,
    /// First line, counted from 1, decorators included.
    pub first_line: usize,
    /// Last line, included.
    pub last_line: usize,
    /// BLAKE3 of the parameters' and the body's tokens: name, comments and spacing do not count.
    pub body_hash: String,
}

impl Function {
    /// How many lines it has.
    pub fn lines(&self) -> usize {
        self.last_line + 1 - self.first_line
    }
}

/// The functions and methods of a Python source in order of appearance; an inner function belongs to its outer one.
///
/// A function with a syntax error, or in the syntax of Python 2, is left out.
pub fn functions(source: &str) -> Vec<Function> {
    let tree = parse(source);
    let mut found = Vec::new();
    collect(tree.root_node(), source, "", &mut found);
    found
}

/// The tree of a Python source.
pub(crate) fn parse(source: &str) -> Tree {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_python::LANGUAGE.into())
        .expect("grammar and library have the same version");
    parser
        .parse(source, None)
        .expect("a parser with a language and no time limit always answers")
}

fn collect(node: Node, source: &str, prefix: &str, found: &mut Vec<Function>) {
    for index in 0..node.named_child_count() {
        let Some(child) = node.named_child(index as u32) else {
            continue;
        };
        let definition = child.child_by_field_name("definition").unwrap_or(child);
        let name = || {
            definition
                .child_by_field_name("name")
                .map(|name| &source[name.byte_range()])
                .unwrap_or("")
        };
        match definition.kind() {
            "function_definition" if child.has_error() || is_python_2(definition) => {}
            "function_definition" => found.push(Function {
                name: format!("{prefix}{}", name()),
                first_line: child.start_position().row + 1,
                last_line: last_row(child) + 1,
                body_hash: body_hash(definition, source),
            }),
            "class_definition" => {
                collect(definition, source, &format!("{prefix}{}.", name()), found)
            }
            // `if`, `try` and `with` around definitions; expressions hold none.
            kind if kind.ends_with("_statement")
                || kind.ends_with("_clause")
                || kind == "block" =>
            {
                collect(child, source, prefix, found)
            }
            _ => {}
        }
    }
}

/// The last row with text of the node: a node that ends at column 0 ends on the row before.
fn last_row(node: Node) -> usize {
    let end = node.end_position();
    if end.column == 0 && end.row > node.start_position().row {
        end.row - 1
    } else {
        end.row
    }
}

/// The grammar also reads `print x` and `exec x`, which Python 3 refuses.
fn is_python_2(definition: Node) -> bool {
    let mut stack = vec![definition];
    while let Some(node) = stack.pop() {
        if matches!(node.kind(), "print_statement" | "exec_statement" | "<>") {
            return true;
        }
        stack.extend((0..node.child_count()).filter_map(|index| node.child(index as u32)));
    }
    false
}

fn body_hash(definition: Node, source: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in ["parameters", "body"] {
        let mut stack: Vec<Node> = definition.child_by_field_name(part).into_iter().collect();
        while let Some(node) = stack.pop() {
            if node.kind() == "comment" {
                continue;
            }
            if node.child_count() == 0 {
                hasher
                    .update(source[node.byte_range()].as_bytes())
                    .update(b"\n");
            } else if node.kind() == "block" {
                // Indentation is no token, but it is meaning: say how much belongs to the block.
                hasher.update(format!("block {}\n", node.named_child_count()).as_bytes());
            }
            stack.extend(
                (0..node.child_count())
                    .rev()
                    .filter_map(|index| node.child(index as u32)),
            );
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// The Python files below `root` that hold code of the package: no tests, documentation, hidden folders, installed
/// packages, links, files over 1 MiB or files that are no UTF-8. Sorted by path.
///
/// # Errors
///
/// When a folder cannot be listed or a file cannot be read.
pub fn python_files(root: &Path) -> Result<Vec<PathBuf>, FileError> {
    let keep = |name: &str| {
        !SKIPPED_FOLDERS.contains(&name) && !name.ends_with("_tests") && !name.ends_with("_test")
    };
    let mut kept = Vec::new();
    for path in walk(root, &keep)? {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let length = fs::metadata(&path)
            .map_err(|error| FileError::new("read", &path, error))?
            .len();
        if !is_source(&name) || length > MAX_SOURCE_BYTES {
            continue;
        }
        let bytes = fs::read(&path).map_err(|error| FileError::new("read", &path, error))?;
        if std::str::from_utf8(&bytes).is_ok() {
            kept.push(path);
        }
    }
    Ok(kept)
}

fn is_source(name: &str) -> bool {
    let is_test = name.starts_with("test_") || name.ends_with("_test.py") || name == "conftest.py";
    name.ends_with(".py") && !name.starts_with('.') && !is_test && name != "setup.py"
}

/// The path below `root` with `/` between its parts.
pub(crate) fn below(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.iter()
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

/// BLAKE3 over the sorted paths and contents of a tree, as hex. Hidden folders, `__pycache__` and links do not count,
/// so running the tests in the tree leaves its hash as it was.
///
/// # Errors
///
/// When a folder cannot be listed or a file cannot be read.
pub fn tree_hash(root: &Path) -> Result<String, FileError> {
    let mut hasher = blake3::Hasher::new();
    for path in walk(root, &|name| name != "__pycache__")? {
        let content = fs::read(&path).map_err(|error| FileError::new("read", &path, error))?;
        for part in [below(root, &path).as_bytes(), &content] {
            // Lengths keep `ab` + `c` apart from `a` + `bc`.
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part);
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Every regular file below `root`, sorted, except in hidden folders and in those that `keep` refuses by name.
pub(crate) fn walk(root: &Path, keep: &dyn Fn(&str) -> bool) -> Result<Vec<PathBuf>, FileError> {
    let (mut folders, mut files) = (vec![root.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        let list = |error| FileError::new("list", &folder, error);
        for entry in fs::read_dir(&folder).map_err(list)? {
            let entry = entry.map_err(list)?;
            // The type of the entry itself: a link is neither a file nor a folder here.
            let kind = entry.file_type().map_err(list)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_file() {
                files.push(entry.path());
            } else if kind.is_dir() && !name.starts_with('.') && keep(&name) {
                folders.push(entry.path());
            }
        }
    }
    files.sort_by_key(|path| below(root, path));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::write_whole;

    fn listed(source: &str) -> Vec<(String, usize, usize)> {
        functions(source)
            .into_iter()
            .map(|found| (found.name, found.first_line, found.last_line))
            .collect()
    }

    #[test]
    fn methods_and_decorators_are_counted_and_inner_functions_belong_to_the_outer() {
        let source = "import os\n\n@cache\n@other(1)\ndef add(a, b):\n    def inner():\n        return a\n    return inner() + b\n\n\nclass Cart:\n    size = 1\n\n    async def total(self):\n        return 0\n\nif os.name:\n    def late(): pass\n";
        let expected = [
            ("add".to_string(), 3, 8),
            ("Cart.total".to_string(), 14, 15),
            ("late".to_string(), 18, 18),
        ];
        assert_eq!(listed(source), expected);
    }

    #[test]
    fn broken_and_python_2_functions_are_left_out() {
        assert_eq!(
            listed("def a(:\n    return 1\n\n\ndef b(x):\n    print x\n"),
            []
        );
    }

    #[test]
    fn the_body_hash_ignores_name_comments_and_spacing_but_not_indentation() {
        let hash = |source: &str| functions(source)[0].body_hash.clone();
        let one = hash("def a(x):\n    if x:\n        x = 1\n    return x\n");
        assert_eq!(
            one,
            hash("def b( x ):\n  # why\n  if x:\n    x=1\n  return x\n")
        );
        assert_ne!(
            one,
            hash("def a(x):\n    if x:\n        x = 1\n        return x\n")
        );
    }

    #[test]
    fn only_sources_of_the_package_are_listed_and_caches_do_not_change_the_hash() {
        let root = std::env::temp_dir().join(format!("functions-test-{}", std::process::id()));
        let write =
            |path: &str, bytes: &[u8]| write_whole(&root.join(path), bytes).expect("writes");
        write("b/two.py", b"x = 1\n");
        write("b.py", b"");
        for skipped in [
            "setup.py",
            "tests/a.py",
            "test_a.py",
            "b/conftest.py",
            ".git/a.py",
            "docs/conf.py",
            "a.txt",
        ] {
            write(skipped, b"x = 1\n");
        }
        write("latin.py", b"x = '\xe9'\n");
        std::os::unix::fs::symlink(root.join("b.py"), root.join("link.py")).expect("links");
        let found = python_files(&root).expect("lists");
        assert_eq!(
            found
                .iter()
                .map(|path| below(&root, path))
                .collect::<Vec<_>>(),
            ["b.py", "b/two.py"]
        );

        let before = tree_hash(&root).expect("hashes");
        write("b/__pycache__/two.pyc", b"cache");
        write(".pytest_cache/x", b"cache");
        assert_eq!(tree_hash(&root).expect("hashes"), before);
        write("b/two.py", b"x = 2\n");
        assert_ne!(tree_hash(&root).expect("hashes"), before);
        std::fs::remove_dir_all(&root).expect("cleans up");
    }
}
