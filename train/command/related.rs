//! `train data related`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use data::patch::is_guarded;
use data::retrieve::{Index, Query, Related};
use data::source::jsonl::{TaskSet, read_tasks};

use super::cache_folder;
use crate::repair::issue;
use crate::run::paths::Paths;
use crate::terminal::plain;

/// `train data related`
#[derive(Args, Clone, Debug)]
pub struct RelatedArgs {
    /// The repository.
    #[arg(
        long,
        value_name = "DIR",
        requires = "issue",
        required_unless_present = "tasks"
    )]
    pub repo: Option<PathBuf>,
    /// What is wrong: a text such as `issue.md`, or a row of a data set, `issue.jsonl`.
    #[arg(long, value_name = "FILE", requires = "repo")]
    pub issue: Option<PathBuf>,
    /// Tasks instead of one issue: how many of the files that their repairs edit are among the first 1, 3 and 5, beside what
    /// BM25 alone finds.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["repo", "issue"])]
    pub tasks: Option<PathBuf>,
    /// A test that fails because of it. Can be repeated.
    #[arg(long, value_name = "ID")]
    pub failing_test: Vec<String>,
    /// Most files.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub most: usize,
    /// One JSON object a line instead of words for people.
    #[arg(long)]
    pub json: bool,
}

/// `train data related`: the most related files first, on standard output.
///
/// # Errors
///
/// When the repository or the issue cannot be read, or nothing is related.
pub fn run(args: &RelatedArgs) -> Result<()> {
    if let Some(tasks) = &args.tasks {
        Paths::new().reads("--tasks", tasks).check()?;
        return tell_recall(&read_tasks(tasks)?);
    }
    let (Some(repo), Some(issue)) = (&args.repo, &args.issue) else {
        bail!(
            "nothing is asked for{}",
            data::Hint("`--repo DIR --issue FILE`, or `--tasks FILE`")
        );
    };
    Paths::new()
        .reads_folder("--repo", repo)
        .reads_file("--issue", issue)
        .check()?;
    let issue = issue::read(issue)?;
    let root = repo.canonicalize()?;
    let name = &blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex()[..16];
    let index = Index::build(
        &root,
        Some(&cache_folder()?.join(format!("related/{name}.json"))),
    )?;
    let tests: Vec<String> = args
        .failing_test
        .iter()
        .chain(&issue.tests)
        .cloned()
        .collect();
    let related = index.related(
        &Query {
            issue: &issue.text,
            tests: &tests,
        },
        args.most,
    );
    if related.is_empty() {
        bail!(
            "no file of `{}` shares a word with the issue{}",
            repo.display(),
            data::Hint("is it the right repository?")
        );
    }
    for (at, one) in related.iter().enumerate() {
        let reasons: Vec<String> = one
            .reasons
            .iter()
            .take(6)
            .map(ToString::to_string)
            .collect();
        if args.json {
            let row = serde_json::json!({ "rank": at + 1, "path": one.path, "score": one.score, "reasons": reasons });
            println!("{row}");
        } else {
            println!(
                "{}",
                plain(&format!(
                    "{:>2}  {:>7.2}  {}\n             {}",
                    at + 1,
                    one.score,
                    one.path,
                    reasons.join("; ")
                ))
            );
        }
    }
    Ok(())
}

/// How many files are looked at.
const AMONG: [usize; 3] = [1, 3, 5];

/// Recall of the files that the repairs of tasks edit, as one line of JSON.
fn tell_recall(set: &TaskSet) -> Result<()> {
    let mut indexes: BTreeMap<&str, Index> = BTreeMap::new();
    let (mut whole, mut words) = ([0.0; 3], [0.0; 3]);
    let mut counted = 0;
    for task in &set.tasks {
        let gold: Vec<&str> = task
            .gold
            .paths()
            .into_iter()
            .filter(|path| !is_guarded(path))
            .collect();
        if gold.is_empty() {
            continue;
        }
        if !indexes.contains_key(task.tree.as_str()) {
            indexes.insert(&task.tree, Index::build(&set.root.join(&task.tree), None)?);
        }
        let index = &indexes[task.tree.as_str()];
        let query = Query {
            issue: &task.statement,
            tests: &task.fail_to_pass,
        };
        let plain = index
            .by_words(&task.statement)
            .into_values()
            .filter(|one| !is_guarded(&one.path));
        let mut plain: Vec<Related> = plain.collect();
        plain.sort_by(|one, other| {
            other
                .score
                .total_cmp(&one.score)
                .then_with(|| one.path.cmp(&other.path))
        });
        let related = index.related(&query, 5);
        for (at, most) in AMONG.into_iter().enumerate() {
            whole[at] += recall(&related, &gold, most);
            words[at] += recall(&plain, &gold, most);
        }
        counted += 1;
    }
    if counted == 0 {
        bail!(
            "no task says which files its repair edits{}",
            data::Hint("planted tasks and imported rows do")
        );
    }
    let mean = |sums: [f64; 3]| sums.map(|sum| sum / f64::from(counted));
    let told = |sums: [f64; 3]| {
        let [one, three, five] = mean(sums);
        serde_json::json!({ "recall@1": one, "recall@3": three, "recall@5": five })
    };
    println!(
        "{}",
        serde_json::json!({ "tasks": counted, "related": told(whole), "bm25_alone": told(words) })
    );
    Ok(())
}

/// Share of the files that are among the first so many.
fn recall(found: &[Related], gold: &[&str], most: usize) -> f64 {
    let among = |path: &&&str| found.iter().take(most).any(|one| one.path == **path);
    gold.iter().filter(among).count() as f64 / gold.len() as f64
}
