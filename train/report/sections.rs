//! The parts of the page, each from its own part of the report.

use data::Role;
use rollout::outcome::Classes;
use rollout::report::Claim;
use serde_json::Value;

use super::{EvalReport, GainReport, RepairedBug, RunReport, escape, number};

// ---- the result ----

/// One sentence, and the table behind it.
pub(super) fn result(report: &RunReport) -> String {
    let (eval, gain) = (&report.eval, &report.gain);
    let rows = [
        ("base", &eval.base, None),
        ("SFT", &eval.sft, Some(&gain.sft_vs_base)),
        ("GRPO", &eval.grpo, Some(&gain.grpo_vs_sft)),
    ];
    let body: String = rows
        .into_iter()
        .map(|(name, eval, gain)| result_row(name, eval, gain))
        .collect();
    let head: String = [
        "model",
        "pass@1",
        "95 % interval",
        "tasks",
        "gain over the model before",
        "verdict",
    ]
    .map(|name| format!("<th scope=\"col\">{name}</th>"))
    .concat();
    format!(
        "<h1>{}</h1>\n<p>{}</p>\n<table class=\"stacked\">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n\
         </table>\n<p class=\"note\">{}</p>\n",
        headline(&eval.grpo),
        against(report),
        methods(report)
    )
}

fn headline(eval: &EvalReport) -> String {
    format!(
        "{} of the bugs in packages it never saw are repaired at the first try",
        percent(eval.pass_at_1)
    )
}

fn against(report: &RunReport) -> String {
    let (eval, gain) = (&report.eval, &report.gain);
    let [low, high] = eval.grpo.ci95.map(percent);
    let told = |gain: &GainReport| match gain.claim() {
        Claim::Gain => "a gain that is more than chance",
        Claim::Loss => "a loss",
        Claim::Chance => "a difference that may be chance",
    };
    format!(
        "95 % interval {low} to {high}, over {} tasks. The base model repairs {}. SFT takes it to {}, {}; GRPO to {}, {}.",
        eval.grpo.n,
        percent(eval.base.pass_at_1),
        percent(eval.sft.pass_at_1),
        told(&gain.sft_vs_base),
        percent(eval.grpo.pass_at_1),
        told(&gain.grpo_vs_sft),
    )
}

fn result_row(name: &str, eval: &EvalReport, gain: Option<&GainReport>) -> String {
    let [low, high] = eval.ci95;
    let (gained, claim) = match gain {
        None => (String::new(), String::new()),
        Some(gain) => {
            let [low, high] = gain.ci95.map(signed);
            (
                format!("{} ({low} to {high})", signed(gain.delta)),
                claim(gain.claim()),
            )
        }
    };
    format!(
        "<tr><th scope=\"row\">{name}</th>{}{}{}{}{}</tr>\n",
        cell("pass@1", &share(eval.pass_at_1)),
        cell(
            "95 % interval",
            &format!("{} to {}", share(low), share(high))
        ),
        cell("tasks", &eval.n.to_string()),
        cell("gain", &gained),
        cell("verdict", &claim),
    )
}

fn claim(claim: Claim) -> String {
    let class = match claim {
        Claim::Gain => "gain",
        Claim::Loss => "loss",
        Claim::Chance => "chance",
    };
    format!("<span class=\"claim {class}\">{claim}</span>")
}

/// How the intervals were found, in the words of their methods.
fn methods(report: &RunReport) -> String {
    let (eval, gain) = (&report.eval, &report.gain);
    let used = [
        ("base", eval.base.ci95_method),
        ("SFT", eval.sft.ci95_method),
        ("GRPO", eval.grpo.ci95_method),
        ("the gain of SFT", gain.sft_vs_base.ci95_method),
        ("the gain of GRPO", gain.grpo_vs_sft.ci95_method),
    ];
    let mut methods: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, method) in used {
        match methods
            .iter_mut()
            .find(|(known, _)| *known == method.to_string())
        {
            Some((_, names)) => names.push(name),
            None => methods.push((method.to_string(), vec![name])),
        }
    }
    let told: Vec<String> = match methods.as_slice() {
        [(method, _)] => vec![method.clone()],
        several => several
            .iter()
            .map(|(method, names)| format!("{method} ({})", names.join(", ")))
            .collect(),
    };
    format!(
        "Intervals: {}. Gains are paired by task; one whose interval holds 0 may be chance. {} attempts at each task.",
        told.join("; "),
        eval.grpo.attempts_per_task
    )
}

