//! Drawn patches, applied by us, by `git apply` and by `patch`: the same files, or a refusal of ours.
//!
//! In: a number. Out: a tree and a diff drawn from it: right ones, and ones that mails, editors and models damaged.
//! `PATCHES=20000 cargo test --release -p data --lib patches_are_applied_as -- --nocapture` draws more than the tests do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use similar::{Algorithm, capture_diff_slices, group_diff_ops};

use super::{FilePatch, Patch, hunk, lines};

type Tree = BTreeMap<String, String>;

/// A small generator (xorshift64*), so that a number names a case for ever.
struct Draw(u64);

impl Draw {
    fn new(seed: u64) -> Draw {
        Draw(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % count.max(1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Few different lines, so that hunks match at several places.
fn text(draw: &mut Draw, most: usize) -> String {
    const LINES: &[&str] = &[
        "a",
        "b",
        "",
        "    return x",
        "}",
        "def f(a):",
        " ",
        "\tx",
        "--- x",
        "é",
    ];
    let end = if draw.one_in(8) { "\r\n" } else { "\n" };
    let few = 2 + draw.below(LINES.len() - 1);
    let count = draw.below(most);
    let mut text: String = (0..count)
        .map(|number| match draw.one_in(3) {
            true => format!("line {number}{end}"),
            false => format!("{}{end}", LINES[draw.below(few)]),
        })
        .collect();
    if draw.one_in(6) {
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
    }
    text
}

fn edited(draw: &mut Draw, old: &str) -> String {
    let mut new: Vec<String> = lines(old).into_iter().map(String::from).collect();
    for _ in 0..=draw.below(3) {
        let at = draw.below(new.len() + 1);
        match draw.below(3) {
            0 if at < new.len() => drop(new.remove(at)),
            1 if at < new.len() => new[at] = format!("new {}\n", draw.below(3)),
            _ => new.insert(at, draw.pick(&["a\n", "new\n", "\n", "b\n"]).to_string()),
        }
    }
    new.concat()
}

/// The diff of one file in one of the ways in which they are written.
fn diff(draw: &mut Draw, path: &str, old: Option<&str>, new: Option<&str>) -> String {
    let (old_lines, new_lines) = (
        lines(old.unwrap_or_default()),
        lines(new.unwrap_or_default()),
    );
    let around = [3, 3, 3, 3, 1, 0][draw.below(6)];
    let groups = group_diff_ops(
        capture_diff_slices(Algorithm::Myers, &old_lines, &new_lines),
        around,
    );
    let hunks = groups
        .iter()
        .filter(|ops| !ops.is_empty())
        .map(|ops| hunk(ops, &old_lines, &new_lines))
        .collect();
    let body = FilePatch {
        hunks,
        ..FilePatch::default()
    };
    let mut printed = String::new();
    body.print(&mut printed).expect("prints");
    if printed.is_empty() && old.is_some() && new.is_some() {
        return printed;
    }
    let (mut a, mut b) = *[
        ("a/", "b/"),
        ("a/", "b/"),
        ("a/", "b/"),
        ("", ""),
        ("old/", "new/"),
        ("./", "./"),
    ]
    .get(draw.below(6))
    .expect("one of them");
    let mut head = String::new();
    if !draw.one_in(3) {
        head += &format!("diff --git {a}{path} {b}{path}\n");
        let mode = draw.pick(&["100644", "100755"]);
        match (old, new) {
            (None, _) if !draw.one_in(8) => head += &format!("new file mode {mode}\n"),
            (_, None) if !draw.one_in(8) => head += &format!("deleted file mode {mode}\n"),
            _ if draw.one_in(6) => head += "old mode 100644\nnew mode 100755\n",
            _ => {}
        }
        if draw.one_in(2) {
            head += "index 1111111..2222222 100644\n";
        }
    }
    let dates = [
        "",
        "",
        "\t",
        "\t2024-01-31 09:30:00.5 +0100",
        " 2024-01-31 09:30:00 +0000",
    ];
    let date = draw.pick(&dates[..if head.is_empty() { 5 } else { 4 }]);
    if draw.one_in(20) {
        (a, b) = (b, a);
    }
    let label = |draw: &mut Draw, prefix: &str, text: Option<&str>| match text {
        None => "/dev/null".to_string(),
        Some(_) if draw.one_in(12) => format!("\"{prefix}{}\"", path.replace('é', "\\303\\251")),
        Some(_) => format!("{prefix}{path}{date}"),
    };
    if !printed.is_empty() {
        let (old, new) = (label(draw, a, old), label(draw, b, new));
        head += &format!("--- {old}\n+++ {new}\n");
    }
    head + &printed
}

/// What mails, editors and models do to a diff.
fn damaged(draw: &mut Draw, text: &str) -> String {
    let mut all: Vec<String> = text.split_inclusive('\n').map(String::from).collect();
    let at = draw.below(all.len().max(1));
    let hunks: Vec<usize> = (0..all.len())
        .filter(|at| all[*at].starts_with("@@"))
        .collect();
    let digits = |line: &str, draw: &mut Draw| -> String {
        let spots: Vec<usize> = line
            .char_indices()
            .filter(|(_, one)| one.is_ascii_digit())
            .map(|(at, _)| at)
            .collect();
        let Some(spot) = spots.get(draw.below(spots.len())) else {
            return line.to_string();
        };
        format!("{}{}{}", &line[..*spot], draw.below(10), &line[spot + 1..])
    };
    match draw.below(17) {
        0 => all.insert(
            0,
            "From: someone\nSubject: [PATCH] a fix\n\n---\n a.py | 2 +-\n".into(),
        ),
        1 => all.insert(0, "```diff\n".into()),
        2 => all.push("-- \n2.43.0\n\n".into()),
        3 => all.push("```\n".into()),
        4 => return text.replace('\n', "\r\n").replace("\r\r\n", "\r\n"),
        5 => return text.replace("\n \n", "\n\n"),
        6 if !all.is_empty() => drop(all.remove(at)),
        7 if !all.is_empty() => all.insert(at, "a line of no kind\n".into()),
        8 if !all.is_empty() => all[at] = all[at].replace("a\n", "c\n"),
        9 | 10 if !hunks.is_empty() => {
            let at = hunks[draw.below(hunks.len())];
            all[at] = digits(&all[at], draw);
        }
        11 => return text.trim_end_matches('\n').to_string(),
        12 => return format!("\u{feff}{text}"),
        13 => return text.replace("\\ No newline at end of file\n", ""),
        14 if !all.is_empty() => all.insert(at, "\n".into()),
        15 => all.push("Binary files a/x.png and b/x.png differ\n".into()),
        _ if !all.is_empty() => all[at] = all[at].trim_end().to_string() + "\n",
        _ => {}
    }
    all.concat()
}

/// A tree and a diff.
fn case(seed: u64) -> (Tree, String) {
    const NAMES: &[&str] = &["a.py", "src/b.py", "src/c d.py", "é.py"];
    let mut draw = Draw::new(seed);
    let (mut tree, mut patch) = (Tree::new(), String::new());
    for name in NAMES.iter().take(1 + draw.below(3)) {
        let old = text(&mut draw, 24);
        let new = edited(&mut draw, &old);
        let (old, new) = match draw.below(12) {
            0 => (None, Some(new)),
            1 => (Some(old), None),
            _ => (Some(old), Some(new)),
        };
        patch += &diff(&mut draw, name, old.as_deref(), new.as_deref());
        if let Some(old) = old {
            // The tree may have moved on.
            let now = if draw.one_in(3) {
                edited(&mut draw, &old)
            } else {
                old
            };
            let moved = if draw.one_in(5) {
                format!("{}{now}", text(&mut draw, 6))
            } else {
                now
            };
            tree.insert(
                name.to_string(),
                if draw.one_in(15) {
                    new.unwrap_or_default()
                } else {
                    moved
                },
            );
        }
    }
    if draw.one_in(8) {
        patch += "diff --git a/src/b.py b/src/moved.py\nsimilarity index 100%\nrename from src/b.py\nrename to src/moved.py\n";
    }
    if draw.one_in(12) {
        patch = format!("{patch}{patch}");
    }
    for _ in 0..draw.below(3) {
        patch = damaged(&mut draw, &patch);
    }
    (tree, patch)
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let root = std::env::temp_dir().join(format!("patch-fuzz-{}", std::process::id()));
        fs::create_dir_all(&root).expect("a folder");
        Folder(root)
    }

    /// What a program leaves of a tree; none where it refuses.
    fn applied(&self, tree: &Tree, patch: &str, program: &[&str]) -> Option<Tree> {
        let root = self.0.join("tree");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).expect("a folder");
        for (path, text) in tree {
            fs::create_dir_all(root.join(path).parent().expect("a folder")).expect("a folder");
            fs::write(root.join(path), text).expect("writes");
        }
        // They want an end of line behind the last one, which models forget.
        let end = if patch.ends_with('\n') || patch.is_empty() {
            ""
        } else {
            "\n"
        };
        fs::write(self.0.join("p.diff"), format!("{patch}{end}")).expect("writes");
        let status = Command::new(program[0])
            .args(&program[1..])
            .arg("../p.diff")
            .current_dir(&root)
            .env("GIT_CEILING_DIRECTORIES", &self.0)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("starts");
        status.success().then(|| read(&root, &root))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read(root: &Path, folder: &Path) -> Tree {
    let mut tree = Tree::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tree.extend(read(root, &path));
        } else {
            let name = path
                .strip_prefix(root)
                .expect("below")
                .to_str()
                .expect("a name")
                .to_string();
            tree.insert(name, fs::read_to_string(path).expect("text"));
        }
    }
    tree
}

fn ours(tree: &Tree, patch: &str) -> Result<Tree, String> {
    let patch = Patch::parse(patch).map_err(|error| error.to_string())?;
    let changes = patch
        .apply(&|path| tree.get(path).cloned())
        .map_err(|error| error.to_string())?;
    let mut tree = tree.clone();
    for change in changes {
        match change.content {
            Some(content) => drop(tree.insert(change.path, content)),
            None => drop(tree.remove(&change.path)),
        }
    }
    Ok(tree)
}

const GIT: &[&str] = &["git", "apply"];
const PATCH: &[&str] = &[
    "patch",
    "--batch",
    "--fuzz=5",
    "-p1",
    "--no-backup-if-mismatch",
    "-i",
];

fn is_there(program: &str) -> bool {
    let there = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        eprintln!("SKIPPED, not compared: there is no `{program}`");
    }
    there
}

#[test]
fn patches_are_applied_as_git_and_patch_apply_them_or_are_refused() {
    let count = std::env::var("PATCHES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(400);
    let (git, patch) = (is_there("git"), is_there("patch"));
    if !git {
        return;
    }
    let folder = Folder::new();
    let (mut same, mut refused, mut wrong) = (0, BTreeMap::<String, Vec<u64>>::new(), Vec::new());
    for seed in 0..count {
        let (tree, text) = case(seed);
        let mut wanted = folder.applied(&tree, &text, GIT);
        if let Some(theirs) = &mut wanted {
            // Where no mode says that a file is deleted, `git apply` calls it so.
            theirs.remove("dev/null");
        }
        if wanted.is_none() && patch {
            wanted = folder.applied(&tree, &text, PATCH);
        }
        match (ours(&tree, &text), wanted) {
            (Ok(ours), Some(wanted)) if ours == wanted => same += 1,
            // A diff of nothing is no patch for them, and nothing to do for us.
            (Ok(_), None) if text.trim().is_empty() => {}
            (Ok(_), None) if !patch => {}
            (Ok(ours), wanted) => wrong.push((seed, text, tree, ours, wanted)),
            (Err(error), Some(_)) => refused.entry(error).or_default().push(seed),
            (Err(_), None) => {}
        }
    }
    // What is applied already would be taken back by `patch`, where nobody is asked; that is not done here.
    let taken_back = |why: &&String| !why.contains("seems to be applied");
    let lost: usize = refused
        .keys()
        .filter(taken_back)
        .map(|why| refused[why].len())
        .sum();
    eprintln!(
        "{count} patches: {same} applied as by others, {lost} refused that others apply: {refused:#?}"
    );
    let first = wrong.first().map(|(seed, text, tree, ours, wanted)| {
        format!("number {seed}\n{text}\n{tree:#?}\nours: {ours:#?}\ntheirs: {wanted:#?}")
    });
    assert!(
        wrong.is_empty(),
        "{} differ: {:?}; {}",
        wrong.len(),
        wrong.iter().map(|one| one.0).collect::<Vec<_>>(),
        first.unwrap_or_default()
    );
    assert!(
        same > count as usize / 4 && lost < count as usize / 8,
        "the draw tells little: {same}, {lost}"
    );
}
