//! The reference of file formats, made from the types that write them.

use std::fs;

use crate::configs::check;

/// A file, who writes it, and the types of its rows: source and name.
type Format = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const FORMATS: &[Format] = &[
    (
        "tasks.jsonl",
        "One task a line: `train data plant`, `train data admit`.",
        &[("data/task.rs", "Task"), ("data/task.rs", "Focus")],
    ),
    (
        "samples: manifest.json, samples-NNNNN.parquet",
        "Token sequences with their masks: `train data samples`, `train data commits`. A row of a shard is a `Sample`.",
        &[
            ("data/store.rs", "Manifest"),
            ("data/store.rs", "Shard"),
            ("data/sample.rs", "Sample"),
        ],
    ),
    (
        "triplets: triplets.json, triplets-NNNNN.parquet",
        "Fail, refine, pass: `train data triplets`. A row of a shard is a `Triplet`.",
        &[
            ("data/triplet/store.rs", "TripletManifest"),
            ("data/triplet/store.rs", "TripletShard"),
            ("data/triplet.rs", "Triplet"),
            ("data/triplet.rs", "Proof"),
        ],
    ),
    (
        "attempts.jsonl",
        "One attempt a line: `train grpo`.",
        &[("rollout/record.rs", "Record")],
    ),
    (
        "trajectories",
        "What a policy wrote and what it is worth: `train grpo`, `train eval`.",
        &[
            ("rollout/trajectory.rs", "Trajectory"),
            ("rollout/trajectory.rs", "Sequence"),
        ],
    ),
    (
        "an evaluation",
        "pass@1 and its interval: `train eval --out`, `train quickstart`.",
        &[
            ("rollout/report.rs", "Evaluation"),
            ("rollout/report.rs", "TaskScore"),
            ("rollout/report.rs", "Interval"),
        ],
    ),
    (
        "report.json",
        "What a whole run came to: `train quickstart`.",
        &[("train/report/run.rs", "RunReport")],
    ),
    (
        "manifest.json of a checkpoint",
        "Written last into `step-NNNNNN`, beside weights, tokenizer, optimizer and state: every trainer.",
        &[
            ("train/checkpoint.rs", "Manifest"),
            ("train/checkpoint.rs", "FileSum"),
        ],
    ),
];

/// The fields of `name` in a source: name, type, what it is, and whether it may be left out.
fn fields(source: &str, name: &str) -> Vec<[String; 3]> {
    let text = fs::read_to_string(format!("{}/{source}", env!("CARGO_MANIFEST_DIR")))
        .unwrap_or_else(|error| panic!("`{source}`: {error}"));
    let starts = [format!("pub struct {name} {{"), format!("struct {name} {{")];
    let mut found = Vec::new();
    let (mut what, mut absent) = (Vec::new(), false);
    let lines = text
        .lines()
        .skip_while(|line| !starts.contains(&line.to_string()))
        .skip(1)
        .take_while(|line| *line != "}");
    for line in lines {
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("/// ") {
            what.push(doc.to_owned());
        } else if line.starts_with("#[") {
            absent |= line.contains("skip_serializing_if") || line.contains("default");
        } else if let Some((field, kind)) = line.split_once(": ") {
            let field = field.strip_prefix("pub ").unwrap_or(field);
            let kind = kind.trim_end_matches(',');
            let left_out = if absent { ", may be left out" } else { "" };
            found.push([
                format!("`{field}`"),
                format!("`{kind}`{left_out}"),
                what.join(" ").replace('|', "\\|"),
            ]);
            (what, absent) = (Vec::new(), false);
        }
    }
    found
}

#[test]
fn the_reference_has_every_field_of_every_file() {
    let mut page = String::from(
        "# File formats\n\nThe fields of the files that this program writes, from the types that write them. Files are whole or \
         absent; lines of `.jsonl` are, too. `format` is the number of the format: a reader refuses one that it does not know.\n",
    );
    for (file, who, types) in FORMATS {
        page.push_str(&format!("\n## {file}\n\n{who}\n"));
        for (source, name) in *types {
            let fields = fields(source, name);
            assert!(!fields.is_empty(), "`{source}` has no struct `{name}`");
            page.push_str(&format!(
                "\n**{name}** (`{source}`)\n\n| field | type | what it is |\n|---|---|---|\n"
            ));
            for [field, kind, what] in fields {
                page.push_str(&format!("| {field} | {kind} | {what} |\n"));
            }
        }
    }
    check("formats.md", &page);
}