// ---- one repaired bug ----

/// What the model was asked, what it answered, and which tests say that it is right.
pub(super) fn repaired(bug: Option<&RepairedBug>) -> String {
    let heading = "<h2>One repaired bug</h2>\n";
    let Some(bug) = bug else {
        return format!("{heading}<p>No attempt of this run repaired a held-out bug.</p>\n");
    };
    let asked: String = bug
        .prompt
        .iter()
        .map(|message| match message.role {
            Role::User => format!("<pre>{}</pre>\n", escape(&message.content)),
            _ => String::new(),
        })
        .collect();
    let tests: String = bug
        .fail_to_pass
        .iter()
        .map(|test| format!("<li><code>{}</code></li>", escape(test)))
        .collect();
    format!(
        "{heading}<p class=\"note\"><code>{}</code>, answered by {}</p>\n<h3>Asked</h3>\n{asked}<h3>Answered</h3>\n\
         <pre>{}</pre>\n<h3>The patch</h3>\n{}<h3>Its tests</h3>\n<p>Failed before and pass now:</p>\n\
         <ul>{tests}</ul>\n<p>{} others passed before and still do.</p>\n",
        escape(&bug.task),
        escape(&bug.model.to_uppercase()),
        escape(bug.answer.trim_end()),
        diff(&bug.patch),
        bug.pass_to_pass,
    )
}

/// A patch, its lines marked by what they do.
fn diff(patch: &str) -> String {
    let lines = patch.lines().map(|line| {
        let class = match line.as_bytes().first() {
            Some(b'+') if !line.starts_with("+++") => " class=\"plus\"",
            Some(b'-') if !line.starts_with("---") => " class=\"minus\"",
            _ => "",
        };
        format!("<span{class}>{}</span>", escape(line))
    });
    format!("<pre>{}</pre>\n", lines.collect::<String>())
}

// ---- how attempts ended ----

/// Attempts by how they ended, for each model; what never happened is left out.
pub(super) fn endings(report: &RunReport) -> String {
    let of =
        [&report.eval.base, &report.eval.sft, &report.eval.grpo].map(|eval| counted(&eval.classes));
    let rows: String = (0..of[0].len())
        .filter(|at| of.iter().any(|counts| counts[*at].1 > 0))
        .map(|at| {
            let cells: String = of
                .iter()
                .map(|counts| format!("<td class=\"number\">{}</td>", number(counts[at].1 as f64)))
                .collect();
            format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", of[0][at].0)
        })
        .collect();
    let head = ["base", "SFT", "GRPO"]
        .map(|name| format!("<th scope=\"col\" class=\"number\">{name}</th>"))
        .concat();
    format!(
        "<h2>How attempts ended</h2>\n<table>\n<thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table>\n"
    )
}

