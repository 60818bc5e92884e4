//! A one-line bug: what kinds there are, where each could stand in a function, and which few to take.
//!
//! In: a source and one of its functions. Out: edits of one line each, after which the source still parses.
//! Example: in `return a < b` the edits are `a <= b`, `a > b`, `b < b` and `a < a`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use tree_sitter::Tree;

use super::edits;
use crate::source::functions::{Function, parse};

/// What was done to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BugKind {
    /// A comparison at the wrong boundary or the wrong way round: `<` for `<=`, `is` for `is not`.
    Compare,
    /// Another arithmetic operator: `+` for `-`, `//` for `/`.
    Arithmetic,
    /// An integer off by one, or `True` for `False`.
    Constant,
    /// `and` for `or`.
    Boolean,
    /// A `not` too many or too few.
    Negate,
    /// Another parameter or local of the same function.
    Variable,
    /// Two neighbouring arguments of a call, swapped.
    Argument,
    /// The sibling of a method or function: `append` for `extend`, `min` for `max`.
    Attribute,
    /// A slice, index or range that is off by one or on the wrong side.
    Slice,
}

impl BugKind {
    /// All kinds.
    pub const ALL: [BugKind; 9] = [
        BugKind::Compare,
        BugKind::Arithmetic,
        BugKind::Constant,
        BugKind::Boolean,
        BugKind::Negate,
        BugKind::Variable,
        BugKind::Argument,
        BugKind::Attribute,
        BugKind::Slice,
    ];

    /// The name that tasks and configurations use.
    pub fn name(self) -> &'static str {
        match self {
            BugKind::Compare => "compare",
            BugKind::Arithmetic => "arithmetic",
            BugKind::Constant => "constant",
            BugKind::Boolean => "boolean",
            BugKind::Negate => "negate",
            BugKind::Variable => "variable",
            BugKind::Argument => "argument",
            BugKind::Attribute => "attribute",
            BugKind::Slice => "slice",
        }
    }
}

impl fmt::Display for BugKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One edit of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bug {
    /// What is done.
    pub kind: BugKind,
    /// The line in the file, counted from 1.
    pub line: usize,
    /// First byte that is replaced.
    pub start: usize,
    /// The byte after the last one that is replaced.
    pub end: usize,
    /// What stands there instead.
    pub replacement: String,
}

/// The source with the bug in it.
pub fn apply(source: &str, bug: &Bug) -> String {
    [&source[..bug.start], &bug.replacement, &source[bug.end..]].concat()
}

/// Every edit of the function that keeps the syntax and changes one line by more than spaces, in order of place.
pub fn bugs(source: &str, function: &Function) -> Vec<Bug> {
    let Some(view) = View::new(source, function) else {
        return Vec::new();
    };
    view.candidates()
        .into_iter()
        .filter(|bug| view.is_sound(bug))
        .map(|bug| view.in_file(bug))
        .collect()
}

/// At most `count` bugs of a function: one of each kind before a second of any, in an order that `seed` decides.
///
/// The choice depends on the function's body, not on its file: the same function gives the same bugs everywhere.
pub(crate) fn pick(
    source: &str,
    function: &Function,
    kinds: &[BugKind],
    seed: u64,
    count: usize,
) -> Vec<Bug> {
    let Some(view) = View::new(source, function) else {
        return Vec::new();
    };
    let hash = function.body_hash.as_str();
    let mut of_kind: BTreeMap<BugKind, Vec<(u64, Bug)>> = BTreeMap::new();
    for bug in view
        .candidates()
        .into_iter()
        .filter(|bug| kinds.contains(&bug.kind))
    {
        let place = (bug.start - view.prefix).to_string();
        let rank = rank(seed, &[hash, &place, &bug.replacement]);
        of_kind.entry(bug.kind).or_default().push((rank, bug));
    }
    let mut queues: Vec<(u64, Vec<(u64, Bug)>)> = Vec::new();
    for (kind, mut candidates) in of_kind {
        // The lowest rank comes last, where `pop` takes it.
        candidates.sort_by_key(|(rank, bug)| std::cmp::Reverse((*rank, bug.start)));
        queues.push((rank(seed, &[hash, kind.name()]), candidates));
    }
    queues.sort_by_key(|(rank, _)| *rank);

    let mut picked = Vec::new();
    while picked.len() < count && queues.iter().any(|(_, queue)| !queue.is_empty()) {
        for (_, queue) in &mut queues {
            // What does not parse does not use up its kind's turn.
            let sound = std::iter::from_fn(|| queue.pop()).find(|(_, bug)| view.is_sound(bug));
            if let Some((_, bug)) = sound.filter(|_| picked.len() < count) {
                picked.push(view.in_file(bug));
            }
        }
    }
    picked
}

