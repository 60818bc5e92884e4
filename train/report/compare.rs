//! Runs over each other on one page: what they are, in which settings they differ, and every curve.
//!
//! In: [`Compared`] runs. Out: HTML, as in [`super`]. A number that a run does not measure has no line of it.

use std::collections::BTreeSet;

use super::{Curve, Series, escape, number, page, plots};
use crate::metrics::{self, Row};
use crate::run::runs::Run;
use crate::settings::Settings;

/// Groups of curves: a heading, and the beginnings of the names that it holds. What fits no other is under the last.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Result",
        &["loss", "eval/", "reward/", "frac_reward_zero_std"],
    ),
    (
        "Policy",
        &["entropy", "clip_ratio/", "completions/", "sampling/"],
    ),
    ("Optimizer", &["grad_norm", "learning_rate"]),
    ("Speed", &["timing_s/", "perf/", "tokens"]),
    ("Counts", &[]),
];

/// A run, as a page shows it.
pub struct Compared {
    /// What it is called in legends.
    pub name: String,
    /// What is known of it.
    pub run: Run,
    /// What was configured, key by key.
    pub settings: Settings,
    /// What it measured.
    pub rows: Vec<Row>,
}

/// The page of `runs`; with `renew_s` a browser loads it again after so many seconds.
pub fn compare(runs: &[Compared], renew_s: Option<u64>) -> String {
    let head = renew_s.map_or(String::new(), |seconds| {
        format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n")
    });
    let names: Vec<&str> = runs.iter().map(|compared| compared.name.as_str()).collect();
    let title = names.join(", ");
    let curves: String = groups(runs)
        .iter()
        .map(|(heading, curves)| plots(heading, curves))
        .collect();
    let body = format!(
        "<h1>{}</h1>\n{}{}{curves}",
        escape(&title),
        table(runs),
        differences(runs)
    );
    page(&title, &head, &body)
}

fn table(runs: &[Compared]) -> String {
    let columns = [
        "run", "stage", "started", "state", "steps", "result", "best", "commit",
    ];
    let head: String = columns
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .concat();
    let body: String = runs.iter().map(row).collect();
    format!(
        "<table class=\"stacked\">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"
    )
}

fn row(compared: &Compared) -> String {
    let Run {
        stage,
        started,
        commit,
        state,
        step,
        steps,
        result,
        best,
        ..
    } = &compared.run;
    let steps = match (step, steps) {
        (Some(step), Some(steps)) => format!("{step} of {steps}"),
        (Some(step), None) => step.to_string(),
        _ => String::new(),
    };
    let result = result.as_ref().map_or(String::new(), |(name, value)| {
        format!("{name} {}", number(*value))
    });
    let best = best.map_or(String::new(), |(step, value)| {
        format!("{} at step {step}", number(value))
    });
    let cells = [
        ("stage", stage.clone()),
        ("started", started.clone()),
        ("state", state.name().to_owned()),
        ("steps", steps),
        ("result", result),
        ("best", best),
        ("commit", commit.clone()),
    ];
    let cells: String = cells
        .map(|(name, value)| format!("<td data-name=\"{name}\">{}</td>", escape(&value)))
        .concat();
    format!(
        "<tr><th scope=\"row\">{}</th>{cells}</tr>\n",
        escape(&compared.name)
    )
}

