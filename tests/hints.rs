//! Hints are data: how one is written is known by `data/hint.rs` alone.

use std::fs;
use std::path::{Path, PathBuf};

/// Who may write the word: the type, and the allocator, which may not format when it runs out of memory.
const MAY: [&str; 2] = ["data/hint.rs", "train/allocator.rs"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if name != "tests" && name != "benches" {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|end| end == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// Numbers of the lines that write a hint by hand, comments and tests aside.
fn by_hand(text: &str) -> Vec<usize> {
    let code = text
        .split("\n#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text);
    let writes = |line: &str| {
        let line = line.trim_start();
        let said = ["\"hint: ", "\\nhint: ", "(hint: "]
            .iter()
            .any(|sign| line.contains(sign));
        !line.starts_with("//") && (said || line.starts_with("hint: ") && line.contains('\\'))
    };
    let lines = code.lines().enumerate();
    lines
        .filter(|(_, line)| writes(line))
        .map(|(at, _)| at + 1)
        .collect()
}

#[test]
fn no_message_spells_how_a_hint_is_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["data", "rollout", "train"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 300, "only {} files", files.len());
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).expect("below the root");
        if MAY.iter().any(|may| name == Path::new(may)) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source");
        found.extend(
            by_hand(&text)
                .iter()
                .map(|line| format!("{}:{line}", name.display())),
        );
    }
    assert!(
        found.is_empty(),
        "write `\"…{{}}\", data::Hint(\"…\")` in:\n{}",
        found.join("\n")
    );
}

#[test]
fn a_hint_that_is_written_by_hand_is_found() {
    let text = "// \"hint: x\nbail!(\"no\\nhint: x\");\nbail!(\"no{}\", Hint(\"x\"));\n\n#[cfg(test)]\nmod tests {\n\"hint: \"";
    assert_eq!(by_hand(text), [2]);
}
