//! The tests of a file for jest, by name.
//!
//! In: a syntax tree. Out: every `test(title, function)` below its `describe`s, and which of them a name belongs to.
//! Example: `sums > of 1 and 2` is told by `describe('sums', …)` around `test.each([[1, 2, 3]])('of %i and %i', …)`.

use tree_sitter::Node;

use super::{arguments, children};

/// Stands in a title for what only a run tells.
const ANYTHING: char = '\u{1}';

/// One call of `test` or `it`.
#[derive(Clone, Debug)]
pub(crate) struct Function<'a> {
    /// `describe > inner > title`, as the file has it: with `%s` and `${name}`.
    pub title: String,
    /// The same, with a mark for each part that a run fills in.
    pattern: String,
    /// The whole call.
    pub call: Node<'a>,
    /// The first argument.
    pub name: Node<'a>,
    /// The function that is run.
    pub body: Node<'a>,
    /// The cases of `test.each`.
    pub table: Option<Node<'a>>,
}

/// All tests of a file.
pub(crate) fn of_file<'a>(root: Node<'a>, text: &str) -> Vec<Function<'a>> {
    let mut found = Vec::new();
    collect(root, text, ("", ""), &mut found);
    found
}

/// Those that a name belongs to: by the letter, or else by the most specific title that fits.
pub(crate) fn named<'f, 'a>(functions: &'f [Function<'a>], name: &str) -> Vec<&'f Function<'a>> {
    let exact: Vec<_> = functions
        .iter()
        .filter(|one| one.title == name || one.pattern == name)
        .collect();
    if !exact.is_empty() {
        return exact;
    }
    let fitting = functions
        .iter()
        .filter(|one| one.pattern.contains(ANYTHING) && fits(&one.pattern, name));
    let weight = |one: &Function| {
        one.pattern
            .chars()
            .filter(|letter| *letter != ANYTHING)
            .count()
    };
    let best = fitting.max_by_key(|one| weight(one));
    best.map_or(Vec::new(), |best| {
        functions
            .iter()
            .filter(|one| one.pattern == best.pattern)
            .collect()
    })
}

/// What a call of jest's words defines.
pub(super) struct Definition<'a> {
    pub is_test: bool,
    pub name: Node<'a>,
    pub body: Node<'a>,
    pub table: Option<Node<'a>>,
}

/// `test('…', () => …)`, `describe.only(…)`, `it.each([…])('…', …)`.
pub(super) fn definition<'a>(call: Node<'a>, text: &str) -> Option<Definition<'a>> {
    let word = call
        .child_by_field_name("function")
        .filter(|_| call.kind() == "call_expression")?;
    let (word, table) = match word.kind() {
        "call_expression" => {
            let each = word.child_by_field_name("function")?;
            let is_each = text[each.byte_range()].ends_with(".each");
            (
                each,
                Some(word.child_by_field_name("arguments").filter(|_| is_each)?),
            )
        }
        "identifier" | "member_expression" => (word, None),
        _ => return None,
    };
    let is_test = match text[word.byte_range()].split('.').next()?.trim() {
        "test" | "it" | "fit" | "xit" | "xtest" => true,
        "describe" | "fdescribe" | "xdescribe" => false,
        _ => return None,
    };
    let given = arguments(call);
    let body = given.iter().skip(1).find_map(|one| function_in(*one))?;
    Some(Definition {
        is_test,
        name: *given.first()?,
        body,
        table,
    })
}

/// A function that is written down here, or that a call wraps: `withServer(() => …)`.
fn function_in(node: Node<'_>) -> Option<Node<'_>> {
    match node.kind() {
        "arrow_function" | "function_expression" | "generator_function" => Some(node),
        "call_expression" => arguments(node).into_iter().rev().find_map(function_in),
        _ => None,
    }
}

fn collect<'a>(node: Node<'a>, text: &str, prefix: (&str, &str), found: &mut Vec<Function<'a>>) {
    let Some(Definition {
        is_test,
        name,
        body,
        table,
    }) = definition(node, text)
    else {
        return children(node)
            .into_iter()
            .for_each(|child| collect(child, text, prefix, found));
    };
    let title = plain(name, text);
    let pattern = pattern(name, &title, table.is_some());
    let joined = |before: &str, own: &str| {
        if before.is_empty() {
            own.to_string()
        } else {
            format!("{before} > {own}")
        }
    };
    let (title, pattern) = (joined(prefix.0, &title), joined(prefix.1, &pattern));
    if is_test {
        found.push(Function {
            title,
            pattern,
            call: node,
            name,
            body,
            table,
        });
    } else {
        collect(body, text, (&title, &pattern), found);
    }
}

