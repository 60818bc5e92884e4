//! What `train sft` leaves: an adapter that is a model, the best checkpoint, and how much memory it took.

use std::fs;

use burn::tensor::Device;
use model::weights::to_host;
use train::checkpoint::load;

use crate::support::*;

#[test]
fn an_adapter_is_a_model_wherever_one_is_asked_for_and_merge_writes_it_out() {
    let folder = Folder::new("adapter");
    let small = Small::make(&folder);
    let [base, adapter, merged] = ["base", "adapter", "merged"].map(|name| folder.join(name));
    run(&format!("{} --set sft.steps=2", small.sft(&base))).succeeds();
    let lora = "--set sft.steps=6 --set sft.lora.rank=4 --set sft.checkpointing=true";
    run(&format!(
        "{} --model {} {lora}",
        small.sft(&adapter),
        base.display()
    ))
    .succeeds();
    run(&format!(
        "merge --adapter {} --out {}",
        adapter.display(),
        merged.display()
    ))
    .succeeds();

    let of = |folder| to_host(&load(folder, &Device::flex()).expect("loads").model);
    assert_eq!(of(&merged), of(&adapter));
    assert_ne!(of(&merged), of(&base));
    // What holds no adapter is refused, and so is an adapter whose model is gone.
    run(&format!(
        "merge --adapter {} --out {}",
        base.display(),
        merged.display()
    ))
    .refuses(&["no adapter"]);
    fs::rename(&base, folder.join("elsewhere")).expect("renames");
    run(&format!(
        "merge --adapter {} --out {}",
        adapter.display(),
        merged.display()
    ))
    .refuses(&["--model DIR"]);
    let line = format!(
        "merge --model {} --adapter {}",
        folder.join("elsewhere").display(),
        adapter.display()
    );
    run(&format!("{line} --out {}", folder.join("again").display())).succeeds();
    assert_eq!(of(&folder.join("again")), of(&merged));
}

#[test]
fn the_best_checkpoint_on_other_samples_is_kept_and_the_summary_tells_of_memory() {
    let folder = Folder::new("best");
    let small = Small::make(&folder);
    let out = folder.join("run");
    let sets = "--set sft.steps=12 --set sft.validate_every=4 --set sft.keep=1";
    run(&format!(
        "{} {sets} --validate {}",
        small.sft(&out),
        small.samples.display()
    ))
    .succeeds();
    let losses: Vec<(u64, f64)> = rows(&out)
        .iter()
        .filter_map(|row| Some((row.step(), row.get("eval/loss")?)))
        .collect();
    assert_eq!(
        losses.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
        [4, 8, 12]
    );
    let best = losses
        .into_iter()
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .expect("three");

    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("summary.json")).expect("a summary"))
            .expect("JSON");
    assert_eq!(summary["best"]["step"].as_u64(), Some(best.0), "{summary}");
    assert!(
        summary["memory"]["peak_mib"].as_f64() > Some(1.0),
        "{summary}"
    );
    load(&out.join("best"), &Device::flex()).expect("the best one loads");
}

#[test]
fn a_run_that_does_not_fit_into_memory_is_refused_with_what_would_before_anything_is_loaded() {
    let folder = Folder::new("memory");
    let line = format!(
        "sft --dry-run --samples none --out {}",
        folder.join("run").display()
    );
    let said = run(&line).succeeds();
    assert!(
        said.err.contains("weights") && said.err.contains("peak"),
        "{}",
        said.err
    );
    let plan: toml::Table = said.out.parse().expect("a plan is TOML");
    assert!(plan["memory"]["activations"].as_integer() > Some(0));

    let huge = "--set model.hidden_size=65536 --set model.intermediate_size=262144 --set model.num_hidden_layers=200";
    run(&format!("{line} {huge}")).refuses(&["the run would need", "are available", "activations"]);
}
