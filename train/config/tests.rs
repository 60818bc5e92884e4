use super::*;

fn refused(text: &str, overrides: &[&str]) -> String {
    let overrides: Vec<String> = overrides.iter().map(|entry| (*entry).to_owned()).collect();
    format!(
        "{:#}",
        Config::parse(text, &overrides).expect_err("refused")
    )
}

#[test]
fn a_misspelled_key_is_named_with_its_line() {
    let said = refused("seed = 7\n\n[sft]\nstepz = 3\n", &[]);
    assert!(said.contains("line 4") && said.contains("stepz"), "{said}");
}

#[test]
fn a_misspelled_variant_is_named_with_its_line() {
    let said = refused("[grpo.loss.cliped]\nlow = 0.2\n", &[]);
    assert!(said.contains("line 1") && said.contains("cliped"), "{said}");
}

#[test]
fn set_replaces_one_value_and_refuses_an_unknown_key() {
    let config =
        Config::parse("", &["sft.optimizer.lr=2e-3".into(), "run=here".into()]).expect("valid");
    assert_eq!(
        (config.sft.optimizer.lr, config.run),
        (2e-3, PathBuf::from("here"))
    );
    assert!(refused("", &["sft.optimiser.lr=1"]).contains("optimiser"));
}

#[test]
fn a_value_out_of_range_is_named() {
    assert!(refused("[grpo]\ngroup_size = 1\n", &[]).contains("grpo.group_size"));
    assert!(refused("[watch.cpu]\nabove = 1.5\n", &[]).contains("watch.cpu.above"));
    assert!(refused("[sft.optimizer]\nlr = -1.0\n", &[]).contains("sft.optimizer.lr"));
}