/// The letters of a title; the expression itself where it is no text.
fn plain(name: Node, text: &str) -> String {
    let whole = &text[name.byte_range()];
    if !matches!(name.kind(), "string" | "template_string") || whole.len() < 2 {
        return whole.to_string();
    }
    let (mut letters, mut said) = (whole[1..whole.len() - 1].chars(), String::new());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => said.push('\n'),
                Some('t') => said.push('\t'),
                Some(other) => said.push(other),
                None => {}
            },
            other => said.push(other),
        }
    }
    said
}

fn pattern(name: Node, title: &str, of_cases: bool) -> String {
    match name.kind() {
        "string" | "template_string" => {
            let filled = if name.kind() == "template_string" {
                without_fields(title)
            } else {
                title.to_string()
            };
            if of_cases {
                without_forms(&filled)
            } else {
                filled
            }
        }
        _ => ANYTHING.to_string(),
    }
}

/// `a ${b} c` → a mark in the place of the field.
fn without_fields(title: &str) -> String {
    let (mut said, mut rest) = (String::new(), title);
    while let Some(start) = rest.find("${") {
        said.push_str(&rest[..start]);
        said.push(ANYTHING);
        let mut depth = 0_usize;
        let end = rest[start..].find(|letter: char| {
            depth = if letter == '{' {
                depth + 1
            } else {
                depth.saturating_sub(usize::from(letter == '}'))
            };
            letter == '}' && depth == 0
        });
        rest = end.map_or("", |end| &rest[start + end + 1..]);
    }
    said + rest
}

/// `%s` and `$name` → a mark.
fn without_forms(title: &str) -> String {
    let (mut said, mut letters) = (String::new(), title.chars().peekable());
    while let Some(letter) = letters.next() {
        let next = letters.peek().copied().unwrap_or(' ');
        match letter {
            '%' if next == '%' => said.extend(letters.next()),
            '%' if "psdifjoOc#".contains(next) => {
                letters.next();
                said.push(ANYTHING);
            }
            '$' if next.is_ascii_alphabetic() || next == '_' || next == '#' => {
                while letters
                    .peek()
                    .is_some_and(|one| one.is_ascii_alphanumeric() || "_.#".contains(*one))
                {
                    letters.next();
                }
                said.push(ANYTHING);
            }
            other => said.push(other),
        }
    }
    said
}

/// Whether a name is the pattern with something in the place of every mark.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let last = parts.pop().unwrap_or("");
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impossible::javascript::parse;

    #[test]
    fn names_belong_to_the_title_that_a_run_fills_in() {
        let text = "describe('d', () => {\n  it('a \\'x\\'', () => {});\n  test.each([[1, 2]])('of %i and $b 100%%', (a, b) => {});\n\
            for (const n of [1]) test(`n ${n}!`, () => {});\n  it.each`a | b\n${1} | ${2}`('t $a', ({ a }) => {});\n});\n";
        let tree = parse(text);
        let functions = of_file(tree.root_node(), text);
        let title = |name: &str| {
            named(&functions, name)
                .first()
                .map_or(String::new(), |one| one.title.clone())
        };
        assert_eq!(title("d > a 'x'"), "d > a 'x'");
        assert_eq!(title("d > of 1 and 2 100%"), "d > of %i and $b 100%%");
        assert_eq!(title("d > n 1!"), "d > n ${n}!");
        assert_eq!(title("d > t 1"), "d > t $a");
        assert_eq!(title("d > gone"), "");
        assert_eq!(title("of 1 and 2 100%"), "");
    }
}
