//! The whole pipeline, small, from packages to a report.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use train::metrics::names::unknown;

use crate::support::*;

#[test]
fn the_pipeline_runs_to_its_end_and_reports() {
    if !python("the smoke run of the whole pipeline") {
        return;
    }
    let _alone = alone();
    let folder = Folder::new("smoke");
    let path = folder.join("run");
    let line = format!(
        "quickstart --config configs/smoke.toml --set run={}",
        path.display()
    );

    let said = run(&line).succeeds();

    for stage in [
        "data plant",
        "data samples",
        "sft",
        "eval",
        "grpo",
        "export",
    ] {
        assert!(
            said.err.contains(&format!("train {stage} --")),
            "how to run `{stage}` alone is not said:\n{}",
            said.err
        );
    }
    let report = json(&path.join("report.json"));
    check_report(&report);
    check_pages(&path, &report);
    check_neighbours(&path, &folder.join("one"));
    check_model(&path.join("sft"), 4);
    check_model(&path.join("grpo"), 2);
    check_metrics(&path);
    for log in [
        "grpo/attempts.jsonl",
        "eval/base.attempts.jsonl",
        "eval/sft.attempts.jsonl",
        "eval/grpo.attempts.jsonl",
    ] {
        check_attempts(&path.join(log));
    }

    // A second run in the same folder is refused; with `--resume` every finished stage is kept.
    run(&line).refuses(&["--resume"]);
    run(&format!("{line} --resume")).succeeds();
    let again = json(&path.join("report.json"));
    for part in ["eval", "gain", "export"] {
        assert_eq!(
            again[part], report[part],
            "`{part}` changed though nothing was left to do"
        );
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("`{value}` is no number"))
}

fn check_report(report: &Value) {
    for name in ["base", "sft", "grpo"] {
        let eval = &report["eval"][name];
        let [pass, low, high] =
            [&eval["pass_at_1"], &eval["ci95"][0], &eval["ci95"][1]].map(number);
        assert!(
            (0.0..=1.0).contains(&pass) && low <= pass && pass <= high,
            "{eval}"
        );
        assert_eq!(
            eval["n"], report["eval"]["base"]["n"],
            "another number of tasks"
        );
        assert!(
            eval["n"].as_u64().is_some_and(|n| (1..=8).contains(&n)),
            "{eval}"
        );
    }
    for (name, after, before) in [
        ("sft_vs_base", "sft", "base"),
        ("grpo_vs_sft", "grpo", "sft"),
    ] {
        let gain = &report["gain"][name];
        let [delta, low, high] = [&gain["delta"], &gain["ci95"][0], &gain["ci95"][1]].map(number);
        let [after, before] =
            [after, before].map(|name| number(&report["eval"][name]["pass_at_1"]));
        assert!(
            (delta - (after - before)).abs() < 1e-9 && low <= delta && delta <= high,
            "{gain}"
        );
    }
    let export = &report["export"];
    let bytes = fs::read(export["path"].as_str().expect("a path")).expect("the exported file");
    assert!(bytes.starts_with(b"GGUF"));
    assert_eq!(export["bytes"].as_u64(), Some(bytes.len() as u64));
    assert!(
        number(&export["logit_kl"]) >= 0.0
            && (0.0..=1.0).contains(&number(&export["top1_agreement"])),
        "{export}"
    );
    let stages: Vec<&str> = report["stages"]
        .as_array()
        .expect("stages")
        .iter()
        .filter_map(|s| s["stage"].as_str())
        .collect();
    let wanted = [
        "plant train",
        "plant held_out",
        "samples",
        "eval base",
        "sft",
        "eval sft",
        "grpo",
        "eval grpo",
        "export",
    ];
    assert_eq!(stages, wanted);
}

fn check_pages(run: &Path, report: &Value) {
    let page = fs::read_to_string(run.join("report.html")).expect("a page");
    // What may be said of a gain stands in the row of its model, by the names of the report itself.
    for (gain, model) in [("sft_vs_base", "SFT"), ("grpo_vs_sft", "GRPO")] {
        let row = page
            .split("<tr>")
            .find(|row| row.contains(&format!(">{model}</th>")))
            .expect("a row");
        let claim = report["gain"][gain]["claim"].as_str().expect("a claim");
        let low = number(&report["gain"][gain]["ci95"][0]);
        assert!(
            row.contains(&format!(">{claim}</span>")),
            "`{gain}` is not marked `{claim}`:\n{row}"
        );
        assert_eq!(claim == "more than chance", low > 0.0, "{}", report["gain"]);
    }
    let provenance = &report["provenance"];
    for key in ["commit", "command", "date"] {
        let said = provenance[key]
            .as_str()
            .filter(|said| !said.is_empty())
            .expect("is told");
        let written = said.replace('\'', "&#39;");
        assert!(
            page.contains(&written),
            "the page does not tell the {key} `{said}`"
        );
    }
    assert!(
        provenance["inputs"]
            .as_object()
            .is_some_and(|inputs| inputs.len() == 3),
        "{provenance}"
    );
    // pass@1, the loss, and the reward at the least.
    assert!(
        page.matches("<svg").count() >= 3,
        "the page has too few pictures"
    );
    let plan: toml::Table = fs::read_to_string(run.join("plan.toml"))
        .expect("a plan")
        .parse()
        .expect("TOML");
    assert_eq!(plan["stage"].as_str(), Some("quickstart"));
}

