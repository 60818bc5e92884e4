//! A run that was killed and resumed ends like one that was not.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use train::metrics::Row;

use crate::support::*;

/// Bugs in one package, a model that has seen a little of them, and few, short steps of reinforcement learning.
const GRPO: &str = r#"
seed = 3
base = "checkpoints/base"

[data]
candidates_per_package = 60
tasks_per_function = 2
max_function_lines = 32

[sandbox]
timeout_s = 5
memory_mib = 512

[sft]
steps = 20
samples_per_step = 8
save_every = 0

[sft.optimizer]
lr = 1e-3
warmup_steps = 2

[grpo]
steps = 5
groups_per_step = 2
group_size = 4
max_groups_drawn = 8
save_every = 2

[grpo.sampling]
max_new_tokens = 32

[grpo.optimizer]
lr = 1e-4
warmup_steps = 1
schedule = "constant"
"#;

#[test]
fn a_killed_sft_run_ends_like_one_that_was_not() {
    let _alone = alone();
    let folder = Folder::new("resume-sft");
    let small = Small::make(&folder);
    let (whole, killed) = (folder.join("whole"), folder.join("killed"));
    run(&small.sft(&whole)).succeeds();
    let losses: Vec<f64> = rows(&whole)
        .iter()
        .filter_map(|row| row.get("loss"))
        .collect();
    assert!(
        losses.len() == 40 && losses[39] < losses[0],
        "nothing was learned, so nothing is compared: {losses:?}"
    );

    let line = small.sft(&killed);
    let mut running = start(&line, &folder.join("killed.log"));
    // Two steps beyond the checkpoint of step 10.
    running.wait_for_lines(&killed.join("metrics.jsonl"), 12);
    running.kill();
    resume_and_compare(
        &line,
        &whole,
        &killed,
        40,
        10,
        &["model.safetensors", "config.json"],
    );
}

/// Four-bit weights with additions and dropout, packed rows, a mixture of two sets, moments in eight bits.
#[test]
fn a_killed_run_with_all_that_saves_memory_ends_like_one_that_was_not() {
    let _alone = alone();
    let folder = Folder::new("resume-lora");
    let small = Small::make(&folder);
    let (base, whole, killed) = (
        folder.join("base"),
        folder.join("whole"),
        folder.join("killed"),
    );
    run(&format!("{} --set sft.steps=2", small.sft(&base))).succeeds();
    let samples = small.samples.display();
    let more = format!(
        "\n[sft.lora]\nrank = 4\ndropout = 0.1\nfour_bit = true\n\n[[sft.mixture]]\nsamples = \"{samples}\"\nweight = 3.0\n\n[[sft.mixture]]\nsamples = \"{samples}\"\nweight = 1.0\n"
    );
    let config = folder.write("lora.toml", &(SMALL.to_owned() + &more));
    let sets = "--set sft.pack_tokens=400 --set sft.optimizer.state=8bit --set sft.steps=20";
    let line = |out: &Path| {
        format!(
            "sft --config {} --model {} {sets} --out {}",
            config.display(),
            base.display(),
            out.display()
        )
    };
    run(&line(&whole)).succeeds();
    let losses: Vec<f64> = rows(&whole)
        .iter()
        .filter_map(|row| row.get("loss"))
        .collect();
    assert!(
        losses.len() == 20 && losses[19] < losses[0],
        "nothing was learned, so nothing is compared: {losses:?}"
    );

    let mut running = start(&line(&killed), &folder.join("killed.log"));
    // One step beyond the checkpoint of step 10.
    running.wait_for_lines(&killed.join("metrics.jsonl"), 11);
    running.kill();
    let files = ["adapter_model.safetensors", "adapter_config.json"];
    resume_and_compare(&line(&killed), &whole, &killed, 20, 10, &files);
}

/// A model that has seen a little of the planted bugs that it is to be reinforced on.
struct Reinforced {
    folder: Folder,
    given: String,
    tasks: PathBuf,
    samples: PathBuf,
    model: PathBuf,
}