/// A place in a shuffled order: the same parts have the same place whatever else is shuffled.
pub(crate) fn rank(seed: u64, parts: &[&str]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for part in parts {
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part.as_bytes());
    }
    let hash = hasher.finalize();
    u64::from_le_bytes(
        hash.as_bytes()[..8]
            .try_into()
            .expect("eight bytes of thirty-two"),
    )
}

/// One function as a source of its own: parsing it costs the same in a small and in a large file.
struct View {
    /// The function's lines, below `if 1:` where they are indented.
    text: String,
    tree: Tree,
    /// Bytes of `text` before the function's first line.
    prefix: usize,
    /// Byte of the file where the function's first line begins.
    base: usize,
    /// That line, counted from 0.
    first_row: usize,
}

impl View {
    /// None where the lines do not stand for themselves.
    fn new(source: &str, function: &Function) -> Option<View> {
        let mut lines = source.split_inclusive('\n');
        let base = lines
            .by_ref()
            .take(function.first_line - 1)
            .map(str::len)
            .sum();
        let body: String = lines.take(function.lines()).collect();
        let prefix = if body.starts_with([' ', '\t']) {
            "if 1:\n"
        } else {
            ""
        };
        let text = format!("{prefix}{body}");
        let tree = parse(&text);
        let parses = !tree.root_node().has_error();
        parses.then_some(View {
            text,
            tree,
            prefix: prefix.len(),
            base,
            first_row: function.first_line - 1,
        })
    }

    /// Edits in order of place, counted in `text`, each result once.
    fn candidates(&self) -> Vec<Bug> {
        let mut bugs = edits::all(&self.tree, &self.text);
        bugs.sort_by(|a, b| {
            (a.start, a.end, a.kind, &a.replacement).cmp(&(b.start, b.end, b.kind, &b.replacement))
        });
        let mut seen = BTreeSet::new();
        bugs.retain(|bug| {
            let (old, line) = self.changed_line(bug);
            // The `1` of `if 1:` is ours, not the function's.
            bug.start >= self.prefix
                && packed(old) != packed(&line)
                && seen.insert((bug.line, packed(&line)))
        });
        bugs
    }

    /// The line of a bug before and after.
    fn changed_line(&self, bug: &Bug) -> (&str, String) {
        let from = self.text[..bug.start]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let to = self.text[bug.end..]
            .find('\n')
            .map_or(self.text.len(), |newline| bug.end + newline);
        let line = [
            &self.text[from..bug.start],
            &bug.replacement,
            &self.text[bug.end..to],
        ]
        .concat();
        (&self.text[from..to], line)
    }

    fn is_sound(&self, bug: &Bug) -> bool {
        let on_one_line = !self.text[bug.start..bug.end].contains(['\n', '\r'])
            && !bug.replacement.contains('\n');
        on_one_line && !parse(&apply(&self.text, bug)).root_node().has_error()
    }

