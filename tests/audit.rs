//! What is trained is seen before it is trained, and a model folder that cannot be talked to is refused first.

use std::fs;
use std::path::{Path, PathBuf};

use data::template::ChatTemplate;
use data::tokenizer::Tokenizer;
use data::{Focus, Message, Patch, Role, Sample, Task};
use serde_json::Value;

use crate::support::*;

const JINJA: &str = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}\
                     {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// A model folder without weights: what is wrong here is told before they are looked for.
fn model(folder: &Folder, vocab_size: usize, jinja: &str) -> PathBuf {
    let model = folder.join("model");
    fs::create_dir_all(&model).expect("a folder");
    fs::write(
        model.join("tokenizer.json"),
        include_str!("../data/template/reference/byte_level.json"),
    )
    .expect("writes");
    fs::write(model.join("chat_template.jinja"), jinja).expect("writes");
    fs::write(
        model.join("tokenizer_config.json"),
        r#"{"eos_token": "<|im_end|>"}"#,
    )
    .expect("writes");
    let config = fs::read("checkpoints/base/config.json").expect("reads");
    let mut config: Value = serde_json::from_slice(&config).expect("JSON");
    config["vocab_size"] = vocab_size.into();
    fs::write(model.join("config.json"), config.to_string()).expect("writes");
    model
}

fn conversation() -> Vec<Message> {
    vec![
        Message::new(Role::User, "é<|im_end|>"),
        Message::new(Role::Assistant, "a = 1\n"),
    ]
}

/// Samples of the tokenizer in `model`, each changed by `change`.
fn samples(folder: &Folder, model: &Path, change: impl Fn(&mut Sample)) -> PathBuf {
    let tokenizer = Tokenizer::from_folder(model).expect("reads");
    data::child::in_this_process();
    let template = ChatTemplate::from_folder(model, &tokenizer).expect("reads");
    let mut sample = template
        .to_sample(&tokenizer, &conversation(), "one\u{7}")
        .expect("a sample");
    change(&mut sample);
    let path = folder.join("samples");
    data::store::write_samples(&path, &[sample], &tokenizer.hash().expect("hashes"))
        .expect("writes");
    path
}

#[test]
fn an_audit_shows_every_token_its_role_and_whether_it_is_trained() {
    let folder = Folder::new("audit");
    let model = model(&folder, 640, JINJA);
    let samples = samples(&folder, &model, |_| ());
    let said = run(&format!(
        "data audit {} --model {}",
        samples.display(),
        model.display()
    ))
    .succeeds();
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines[0], "--- sample 1 of 1: `one\\u{7}`, 31 tokens, 6 trained",
        "{}",
        said.out
    );
    assert!(
        lines.contains(&"     0  user       .     601  <|im_start|>"),
        "{}",
        said.out
    );
    assert!(
        lines
            .iter()
            .any(|line| line.ends_with("  T     602  <|im_end|>")),
        "{}",
        said.out
    );
    assert!(
        lines
            .iter()
            .any(|line| line.ends_with("\"\\n\"") && line.contains("assistant  T")),
        "{}",
        said.out
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains("user       .") && line.ends_with("b\"\\xc3\"")),
        "{}",
        said.out
    );
    assert_eq!(
        said.out.matches("<|im_end|>").count(),
        2,
        "the one in the text is text:\n{}",
        said.out
    );
    for row in [
        "samples             1  1 with a trained end of turn",
        "truncated           0",
        "beyond              0",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(row)),
            "no `{row}` in:\n{}",
            said.out
        );
    }
}

#[test]
fn a_damaged_sample_is_shown_and_refused() {
    let folder = Folder::new("audit-damaged");
    let model = model(&folder, 640, JINJA);
    let path = samples(&folder, &model, |sample| sample.tokens[3] = 70_000);
    let said = run(&format!(
        "data audit {} --model {}",
        path.display(),
        model.display()
    ));
    assert!(said.out.contains("?70000: no such id"), "{}", said.out);
    said.refuses(&[
        "1 ids are beyond the vocabulary",
        "sample 1 (`one\\u{7}`) has the id 70000",
    ]);

    let path = samples(&folder, &model, |sample| sample.mask.fill(true));
    run(&format!(
        "data audit {} --model {}",
        path.display(),
        model.display()
    ))
    .refuses(&["every token of every sample"]);
    let path = samples(&folder, &model, |sample| {
        let end = sample
            .mask
            .iter()
            .rposition(|trained| *trained)
            .expect("is trained");
        sample.mask[end] = false;
    });
    run(&format!(
        "data audit {} --model {}",
        path.display(),
        model.display()
    ))
    .refuses(&["the end-of-turn token is never trained"]);
    let (path, short) = (
        samples(&folder, &model, |_| ()),
        folder.join("model/config.json"),
    );
    let told = fs::read_to_string(&short).expect("reads");
    let mut config: Value = serde_json::from_str(&told).expect("JSON");
    config["max_position_embeddings"] = 30.into();
    fs::write(&short, config.to_string()).expect("writes");
    run(&format!(
        "data audit {} --model {}",
        path.display(),
        model.display()
    ))
    .refuses(&[
        "1 of 1 samples are longer than the model's context of 30",
        "sample 1 (`one\\u{7}`) has 31 tokens",
    ]);
    fs::write(&short, told).expect("writes");
    fs::write(path.join("samples-00000.parquet"), "PAR1").expect("writes");
    run(&format!(
        "data audit {} --model {}",
        path.display(),
        model.display()
    ))
    .refuses(&["samples-00000.parquet"]);
}