impl Reinforced {
    fn make(name: &str) -> Reinforced {
        let folder = Folder::new(name);
        let given = format!("--config {}", folder.write("grpo.toml", GRPO).display());
        let [tasks, samples, model] = ["tasks", "samples", "model"].map(|name| folder.join(name));
        let (at, to) = (tasks.display(), samples.display());
        run(&format!(
            "data plant {given} --package examples/packages/planegeo --max-tasks 8 --out {at}"
        ))
        .succeeds();
        run(&format!(
            "data samples {given} --tasks {at}/tasks.jsonl --tokenizer checkpoints/base --out {to}"
        ))
        .succeeds();
        run(&format!(
            "sft {given} --samples {to} --out {}",
            model.display()
        ))
        .succeeds();
        Reinforced {
            folder,
            given,
            tasks: tasks.join("tasks.jsonl"),
            samples,
            model,
        }
    }

    fn grpo(&self, more: &str, out: &Path) -> String {
        let (model, tasks) = (self.model.display(), self.tasks.display());
        format!(
            "grpo {} --model {model} --tasks {tasks} {more} --out {}",
            self.given,
            out.display()
        )
    }

    /// Runs to the end, and once more with a kill and a resumption between, and compares; returns the first run.
    #[track_caller]
    fn kill_and_compare(&self, more: &str, files: &[&str]) -> PathBuf {
        let (whole, killed) = (self.folder.join("whole"), self.folder.join("killed"));
        run(&self.grpo(more, &whole)).succeeds();
        let trained = |rows: &[Row]| {
            rows.iter()
                .filter(|row| row.get("rollout/groups_trained") > Some(0.0))
                .count()
        };
        assert!(
            trained(&rows(&whole)) > 0,
            "no group taught anything, so nothing is compared"
        );

        let line = self.grpo(more, &killed);
        let mut running = start(&line, &self.folder.join("killed.log"));
        // One step beyond the checkpoint of step 2.
        running.wait_for_lines(&killed.join("metrics.jsonl"), 3);
        running.kill();
        resume_and_compare(&line, &whole, &killed, 5, 2, files);
        let held_out = more
            .contains("--validate")
            .then_some("held_out_attempts.jsonl");
        for log in ["attempts.jsonl"].into_iter().chain(held_out) {
            assert_eq!(attempts(&killed, log), attempts(&whole, log), "{log}");
        }
        whole
    }
}

#[test]
fn a_killed_grpo_run_ends_like_one_that_was_not() {
    if !python("resuming GRPO") {
        return;
    }
    let _alone = alone();
    let given = Reinforced::make("resume-grpo");
    given.kill_and_compare("", &["model.safetensors", "config.json"]);
}