    fn in_file(&self, bug: Bug) -> Bug {
        let shift = |byte: usize| byte - self.prefix + self.base;
        let row = bug.line - usize::from(self.prefix > 0);
        Bug {
            line: row + self.first_row,
            start: shift(bug.start),
            end: shift(bug.end),
            ..bug
        }
    }
}

/// A line without its spaces.
fn packed(line: &str) -> String {
    line.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::functions::functions;

    /// The changed lines of the first function, by kind.
    fn lines(source: &str, kind: BugKind) -> Vec<String> {
        let function = &functions(source)[0];
        let of_kind = bugs(source, function)
            .into_iter()
            .filter(|bug| bug.kind == kind);
        of_kind
            .map(|bug| {
                apply(source, &bug)
                    .lines()
                    .nth(bug.line - 1)
                    .expect("a line")
                    .trim()
                    .to_string()
            })
            .collect()
    }

    fn check(line: &str, kind: BugKind, expected: &[&str]) {
        let source = format!("def f(a, b, items):\n    {line}\n");
        assert_eq!(lines(&source, kind), expected, "{kind} in `{line}`");
    }

    #[test]
    fn comparisons_move_their_boundary_or_turn_round() {
        check(
            "return a < b",
            BugKind::Compare,
            &["return a <= b", "return a > b"],
        );
        check("return a == b", BugKind::Compare, &["return a != b"]);
        check(
            "return a not in items",
            BugKind::Compare,
            &["return a in items"],
        );
        check(
            "return a is None",
            BugKind::Compare,
            &["return a is not None"],
        );
        check(
            "return 0 <= a < b",
            BugKind::Compare,
            &[
                "return 0 < a < b",
                "return 0 >= a < b",
                "return 0 <= a <= b",
                "return 0 <= a > b",
            ],
        );
    }

    #[test]
    fn arithmetic_changes_its_operator_but_not_on_text() {
        check("return a + b", BugKind::Arithmetic, &["return a - b"]);
        check("a //= b", BugKind::Arithmetic, &["a %= b", "a /= b"]);
        check("return 'x%s' % a + 'y'", BugKind::Arithmetic, &[]);
        check("a += ''", BugKind::Arithmetic, &[]);
    }

    #[test]
    fn constants_are_off_by_one() {
        check(
            "return a[2], True, 'text 7'",
            BugKind::Constant,
            &[
                "return a[1], True, 'text 7'",
                "return a[3], True, 'text 7'",
                "return a[2], False, 'text 7'",
            ],
        );
        check(
            "return -1 + 0",
            BugKind::Constant,
            &["return -2 + 0", "return -1 + 1"],
        );
    }

    #[test]
    fn conditions_lose_or_gain_a_not() {
        check("if a and b: pass", BugKind::Boolean, &["if a or b: pass"]);
        check(
            "if a and b: pass",
            BugKind::Negate,
            &["if not (a and b): pass"],
        );
        check("while not a: pass", BugKind::Negate, &["while a: pass"]);
        check(
            "return 1 if a else b",
            BugKind::Negate,
            &["return 1 if not a else b"],
        );
        check(
            "return isinstance(a, b)",
            BugKind::Negate,
            &["return not isinstance(a, b)"],
        );
        check(
            "return [x for x in items if x]",
            BugKind::Negate,
            &["return [x for x in items if not x]"],
        );
        check("return a", BugKind::Negate, &[]);
    }

    #[test]
    fn variables_become_others_that_are_bound_before_and_targets_stay() {
        let source = "def f(self, a, key=None):\n    c = a.c\n    self.x[a] = f(c=c)\n    d = 1\n    return c\n";
        assert_eq!(
            lines(source, BugKind::Variable),
            [
                "c = key.c",
                "self.x[c] = f(c=c)",
                "self.x[key] = f(c=c)",
                "self.x[a] = f(c=a)",
                "self.x[a] = f(c=key)",
                "return a",
                "return d",
                "return key",
            ]
        );
    }

    #[test]
    fn names_of_inner_scopes_do_not_leave_them() {
        let source = "def f(a):\n    g = lambda x: x\n    y = [i for i in a]\n    return a\n";
        assert_eq!(
            lines(source, BugKind::Variable),
            [
                "g = lambda x: a",
                "y = [a for i in a]",
                "y = [g for i in a]",
                "y = [i for i in g]",
                "return g",
                "return y",
            ]
        );
    }

    #[test]
    fn arguments_and_siblings_are_swapped() {
        check(
            "return f(a, b, *items, x=1)",
            BugKind::Argument,
            &["return f(b, a, *items, x=1)"],
        );
        check(
            "return max(a, b), isinstance(a, b), f(a, 'b'), f(self, b)",
            BugKind::Argument,
            &[],
        );
        check(
            "items.append(max(a, b))",
            BugKind::Attribute,
            &["items.extend(max(a, b))", "items.append(min(a, b))"],
        );
        check("return a.min", BugKind::Attribute, &[]);
        check(
            "return a.split(b), a.split(b, 1)",
            BugKind::Attribute,
            &["return a.split(b), a.rsplit(b, 1)"],
        );
    }

    #[test]
    fn slices_and_ranges_are_off_by_one() {
        check("return a[1:]", BugKind::Slice, &["return a[:1]"]);
        check("return a[0]", BugKind::Slice, &["return a[-1]"]);
        check("return a[-1]", BugKind::Slice, &["return a[0]"]);
        check("return a[b + 1]", BugKind::Slice, &["return a[b]"]);
        check(
            "return range(b)",
            BugKind::Slice,
            &[
                "return range(1, b)",
                "return range(b + 1)",
                "return range(b - 1)",
            ],
        );
        check(
            "return range(1, b + 1)",
            BugKind::Slice,
            &["return range(1, b)"],
        );
    }

    #[test]
    fn text_types_decorators_and_patterns_are_left_alone() {
        let source = "@retry(3)\ndef f(a: Literal[1] = 2) -> T[0]:\n    \"\"\"1 < 2\"\"\"\n    x: int | str = a  # a < 1\n    match a:\n        case 1: pass\n    return f'{a + 1}'\n";
        let found = bugs(source, &functions(source)[0]);
        let changed: Vec<_> = found
            .iter()
            .map(|bug| (bug.line, &source[bug.start..bug.end]))
            .collect();
        assert_eq!(changed, [(2, "2"), (2, "2"), (5, "a")]);
    }

    #[test]
    fn only_whole_lines_are_changed_and_every_mutant_parses() {
        let source = "class A:\n    def f(self, a, b):\n        return call(\n            a,\n            b) < (\n            2)\n";
        for bug in bugs(source, &functions(source)[0]) {
            let buggy = apply(source, &bug);
            assert!(!parse(&buggy).root_node().has_error());
            let pairs = source.lines().zip(buggy.lines()).enumerate();
            let changed: Vec<usize> = pairs
                .filter(|(_, (old, new))| old != new)
                .map(|(row, _)| row + 1)
                .collect();
            assert_eq!(changed, [bug.line]);
        }
    }

    #[test]
    fn a_pick_has_one_of_each_kind_before_a_second_of_any() {
        let source = "def f(a, b):\n    c = 10\n    return a + b < c\n";
        let picked = pick(source, &functions(source)[0], &BugKind::ALL, 1, 4);
        assert_eq!(
            picked
                .iter()
                .map(|bug| bug.kind)
                .collect::<BTreeSet<_>>()
                .len(),
            4
        );
        let moved = format!("import os\n\n{source}");
        let again = pick(&moved, &functions(&moved)[0], &BugKind::ALL, 1, 4);
        assert_eq!(
            again.iter().map(|bug| bug.start - 11).collect::<Vec<_>>(),
            picked.iter().map(|bug| bug.start).collect::<Vec<_>>()
        );
    }
}
