//! `train data related`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use data::retrieve::{Index, Query};

use super::cache_folder;
use crate::paths::Paths;
use crate::repair::issue;
use crate::terminal::plain;

/// `train data related`
#[derive(Args, Clone, Debug)]
pub struct RelatedArgs {
    /// The repository.
    #[arg(long, value_name = "DIR")]
    pub repo: PathBuf,
    /// What is wrong: a text such as `issue.md`, or a row of a data set, `issue.jsonl`.
    #[arg(long, value_name = "FILE")]
    pub issue: PathBuf,
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
    Paths::new().reads_folder("--repo", &args.repo).reads_file("--issue", &args.issue).check()?;
    let issue = issue::read(&args.issue)?;
    let root = args.repo.canonicalize()?;
    let name = &blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex()[..16];
    let index = Index::build(&root, Some(&cache_folder()?.join(format!("related/{name}.json"))))?;
    let tests: Vec<String> = args.failing_test.iter().chain(&issue.tests).cloned().collect();
    let related = index.related(&Query { issue: &issue.text, tests: &tests }, args.most);
    if related.is_empty() {
        bail!("no file of `{}` shares a word with the issue\nhint: is it the right repository?", args.repo.display());
    }
    for (at, one) in related.iter().enumerate() {
        let reasons: Vec<String> = one.reasons.iter().take(6).map(ToString::to_string).collect();
        if args.json {
            let row = serde_json::json!({ "rank": at + 1, "path": one.path, "score": one.score, "reasons": reasons });
            println!("{row}");
        } else {
            println!("{}", plain(&format!("{:>2}  {:>7.2}  {}\n             {}", at + 1, one.score, one.path, reasons.join("; "))));
        }
    }
    Ok(())
}