/// An adapter on a base in four bits, activations computed again, an evaluation while it trains.
#[test]
fn a_killed_grpo_run_of_an_adapter_ends_like_one_that_was_not() {
    if !python("resuming GRPO of an adapter") {
        return;
    }
    let _alone = alone();
    let given = Reinforced::make("resume-grpo-lora");
    let lora = "--set grpo.lora.rank=4 --set grpo.lora.four_bit=true";
    let held_out = format!(
        "--validate {} --set grpo.validate_every=2 --set eval.attempts=2",
        given.tasks.display()
    );
    let more = format!("{lora} --set grpo.optimizer.lr=1e-3 {held_out}");
    let whole =
        given.kill_and_compare(&more, &["adapter_model.safetensors", "adapter_config.json"]);

    let rows = rows(&whole);
    for row in &rows {
        // What samples is what is trained: base in four bits, adapter, temperature.
        let apart = row.get("sampling/sampling_logp_difference/mean");
        assert!(
            apart.is_none_or(|apart| apart < 1e-4),
            "step {}: {apart:?}",
            row.step()
        );
    }
    let evaluated: Vec<u64> = rows
        .iter()
        .filter(|row| row.get("eval/pass@1").is_some())
        .map(Row::step)
        .collect();
    assert_eq!(evaluated, [2, 4, 5]);
    let best = rows
        .iter()
        .filter_map(|row| row.get("eval/pass@1"))
        .fold(0.0, f64::max);
    let summary: Value =
        serde_json::from_slice(&fs::read(whole.join("summary.json")).expect("a summary"))
            .expect("JSON");
    assert_eq!(summary["best"]["pass_at_1"].as_f64(), Some(best));
    assert!(whole.join("best/adapter_model.safetensors").exists());

    // The adapter goes on under another trainer, as the adapter that it is.
    let sft = |rank: usize, out: &Path| {
        let (given, samples, whole) = (&given.given, given.samples.display(), whole.display());
        let sets =
            format!("--set sft.steps=1 --set sft.lora.rank={rank} --set sft.optimizer.lr=1e-9");
        format!(
            "sft {given} --samples {samples} --model {whole} {sets} --out {}",
            out.display()
        )
    };
    let out = given.folder.join("sft");
    run(&sft(8, &out)).refuses(&["`lora.rank` is 8, but the adapter has 4", "train merge"]);
    run(&sft(4, &out)).succeeds();
    let adapter = |folder: PathBuf, file: &str| fs::read(folder.join(file)).expect("an adapter");
    let (before, after) = (checkpoint(&whole, 5), checkpoint(&out, 1));
    let config = "adapter_config.json";
    assert_eq!(
        adapter(before.clone(), config),
        adapter(after.clone(), config),
        "another base or another kind"
    );
    let weights = "adapter_model.safetensors";
    assert_eq!(
        adapter(before, weights).len(),
        adapter(after, weights).len()
    );
}

/// Resumes `killed` from the checkpoint of `saved` at the earliest and compares it with `whole` after `steps`, file by
/// file.
#[track_caller]
fn resume_and_compare(
    line: &str,
    whole: &Path,
    killed: &Path,
    steps: usize,
    saved: u64,
    files: &[&str],
) {
    let before = rows(killed);
    assert!(
        before.len() < steps,
        "all {steps} steps were done before the kill"
    );
    assert!(
        checkpoint(killed, saved).join("MANIFEST.json").exists(),
        "no checkpoint of step {saved}"
    );
    // Without the word, nothing is overwritten.
    run(line).refuses(&["--resume"]);
    assert_eq!(rows(killed), before);

    run(&format!("{line} --resume")).succeeds();
    let after = rows(killed);
    // Steps before the checkpoint were not done again: even their clocks are those of the first process.
    assert_eq!(after[..saved as usize], before[..saved as usize]);
    let plain = |rows: Vec<Row>| {
        rows.iter()
            .map(|row| row.deterministic().to_line())
            .collect::<Vec<_>>()
    };
    assert_eq!(plain(after), plain(rows(whole)));
    for file in files
        .iter()
        .chain(&["optimizer.safetensors", "tokenizer.json"])
    {
        let read = |run: &Path| {
            fs::read(checkpoint(run, steps as u64).join(file))
                .expect("a file of the last checkpoint")
        };
        assert!(read(killed) == read(whole), "`{file}` differs");
    }
}

/// The log of attempts without the clock, and without which verdicts were known already: a new process forgets them.
fn attempts(run: &Path, log: &str) -> Vec<Value> {
    let text = fs::read_to_string(run.join(log)).expect("a log");
    let attempts = text.lines().map(|line| {
        let mut attempt: Value = serde_json::from_str(line).expect("JSON");
        let fields = attempt.as_object_mut().expect("an object");
        for clock in ["ts", "wall_ms", "cached", "trace_bytes"] {
            fields
                .remove(clock)
                .unwrap_or_else(|| panic!("no `{clock}` in {line}"));
        }
        attempt
    });
    attempts.collect()
}