fn counted(classes: &Classes) -> [(&'static str, u64); 10] {
    [
        ("repaired", classes.resolved),
        ("still fails", classes.not_fixed),
        ("breaks another test", classes.broke_others),
        ("timed out", classes.timed_out),
        ("out of memory", classes.out_of_memory),
        ("crashed", classes.crashed),
        ("patch does not apply", classes.does_not_apply),
        ("no patch", classes.no_patch),
        ("answer cut off", classes.truncated),
        ("no verdict: our fault", classes.lost),
    ]
}

// ---- stages ----

/// The stages in the order in which they ran: what came out, how long it took, and the command of each alone.
pub(super) fn stages(stages: &[Value]) -> String {
    let text = |stage: &Value, key: &str| stage[key].as_str().unwrap_or_default().to_string();
    let rows: String = stages
        .iter()
        .map(|stage| {
            let seconds = stage["seconds"]
                .as_f64()
                .map(|seconds| format!("{seconds:.1} s"));
            format!(
                "<tr><th scope=\"row\">{}</th>{}{}</tr>\n",
                escape(&text(stage, "stage")),
                cell("made", &escape(&made(stage))),
                cell("time", &seconds.unwrap_or_default())
            )
        })
        .collect();
    let commands: String = stages
        .iter()
        .map(|stage| text(stage, "command"))
        .filter(|command| !command.is_empty())
        .map(|command| format!("<span>{}</span>", escape(&command)))
        .collect();
    let commands = match commands.as_str() {
        "" => String::new(),
        all => format!(
            "<details><summary>The command of each stage alone</summary>\n<pre>{all}</pre></details>\n"
        ),
    };
    let head = ["stage", "made", "time"]
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .concat();
    format!(
        "<h2>Stages</h2>\n<table class=\"stacked\">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n\
         {commands}"
    )
}

/// What a stage made, in a few words, from the numbers that it has.
fn made(stage: &Value) -> String {
    let known = [
        ("steps", "steps"),
        ("samples", "samples"),
        ("tasks", "tasks"),
        ("tokens", "tokens"),
        ("attempts", "attempts"),
        ("trained_groups", "groups trained"),
        ("loss", "last loss"),
        ("pass_at_1", "pass@1"),
        ("bytes", ""),
        ("logit_kl", "nats from the original"),
    ];
    let told = known.into_iter().filter_map(|(key, word)| {
        let value = stage[key].as_f64()?;
        Some(match key {
            "loss" | "pass_at_1" => format!("{word} {}", number(value)),
            "bytes" => format!("{:.1} MB", value / 1e6),
            _ => format!("{} {word}", number(value)),
        })
    });
    told.collect::<Vec<_>>().join(", ")
}

// ---- where it comes from ----

/// Program, command, machine, data.
pub(super) fn provenance(report: &RunReport) -> String {
    let from = &report.provenance;
    let list = |items: &[String]| escape(&items.join(", "));
    let rows = [
        ("command", format!("<code>{}</code>", escape(&from.command))),
        ("commit", format!("<code>{}</code>", escape(&from.commit))),
        ("date", escape(&from.date)),
        ("seed", report.seed.to_string()),
        ("time", format!("{:.0} s", report.seconds)),
        (
            "machine",
            format!("{} cores, {}", report.cores, escape(&report.device)),
        ),
        ("Python", escape(&report.python)),
        ("sandbox", escape(&report.isolation.sandbox)),
        ("barriers", list(&report.isolation.barriers)),
        ("trained on", list(&report.packages.train)),
        ("held out", list(&report.packages.held_out)),
    ];
    let rows: String = rows
        .into_iter()
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>\n"))
        .collect();
    let inputs: String = from
        .inputs
        .iter()
        .map(|(path, hash)| {
            format!(
                "<dt><code>{}</code></dt><dd><code>{}</code></dd>\n",
                escape(path),
                escape(hash)
            )
        })
        .collect();
    let inputs = match inputs.as_str() {
        "" => String::new(),
        all => format!(
            "<details><summary>BLAKE3 of what was read</summary>\n<dl>\n{all}</dl></details>\n"
        ),
    };
    format!("<h2>Where this comes from</h2>\n<dl>\n{rows}</dl>\n{inputs}")
}

// ---- words ----

/// A cell that tells the name of its column where rows are stacked.
fn cell(name: &str, html: &str) -> String {
    format!("<td data-name=\"{name}\">{html}</td>")
}

/// Three digits, as in the tables of the README.
fn share(value: f64) -> String {
    format!("{value:.3}")
}

fn signed(value: f64) -> String {
    format!("{value:+.3}").replace('-', "−")
}

fn percent(value: f64) -> String {
    format!("{:.1}\u{a0}%", value * 100.0)
}