/// The settings that are not the same in all runs.
fn differences(runs: &[Compared]) -> String {
    let [first, rest @ ..] = runs else {
        return String::new();
    };
    let keys: BTreeSet<String> = rest
        .iter()
        .flat_map(|other| first.settings.different_keys(&other.settings))
        .collect();
    if rest.is_empty() || keys.is_empty() {
        return String::new();
    }
    let head: String = runs
        .iter()
        .map(|run| format!("<th scope=\"col\">{}</th>", escape(&run.name)))
        .collect();
    let cell = |run: &Compared, key: &str| {
        let value = run.settings.shown(key).unwrap_or_default();
        format!(
            "<td data-name=\"{}\">{}</td>",
            escape(&run.name),
            escape(&value)
        )
    };
    let row = |key: &String| {
        let cells: String = runs.iter().map(|run| cell(run, key)).collect();
        format!(
            "<tr><th scope=\"row\"><code>{}</code></th>{cells}</tr>\n",
            escape(key)
        )
    };
    let body: String = keys.iter().map(row).collect();
    format!(
        "<h2>Settings that differ</h2>\n<table class=\"stacked\">\n<thead><tr><th scope=\"col\">key</th>{head}</tr>\
         </thead>\n<tbody>\n{body}</tbody>\n</table>\n"
    )
}

/// Every number that any run measured, by group; a group without one is left out.
fn groups(runs: &[Compared]) -> Vec<(&'static str, Vec<Curve>)> {
    let names: BTreeSet<&str> = runs
        .iter()
        .flat_map(|run| &run.rows)
        .flat_map(Row::names)
        .collect();
    let mut groups: Vec<(&str, Vec<Curve>)> = GROUPS
        .iter()
        .map(|(heading, _)| (*heading, Vec::new()))
        .collect();
    for name in names {
        let belongs = |(_, beginnings): &(&str, &[&str])| {
            beginnings.iter().any(|start| name.starts_with(start))
        };
        let at = GROUPS.iter().position(belongs).unwrap_or(GROUPS.len() - 1);
        groups[at].1.push(curve(name, runs));
    }
    groups.retain(|(_, curves)| !curves.is_empty());
    groups
}

fn curve(name: &str, runs: &[Compared]) -> Curve {
    let line = |run: &Compared| {
        let points = metrics::series(&run.rows, name);
        (!points.is_empty()).then(|| Series {
            name: run.name.clone(),
            points,
            ..Series::default()
        })
    };
    Curve {
        title: name.to_owned(),
        x_label: "step".into(),
        y_label: String::new(),
        series: runs.iter().filter_map(line).collect(),
        ..Curve::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::runs::State;

    fn compared(name: &str, lr: f64, losses: &[f64]) -> Compared {
        let row = |(at, loss): (usize, &f64)| {
            Row::new(at as u64 + 1)
                .with("loss", *loss)
                .with("timing_s/step", 0.5)
        };
        Compared {
            name: name.to_owned(),
            run: Run {
                path: name.into(),
                stage: "sft".into(),
                started: "2026-01-02T03:04:05Z".into(),
                commit: "abc".into(),
                model: None,
                state: State::Finished,
                step: Some(losses.len() as u64),
                steps: Some(3),
                result: None,
                best: None,
            },
            settings: Settings::default()
                .with("sft.optimizer.lr", lr)
                .with("seed", 7),
            rows: losses.iter().enumerate().map(row).collect(),
        }
    }

    #[test]
    fn runs_share_a_plot_and_tell_what_differs() {
        let page = compare(
            &[
                compared("<a>", 0.001, &[3.0, 2.0, 1.0]),
                compared("b", 0.01, &[2.5, 2.0]),
            ],
            Some(10),
        );
        assert_eq!(
            page.matches("<figure>").count(),
            2,
            "one plot for the loss, one for the time"
        );
        assert!(
            page.contains("<code>sft.optimizer.lr</code>")
                && page.contains(">0.001<")
                && page.contains(">0.01<")
        );
        assert!(
            !page.contains("<code>seed</code>"),
            "a setting that is the same"
        );
        assert!(
            page.contains("&lt;a&gt;") && !page.contains("<a>"),
            "names are text"
        );
        assert!(page.contains("<td data-name=\"steps\">2 of 3</td>"));
        assert!(page.contains("http-equiv=\"refresh\" content=\"10\""));
    }

    #[test]
    fn one_run_has_no_table_of_differences() {
        let page = compare(&[compared("a", 0.001, &[1.0])], None);
        assert!(!page.contains("Settings that differ") && !page.contains("refresh"));
    }
}
