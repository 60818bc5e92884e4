//! Part of the work failed and the rest is kept: an end of its own, with an exit code of its own.

/// What failed, while the others are kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of {all} {things} failed, and the others are kept:\n{}{}", failed.len(), failed.join("\n"), data::Hint("`--resume` tries what failed again"))]
pub struct Partial {
    /// What failed, each with its reason on one line.
    pub failed: Vec<String>,
    /// How many there were in all.
    pub all: usize,
    /// What they are called, e.g. `packages`.
    pub things: &'static str,
}

/// An error in one line: its story, without what to do about it.
pub fn in_one_line(error: &anyhow::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let first = text
            .lines()
            .take_while(|line| data::hint::of_line(line).is_none())
            .collect::<Vec<_>>()
            .join(" ");
        // Some errors quote their cause; it is said once.
        if !said.iter().any(|before| before.ends_with(&first)) {
            said.push(first);
        }
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_story_fits_on_a_line_and_names_each_cause_once() {
        let error = anyhow!("no network\nhint: find one")
            .context("no network")
            .context("while opening `x`");
        assert_eq!(in_one_line(&error), "while opening `x`: no network");
    }

    #[test]
    fn what_failed_is_listed() {
        let partial = Partial {
            failed: vec!["`a`: no tests".into()],
            all: 3,
            things: "packages",
        };
        let said = partial.to_string();
        assert!(
            said.starts_with(
                "1 of 3 packages failed, and the others are kept:\n`a`: no tests\nhint: "
            ),
            "{said}"
        );
    }
}