#[test]
fn one_good_end_of_turn_does_not_make_up_for_one_that_is_missing() {
    let folder = Folder::new("audit-ends");
    let model = model(&folder, 640, JINJA);
    let tokenizer = Tokenizer::from_folder(&model).expect("reads");
    let template = ChatTemplate::from_folder(&model, &tokenizer).expect("reads");
    let twice = [conversation(), conversation()].concat();
    let whole = template
        .to_sample(&tokenizer, &twice, "whole")
        .expect("a sample");
    let end = tokenizer.special("<|im_end|>").expect("an end");
    // The first of two answers is cut off, and the second is whole.
    let mut cut = template
        .to_sample(&tokenizer, &twice, "cut")
        .expect("a sample");
    let first = cut
        .tokens
        .iter()
        .zip(&cut.mask)
        .position(|(id, trained)| *trained && *id == end)
        .expect("an end");
    cut.mask[first] = false;
    let path = folder.join("samples");
    let hash = tokenizer.hash().expect("hashes");
    data::store::write_samples(&path, std::slice::from_ref(&whole), &hash).expect("writes");
    run(&format!(
        "data audit {} --model {}",
        path.display(),
        model.display()
    ))
    .succeeds();
    data::store::write_samples(&path, &[whole, cut], &hash).expect("writes");
    let said = run(&format!(
        "data audit {} --model {}",
        path.display(),
        model.display()
    ));
    assert!(
        said.out.contains("truncated           1  of 4 answers"),
        "{}",
        said.out
    );
    let place = format!(
        "sample 2 (`cut`) has an answer without an end at token {}",
        first - 1
    );
    said.refuses(&["1 of 4 answers have no trained end of turn", &place]);
}

#[test]
fn what_is_left_out_of_the_samples_is_said_with_its_reason() {
    let folder = Folder::new("dropped");
    fs::create_dir_all(folder.join("tree")).expect("a folder");
    let clean = "def f(a):\n    b = a\n    return b\n";
    folder.write("tree/a.py", clean);
    let task = |id: &str, buggy: &str| {
        let bug = Patch::between("a.py", clean, buggy);
        Task {
            format: data::task::TASK_FORMAT,
            id: id.into(),
            repo: "a".into(),
            tree: "tree".into(),
            base_commit: String::new(),
            image: None,
            gold: bug.reversed(),
            bug,
            kind: "constant".into(),
            statement: "f is wrong".into(),
            focus: Focus {
                path: "a.py".into(),
                first_line: 1,
                last_line: 3,
            },
            fail_to_pass: vec!["test_a.py::test_f".into()],
            pass_to_pass: vec![],
            trusted: vec![],
            python_path: vec![".".into()],
            language: data::task::Language::Python,
        }
    };
    let one = clean.replace("b = a", "b = 1");
    let both = one.replace("return b", "return 2");
    let tasks = [task("one", &one), task("again", &one), task("both", &both)];
    data::source::jsonl::write_tasks(&folder.join("tasks"), &tasks).expect("writes");
    fs::rename(folder.join("tree"), folder.join("tasks/tree")).expect("moves");
    let out = folder.join("samples");
    let line = format!(
        "data samples --tasks {} --tokenizer checkpoints/base",
        folder.join("tasks/tasks.jsonl").display()
    );
    let said = run(&format!("{line} --out {}", out.display())).succeeds();
    for told in [
        "dropped: 1 tasks: the repair cannot be said",
        "it changes more than one line",
        "dropped: 1 samples: the same tokens",
    ] {
        assert!(said.err.contains(told), "no `{told}` in:\n{}", said.err);
    }
    // Where nothing is left, the reason is not in a file alone either.
    let said = run(&format!(
        "{line} --out {} --set data.max_tokens=8",
        out.display()
    ))
    .refuses(&["no sample is left"]);
    assert!(
        said.err
            .contains("dropped: 2 samples: longer than `data.max_tokens`"),
        "{}",
        said.err
    );
}

#[test]
fn a_tokenizer_beyond_the_vocabulary_of_its_model_is_refused_before_the_weights_are_read() {
    let folder = Folder::new("beyond");
    let model = model(&folder, 600, JINJA);
    let out = folder.join("out");
    let line = format!(
        "export --hugging-face --model {} --out {}",
        model.display(),
        out.display()
    );
    run(&line).refuses(&[
        "tokenizer.json",
        "has the id 608",
        "the model knows 600 ids",
    ]);
}

#[test]
fn a_template_that_asks_for_all_memory_or_never_ends_is_refused_before_the_weights_are_read() {
    let folder = Folder::new("hostile");
    let grow = "{% set all = namespace(text='ab') %}{% for i in range(60) %}";
    let hostile = [
        (
            format!("{grow}{{% set all.text = all.text ~ all.text %}}{{% endfor %}}"),
            "memory",
        ),
        (
            format!("{grow}{{% set all.text = all.text|replace('', all.text) %}}{{% endfor %}}"),
            "chat_template.jinja",
        ),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
                .to_string(),
            "never ends",
        ),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_string(),
            "recursion",
        ),
        (
            "{% include '/etc/passwd' %}".to_string(),
            "asks for another file",
        ),
    ];
    for (jinja, told) in hostile {
        let model = model(&folder, 640, &jinja);
        let line = format!(
            "export --hugging-face --model {} --out {}",
            model.display(),
            folder.join("out").display()
        );
        run(&line).refuses(&["chat_template.jinja", told]);
    }
}
