//! What the program says about a run and about the machine is true.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::*;

/// The base model's folder with seven blocks instead of four: 2048 · 192 + 7 · 393,600 + 192 weights.
const DEEPER: i64 = 3_148_608;

fn deeper(folder: &Folder) -> PathBuf {
    let base = Path::new("checkpoints/base");
    fs::create_dir_all(folder.join("deeper")).expect("a folder");
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        folder.write(
            &format!("deeper/{name}"),
            &fs::read_to_string(base.join(name)).expect("the base model"),
        );
    }
    let text = fs::read_to_string(base.join("config.json")).expect("the base model");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config["num_hidden_layers"] = 7.into();
    folder.write("deeper/config.json", &config.to_string());
    folder.join("deeper")
}

#[test]
fn every_plan_counts_the_model_that_will_be_loaded() {
    let folder = Folder::new("told-plan");
    let model = deeper(&folder).display().to_string();
    let out = folder.join("out").display().to_string();
    for line in [
        format!("sft --model {model} --samples none --out {out}"),
        format!("sft --set base={model} --samples none --out {out}"),
        format!("grpo --model {model} --tasks none --out {out}"),
        format!("eval --model {model} --tasks none --out {out}"),
        format!("export --model {model} --tasks none --out {out}"),
        format!("quickstart --set base={model} --set run={out}"),
    ] {
        let said = run(&format!("{line} --dry-run")).succeeds();
        let plan: toml::Table = said
            .out
            .parse()
            .unwrap_or_else(|error| panic!("{line}: {error}\n{}", said.out));
        assert_eq!(plan["parameters"].as_integer(), Some(DEEPER), "{line}");
        assert_eq!(
            plan["config"]["model"]["num_hidden_layers"].as_integer(),
            Some(7),
            "{line}"
        );
        assert_eq!(plan["model"].as_str(), Some(model.as_str()), "{line}");
        let provenance = plan["provenance"].as_table().expect("a table");
        let command = provenance["command"].as_str().unwrap_or_default();
        assert!(
            command.contains(line.split(' ').next().expect("a word")) && command.contains(&model),
            "{command}"
        );
        let inputs = provenance["inputs"].as_table().expect("a table");
        assert_eq!(
            inputs[&format!("{model}/config.json")]
                .as_str()
                .map(str::len),
            Some(64),
            "{line}"
        );
    }
    let plan = run(&format!(
        "grade --tasks none --predictions gold --out {out} --dry-run"
    ))
    .succeeds()
    .out;
    assert!(
        !plan.contains("parameters ="),
        "a stage without a model counts one:\n{plan}"
    );
    assert!(!folder.join("out").exists(), "a plan alone left something");
}

#[test]
fn a_doctor_says_for_each_shortfall_what_it_costs_and_ends_as_its_verdict_says() {
    let said = run("doctor --json");
    let found: Value =
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}\n{}", said.out));
    let ready = found["ready"].as_bool().expect("a verdict");
    assert_eq!(said.code, Some(i32::from(!ready)), "{}", said.err);
    let checks = found["checks"].as_array().expect("checks");
    let names: Vec<&str> = checks
        .iter()
        .filter_map(|check| check["name"].as_str())
        .collect();
    for name in [
        "Linux",
        "cores",
        "memory",
        "address space",
        "disk",
        "cache",
        "GPU",
        "namespaces",
        "overlayfs",
        "Landlock",
        "seccomp",
        "cgroup limits",
        "Python",
        "jest",
        "container engine",
        "image tools",
        "git",
    ] {
        assert!(
            names.contains(&name),
            "`{name}` is not looked at: {names:?}"
        );
    }
    for check in checks {
        let short = check["status"] != "ok";
        assert_eq!(check["costs"].is_string(), short, "{check}");
        assert!(!short || check["needed"].is_boolean(), "{check}");
    }
    let lines = run("doctor").out;
    assert_eq!(
        names.iter().filter(|name| !lines.contains(**name)).count(),
        0,
        "{lines}"
    );
}
