//! What this machine has for every command, and what it lacks.
//!
//! In: the machine. Out: a [`Diagnosis`]: a line for each thing that a command needs, what a shortfall costs, and a cure.
//! Nothing is installed, downloaded or changed. Example:
//!
//! ```text
//! missing  jest              Node.js was not found on `PATH`
//!          costs: tasks in JavaScript get the outcome `infra`
//!          cure:  `apt-get install jest`
//! ```

mod machine;
mod testing;

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::terminal::plain;

/// The number of the form of `--json`.
const FORMAT: u32 = 1;

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is there.
    Ok,
    /// It is there, and less of it than one could use.
    Limited,
    /// It is not there.
    Missing,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Limited => "limited",
            Status::Missing => "missing",
        }
    }
}

/// One thing that a command needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is.
    pub name: &'static str,
    /// How it stands.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// Whether the default work (`quickstart`, `data plant`, `eval`, `grpo`, `grade`) needs it.
    pub needed: bool,
    /// What the shortfall costs; none where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Check {
            name,
            status: Status::Ok,
            found: found.into(),
            needed: false,
            costs: None,
            cure: None,
        }
    }

    fn short(status: Status, name: &'static str, found: impl Into<String>, costs: &str) -> Self {
        let costs = Some(costs.to_string());
        Check {
            name,
            status,
            found: found.into(),
            needed: false,
            costs,
            cure: None,
        }
    }

    fn limited(name: &'static str, found: impl Into<String>, costs: &str) -> Self {
        Check::short(Status::Limited, name, found, costs)
    }

    fn missing(name: &'static str, found: impl Into<String>, costs: &str) -> Self {
        Check::short(Status::Missing, name, found, costs)
    }

    /// The same with what to do; nothing where all is well.
    fn cure(self, cure: impl Into<String>) -> Self {
        let cure = (self.status != Status::Ok).then(|| cure.into());
        Check { cure, ..self }
    }

    /// The same, told as an error that brings its own hint.
    fn said(self, error: &str) -> Self {
        let (found, hint) = data::hint::split_aside(error);
        Check {
            found: found.to_string(),
            cure: hint.map(str::to_string).or(self.cure),
            ..self
        }
    }

    fn needed(self) -> Self {
        Check {
            needed: true,
            ..self
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    format: u32,
    /// Whether the default work can run.
    pub ready: bool,
    /// In the order in which a run meets them.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// Looks at this machine. `cache` is the folder of what was fetched, `here` where runs would write.
    pub fn look(cache: &Path, here: &Path) -> Self {
        let mut checks = machine::checks(cache, here);
        checks.extend(testing::checks(cache));
        Diagnosis::new(checks)
    }

    fn new(checks: Vec<Check>) -> Self {
        let ready = !checks
            .iter()
            .any(|check| check.needed && check.status == Status::Missing);
        Diagnosis {
            format: FORMAT,
            ready,
            checks,
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            writeln!(
                to,
                "{:<8} {:<17} {}",
                check.status.name(),
                check.name,
                one_line(&check.found)
            )?;
            let more = [("costs: ", &check.costs), ("cure:  ", &check.cure)];
            for (word, text) in more
                .into_iter()
                .filter_map(|(word, text)| Some((word, text.as_ref()?)))
            {
                writeln!(to, "         {word}{}", one_line(text))?;
            }
        }
        let verdict = if self.ready {
            "the default work can run here"
        } else {
            "the default work cannot run here"
        };
        writeln!(to, "{verdict}")
    }
}

/// What others said, without ends of lines and what a terminal obeys.
fn one_line(text: &str) -> String {
    plain(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_default_work_needs_makes_a_machine_unfit() {
        let gpu = || Check::missing("GPU", "none", "slower");
        assert!(
            Diagnosis::new(vec![
                gpu(),
                Check::limited("memory", "1 GiB", "small models").needed()
            ])
            .ready
        );
        assert!(
            !Diagnosis::new(vec![
                gpu(),
                Check::missing("Python", "none", "all").needed()
            ])
            .ready
        );
    }

    #[test]
    fn a_shortfall_tells_its_price_and_its_cure_and_a_find_neither() {
        let check = Check::missing("jest", "no jest", "JavaScript has no verdict")
            .cure("`apt-get install jest`");
        let told =
            Diagnosis::new(vec![Check::ok("cores", "2").cure("never said"), check]).to_string();
        let wanted = "ok       cores             2\n\
                      missing  jest              no jest\n         costs: JavaScript has no verdict\n         \
                      cure:  `apt-get install jest`\nthe default work can run here\n";
        assert_eq!(told, wanted);
    }

    #[test]
    fn the_hint_of_an_error_becomes_the_cure() {
        let check = Check::missing("namespaces", "", "all")
            .said("cannot be made: EPERM (hint: `sysctl -w x=1`)");
        assert_eq!(
            (check.found.as_str(), check.cure.as_deref()),
            ("cannot be made: EPERM", Some("`sysctl -w x=1`"))
        );
    }

    #[test]
    fn every_check_of_this_machine_that_falls_short_says_what_that_costs() {
        let here = std::env::temp_dir();
        let cache = here.join("doctor-has-no-cache-here");
        let checks = machine::checks(&cache, &here);
        assert!(checks.len() >= 6, "{checks:#?}");
        for check in checks {
            assert_eq!(
                check.costs.is_some(),
                check.status != Status::Ok,
                "{check:?}"
            );
        }
        assert!(!cache.exists(), "looking made a folder");
    }
}