/// An evaluation and an export share a folder, and each has its own plan.
fn check_neighbours(run_folder: &Path, out: &Path) {
    let (tasks, config) = (
        run_folder.join("tasks/held_out/tasks.jsonl"),
        run_folder.join("config.toml"),
    );
    let ends = format!(
        "--model {} --tasks {} --config {}",
        run_folder.join("grpo").display(),
        tasks.display(),
        config.display()
    );
    run(&format!(
        "eval {ends} --out {}",
        out.join("model.json").display()
    ))
    .succeeds();
    run(&format!(
        "export {ends} --out {}",
        out.join("model.gguf").display()
    ))
    .succeeds();
    for (file, stage) in [("model.json", "eval"), ("model.gguf", "export")] {
        let text = fs::read_to_string(out.join(format!("{file}.plan.toml"))).expect("a plan");
        let plan: toml::Table = text.parse().expect("TOML");
        assert_eq!(plan["stage"].as_str(), Some(stage));
        assert!(
            plan["provenance"]["inputs"]
                .as_table()
                .is_some_and(|inputs| inputs.len() == 2),
            "{text}"
        );
    }
    let evaluation = json(&out.join("model.json"));
    assert!(
        evaluation["provenance"]["command"]
            .as_str()
            .is_some_and(|line| line.contains("eval --model"))
    );
    assert!(json(&out.join("model.gguf.report.json"))["logit_kl"].is_number());
    assert!(!out.join("plan.toml").exists());
}

/// A checkpoint has the files and the names of Hugging Face.
fn check_model(run: &Path, step: u64) {
    let folder = checkpoint(run, step);
    let config = json(&folder.join("config.json"));
    assert_eq!(config["architectures"][0], "LlamaForCausalLM");
    assert!(json(&folder.join("tokenizer.json"))["model"]["vocab"].is_object());
    assert!(json(&folder.join("tokenizer_config.json"))["chat_template"].is_string());
    let bytes = fs::read(folder.join("model.safetensors")).expect("weights");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let embedding = tensors
        .tensor("model.embed_tokens.weight")
        .expect("the embedding by its name");
    assert_eq!(
        embedding.shape()[1] as u64,
        config["hidden_size"].as_u64().expect("a width")
    );
    assert!(
        tensors
            .tensor("model.layers.0.self_attn.q_proj.weight")
            .is_ok(),
        "{:?}",
        tensors.names()
    );
}

fn check_metrics(run: &Path) {
    let (sft, grpo) = (rows(&run.join("sft")), rows(&run.join("grpo")));
    assert_eq!((sft.len(), grpo.len()), (4, 2));
    for row in sft.iter().chain(&grpo) {
        assert_eq!(
            unknown(row),
            Vec::<&str>::new(),
            "the reference of metrics lacks these"
        );
    }
    let both = ["loss", "grad_norm", "timing_s/step", "perf/tokens_per_s"];
    let rl = [
        "reward/mean",
        "frac_reward_zero_std",
        "completions/clipped_ratio",
        "entropy",
        "clip_ratio/region_mean",
    ];
    for (row, name) in sft.iter().flat_map(|row| both.map(|name| (row, name))) {
        assert!(
            row.get(name).is_some_and(f64::is_finite),
            "sft, step {}: no `{name}`",
            row.step()
        );
    }
    for row in &grpo {
        for name in both.iter().chain(&rl) {
            assert!(
                row.names().any(|known| known == *name),
                "grpo, step {}: no `{name}`",
                row.step()
            );
        }
        for name in [
            "reward/mean",
            "frac_reward_zero_std",
            "completions/clipped_ratio",
        ] {
            assert!(
                row.get(name)
                    .is_some_and(|share| (0.0..=1.0).contains(&share)),
                "`{name}`, step {}",
                row.step()
            );
        }
    }
}

/// The keys of an object, in their order.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Keys;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn check_attempts(log: &Path) {
    let text =
        fs::read_to_string(log).unwrap_or_else(|error| panic!("`{}`: {error}", log.display()));
    assert!(
        text.ends_with('\n'),
        "`{}` has no attempt, or ends in the middle of one",
        log.display()
    );
    for line in text.lines() {
        let Keys(keys) = serde_json::from_str(line).expect("JSON");
        assert_eq!(
            keys[..7],
            [
                "ts",
                "retry",
                "queue",
                "patch_sha",
                "test",
                "status",
                "trace_bytes"
            ],
            "{line}"
        );
    }
}
