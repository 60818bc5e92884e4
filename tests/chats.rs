//! Conversations of anybody are trained on as they are, and nothing of them is lost silently.

use std::fs;
use std::path::{Path, PathBuf};

use data::Sample;
use data::tokenizer::Tokenizer;
use serde_json::Value;

use crate::support::*;

/// Files in public forms, what they are read as, the samples in them, and what their command needs besides.
const FORMS: [(&str, &str, usize, &str); 21] = [
    ("messages.jsonl", "4 as messages", 3, ""),
    ("tools.jsonl", "3 as messages", 3, TOOLS),
    ("weights.jsonl", "2 as messages", 2, ""),
    ("reasoning.jsonl", "1 as messages", 1, TOOLS),
    ("sharegpt.json", "3 as sharegpt", 3, ""),
    ("sharegpt_tools.jsonl", "1 as sharegpt", 1, TOOLS),
    ("prompt_completion.jsonl", "2 as prompt-completion", 2, ""),
    (
        "prompt_completion_messages.jsonl",
        "1 as prompt-completion",
        1,
        "",
    ),
    ("alpaca.json", "3 as alpaca", 3, ""),
    ("text.jsonl", "2 as text", 2, ""),
    ("preference.jsonl", "3 as preference", 3, ""),
    ("swe_agent.traj", "1 as swe-agent", 1, TOOLS),
    ("mini_swe_agent.traj.json", "1 as mini-swe-agent", 1, ""),
    ("openhands.jsonl", "1 as openhands", 1, TOOLS),
    ("atif.json", "1 as atif", 1, TOOLS),
    ("nvidia.jsonl", "1 as messages", 1, TOOLS),
    ("mark.jsonl", "1 as messages", 1, ""),
    ("conversations_text.jsonl", "1 as messages", 1, ""),
    ("messages.jsonl.gz", "20 as messages", 20, ""),
    ("messages.parquet", "50 as messages", 50, ""),
    ("tools.parquet", "3 as messages", 3, TOOLS),
];
const TOOLS: &str = "--chat-template tests/chats/tools.jinja";
const STEPS: &str = "--set sft.steps=1 --set sft.samples_per_step=2";

fn file(name: &str) -> String {
    format!("tests/chats/{name}")
}

fn sft(data: &str, out: &Path) -> String {
    format!(
        "sft --model checkpoints/base --data {data} {STEPS} --out {}",
        out.display()
    )
}

/// What is trained in each sample of a set, as text.
fn trained(samples: &Path) -> Vec<String> {
    let tokenizer = Tokenizer::from_folder(Path::new("checkpoints/base")).expect("reads");
    let of = |sample: &Sample| {
        let ids: Vec<u32> = sample
            .tokens
            .iter()
            .zip(&sample.mask)
            .filter(|(_, on)| **on)
            .map(|(id, _)| *id)
            .collect();
        tokenizer.decode(&ids)
    };
    data::store::read_samples(samples)
        .expect("reads")
        .iter()
        .map(of)
        .collect()
}

fn made(folder: &Folder, name: &str, more: &str) -> PathBuf {
    let out = folder.join(name);
    run(&format!(
        "data samples --from {} --tokenizer checkpoints/base {more} --out {}",
        file(name),
        out.display()
    ))
    .succeeds();
    out
}

#[test]
fn every_public_form_is_audited() {
    for (name, read, samples, more) in FORMS {
        let said = run(&format!(
            "data audit {} --model checkpoints/base {more}",
            file(name)
        ))
        .succeeds();
        assert!(
            said.err.contains(&format!("rows, {read}")),
            "{name}: {}",
            said.err
        );
        let counted = said
            .out
            .lines()
            .find(|line| line.starts_with("samples "))
            .expect("a table");
        assert_eq!(
            counted.split_whitespace().nth(1),
            Some(samples.to_string().as_str()),
            "{name}: {counted}"
        );
        assert!(
            said.out.contains("longest\n") && said.out.contains("lengths in tokens"),
            "{name}: {}",
            said.out
        );
    }
}

#[test]
fn every_public_form_is_trained_on() {
    let folder = Folder::new("chats");
    let all: Vec<String> = FORMS.iter().map(|(name, ..)| file(name)).collect();
    // Each alone is audited; all at once are one run.
    let said = run(&format!(
        "{} {TOOLS}",
        sft(&all.join(" "), &folder.join("run"))
    ))
    .succeeds();
    for (name, ..) in FORMS.iter().take(10) {
        assert!(
            said.err.contains(&format!("`tests/chats/{name}`")),
            "{name}: {}",
            said.err
        );
    }
    let summary = fs::read_to_string(folder.join("run/summary.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    let counted: Value =
        serde_json::from_slice(&fs::read(folder.join("run/data/summary.json")).expect("a summary"))
            .expect("JSON");
    assert_eq!(summary["samples"], counted["counts"]["samples"]);
    // The rows of the gzip'd file are among those of the table.
    let expected: usize = FORMS.iter().map(|(.., samples, _)| samples).sum::<usize>() - 20;
    assert_eq!(
        summary["samples"].as_u64(),
        Some(expected as u64),
        "{counted}"
    );
    assert_eq!(
        counted["counts"]["duplicates"].as_u64(),
        Some(21),
        "{counted}"
    );
}

#[test]
fn only_answers_are_trained_and_their_ends_are() {
    let folder = Folder::new("chats-trained");
    let plain = trained(&made(&folder, "messages.jsonl", ""));
    let told = [
        "Paris<|im_end|>",
        "3<|im_end|>7<|im_end|>",
        "I write <|im_end|> as text, 日本語 and é too.<|im_end|>",
    ];
    assert_eq!(plain, told);
    assert_eq!(
        trained(&made(&folder, "weights.jsonl", "")),
        ["right<|im_end|>", "trained<|im_end|>"]
    );
    let last = trained(&made(
        &folder,
        "sharegpt.json",
        "--set data.chats.train_on=last",
    ));
    assert_eq!(
        last,
        [
            "See you.<|im_end|>",
            "Blue.<|im_end|>",
            "They are read, too.<|im_end|>"
        ]
    );
    let all = trained(&made(
        &folder,
        "mark.jsonl",
        "--set data.chats.train_on=all",
    ));
    assert!(
        all[0].starts_with("user\nA mark before?<|im_end|>") && all[0].ends_with("<|im_end|>\n"),
        "{all:?}"
    );
    let pairs = trained(&made(&folder, "prompt_completion_messages.jsonl", ""));
    assert_eq!(pairs, ["This is trained.<|im_end|>"]);
    let chosen = trained(&made(&folder, "preference.jsonl", ""));
    assert_eq!(
        chosen,
        [
            "Yes, it is.<|im_end|>",
            "The first.<|im_end|>",
            "Hello, how can I help?<|im_end|>"
        ]
    );
    // A text goes on to the end of the text.
    let texts = trained(&made(&folder, "prompt_completion.jsonl", ""));
    assert_eq!(texts, [" blue.<|im_end|>", "    return a + b\n<|im_end|>"]);
    let asked = trained(&made(&folder, "alpaca.json", ""));
    assert_eq!(
        asked,
        [
            "3<|im_end|>",
            "An apple.<|im_end|>",
            "An apple.<|im_end|>A pear.<|im_end|>"
        ]
    );
}

#[test]
fn calls_are_trained_as_the_template_writes_them() {
    let folder = Folder::new("chats-calls");
    let call = |name: &str, arguments: &str| {
        format!(
            "<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call><|im_end|>"
        )
    };
    let tools = trained(&made(&folder, "tools.jsonl", TOOLS));
    let listed = call("list_files", r#"{"path": ".", "all": true}"#);
    assert_eq!(tools[0], format!("\n{listed}Two: a.py and b.py.<|im_end|>"));
    assert!(
        tools[1].starts_with("I look.\n<tool_call>")
            && tools[1].ends_with("It sets x to 1.<|im_end|>"),
        "{tools:?}"
    );
    // A table gives every call the arguments of all; what is null was never said.
    let table = trained(&made(&folder, "tools.parquet", TOOLS));
    assert!(
        table[1].contains(r#""arguments": {"path": "."}"#),
        "{table:?}"
    );
    for (name, from, to) in [
        ("swe_agent.traj", "I look.\n<tool_call>", "Done.<|im_end|>"),
        (
            "openhands.jsonl",
            "I look.\n<tool_call>",
            "It is repaired.<|im_end|>",
        ),
        (
            "atif.json",
            "<think>\nI should look first.",
            "x should be 1.<|im_end|>",
        ),
        ("nvidia.jsonl", "\n<tool_call>", "Fixed.<|im_end|>"),
        (
            "sharegpt_tools.jsonl",
            "\n<tool_call>",
            "It is clear in Rome.<|im_end|>",
        ),
    ] {
        let text = &trained(&made(&folder, name, TOOLS))[0];
        assert!(
            text.starts_with(from) && text.ends_with(to),
            "{name}: {text}"
        );
    }
    // A template that knows no calls is not asked to leave them out.
    let line = format!(
        "data audit {} --model checkpoints/base",
        file("tools.jsonl")
    );
    run(&line).refuses(&["3 of 3 rows make no sample", "does not ask for"]);
}

#[test]
fn a_row_that_makes_no_sample_is_named_with_its_reason_and_nothing_is_trained() {
    let folder = Folder::new("chats-broken");
    let out = folder.join("run");
    run(&sft(&file("broken.jsonl"), &out)).refuses(&[
        "20 of 21 rows make no sample",
        "row 2: ",
        "bad_rows=drop",
    ]);
    let refused = fs::read_to_string(out.join("data/refused.jsonl")).expect("a list");
    let refused: Vec<Value> = refused
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let reasons = [
        (2, "byte"),
        (3, "control character"),
        (4, "half of a surrogate pair"),
        (5, "role `robot`"),
        (6, "message 2 of the assistant is empty"),
        (7, "no message is from the assistant"),
        (8, "message 2 of the assistant is empty"),
        (9, "`image_url`"),
        (10, "answers the call `b`"),
        (11, "arguments that are no JSON"),
        (12, "the weight 0.5"),
        (13, "it has no message"),
        (14, "an object, not a list"),
        (15, "fit no known form: `question`"),
        (16, "no object with named columns"),
        (17, "message 1 has no `role`"),
        (18, "stands twice"),
        (19, "a content that is a number"),
        (20, "fit several forms"),
        (21, "marked as not to be trained"),
    ];
    assert_eq!(refused.len(), reasons.len());
    for (told, (row, why)) in refused.iter().zip(reasons) {
        let reason = told["reason"].as_str().expect("a reason");
        assert_eq!(told["row"].as_u64(), Some(row), "{told}");
        assert!(
            reason.to_lowercase().contains(&why.to_lowercase()),
            "row {row}: {reason}"
        );
    }
    let said = run(&format!(
        "{} --set data.chats.bad_rows=drop",
        sft(&file("broken.jsonl"), &out)
    ))
    .succeeds();
    assert!(
        said.err.contains("20 of 21 rows make no sample") && said.err.contains("they are left out"),
        "{}",
        said.err
    );
}

#[test]
fn a_file_that_holds_no_rows_of_this_kind_is_refused() {
    let folder = Folder::new("chats-files");
    let out = folder.join("run");
    run(&sft(&file("zero_rows.parquet"), &out)).refuses(&["hold no row", "zero_rows.parquet"]);
    run(&sft(&file("wrong_types.parquet"), &out))
        .refuses(&["2 of 2 rows", "`messages` is a number, not a list"]);
    run(&sft("tests/chats/no-*.jsonl", &out)).refuses(&["tests/chats/no-*.jsonl", "names no file"]);
    run(&sft("examples/packages", &out)).refuses(&["examples/packages"]);
    run(&format!(
        "{} --format alpaca",
        sft(&file("messages.jsonl"), &out)
    ))
    .refuses(&["it has no `instruction`"]);
    run(&format!(
        "{} --set data.chats.columns.message=x",
        sft(&file("messages.jsonl"), &out)
    ))
    .refuses(&["data.chats", "`message` is no column"]);
}

#[test]
fn what_is_too_long_is_refused_left_out_cut_or_split_and_counted() {
    let folder = Folder::new("chats-long");
    let long = "word ".repeat(400_000);
    let row = |asked: &str, said: &str| serde_json::json!({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]});
    let rows = format!(
        "{}\n{}\n{}\n",
        row("short", "short"),
        row(&long, "behind"),
        row("before", &long)
    );
    let data = folder.write("long.jsonl", &rows);
    let line = |rule: &str, out: &str| {
        format!(
            "data samples --from {} --tokenizer checkpoints/base --set data.chats.max_tokens=64 {rule} --out {}",
            data.display(),
            folder.join(out).display()
        )
    };
    let said = run(&line("", "drop")).succeeds();
    assert!(
        said.err.contains("2 samples are left out: they are longer"),
        "{}",
        said.err
    );
    run(&line("--set data.chats.too_long=refuse", "refuse")).refuses(&[
        "2 of 3 rows",
        "row 2",
        "at most 64",
    ]);
    let kept = |rule: &str| {
        run(&line(&format!("--set data.chats.too_long={rule}"), rule)).succeeds();
        let samples = data::store::read_samples(&folder.join(rule)).expect("reads");
        assert!(samples.iter().all(|sample| sample.tokens.len() <= 64));
        (samples.len(), trained(&folder.join(rule)))
    };
    let (count, left) = kept("truncate_left");
    assert!(
        count == 3 && left[1] == "behind<|im_end|>" && left[2].ends_with("<|im_end|>"),
        "{left:?}"
    );
    let (count, right) = kept("truncate_right");
    assert!(
        count == 2 && right[1].starts_with("word") && !right[1].contains("<|im_end|>"),
        "{right:?}"
    );
    let (count, split) = kept("split");
    assert!(count > 1000, "{count}");
    assert_eq!(
        split
            .iter()
            .filter(|text| text.contains("<|im_end|>"))
            .count(),
        3
    );
    // What was cut on purpose is no fault of the set.
    run(&format!(
        "data audit {} --model checkpoints/base",
        folder.join("split").display()
    ))
    .succeeds();
}

#[test]
fn names_of_columns_and_roles_can_be_mapped() {
    let folder = Folder::new("chats-renamed");
    let names = "--set data.chats.columns.messages=dialogue --set data.chats.columns.role=speaker \
                 --set data.chats.columns.content=utterance --set data.chats.roles.customer=user";
    let line = format!(
        "data audit {} --model checkpoints/base {names}",
        file("renamed.jsonl")
    );
    run(&line).refuses(&["the role `robot`", "data.chats.roles.robot"]);
    let samples = made(
        &folder,
        "renamed.jsonl",
        &format!("{names} --set data.chats.roles.robot=assistant"),
    );
    assert_eq!(trained(&samples), ["On its way.<|im_end|>"]);
}

#[test]
fn a_model_without_a_chat_template_is_given_one_by_name_and_never_silently() {
    let folder = Folder::new("chats-template");
    let model = folder.join("model");
    fs::create_dir_all(&model).expect("a folder");
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(Path::new("checkpoints/base").join(name), model.join(name)).expect("copies");
    }
    let line = |data: &str, out: &str| {
        let out = folder.join(out);
        format!(
            "sft --model {} --data {} {STEPS} --out {}",
            model.display(),
            file(data),
            out.display()
        )
    };
    run(&line("messages.jsonl", "run")).refuses(&["no chat template", "--chat-template chatml"]);
    run(&format!(
        "{} --chat-template chatMl",
        line("messages.jsonl", "run")
    ))
    .refuses(&["chatMl", "no such file"]);
    run(&format!(
        "{} --chat-template chatml",
        line("messages.jsonl", "run")
    ))
    .succeeds();
    let config =
        fs::read_to_string(checkpoint(&folder.join("run"), 1).join("tokenizer_config.json"))
            .expect("a config");
    assert!(config.contains("<|im_start|>"), "{config}");
    // What is no conversation needs no template.
    run(&line("text.jsonl", "text")).succeeds();
}

#[test]
fn validation_is_held_out_by_conversation_and_asked() {
    let folder = Folder::new("chats-validation");
    let out = folder.join("run");
    let more = "--set data.chats.validation=0.3 --set sft.validate_every=1";
    run(&format!("{} {more}", sft(&file("messages.parquet"), &out))).succeeds();
    let origins = |path: &Path| -> Vec<String> {
        data::store::read_samples(path)
            .expect("reads")
            .into_iter()
            .map(|sample| sample.origin)
            .collect()
    };
    let (learned, asked) = (
        origins(&out.join("data")),
        origins(&out.join("data/validation")),
    );
    assert_eq!(learned.len() + asked.len(), 50);
    assert!((5..30).contains(&asked.len()), "{}", asked.len());
    assert!(rows(&out).iter().any(|row| row.get("eval/loss").is_some()));
    // The same conversations are held out wherever they stand.
    let again = folder.join("again");
    run(&format!(
        "{} {more}",
        sft(&file("messages.jsonl.gz"), &again)
    ))
    .succeeds();
    let number = |origin: &String| origin.rsplit(' ').next().map(str::to_owned);
    let first: Vec<_> = asked.iter().map(number).collect();
    for origin in origins(&again.join("data/validation")) {
        assert!(
            first.contains(&number(&origin)),
            "{origin} was trained on in the other run"
        );
    }
}

#[test]
fn a_run_on_conversations_goes_on_and_tokenizes_once() {
    let folder = Folder::new("chats-resume");
    let (whole, halves) = (folder.join("whole"), folder.join("halves"));
    let line = |out: &Path, steps: u64| {
        let data = file("messages.parquet");
        format!(
            "sft --model checkpoints/base --data {data} --set sft.samples_per_step=2 --set sft.steps={steps} --set \
             sft.save_every=1 --out {}",
            out.display()
        )
    };
    run(&line(&whole, 2)).succeeds();
    let log = folder.join("log");
    start(&line(&halves, 2), &log).wait_for_lines(&halves.join("metrics.jsonl"), 1);
    let said = run(&format!("{} --resume", line(&halves, 2))).succeeds();
    assert!(
        said.err
            .contains("holds the samples of these files already"),
        "{}",
        said.err
    );
    let weights =
        |out: &Path| fs::read(checkpoint(out, 2).join("model.safetensors")).expect("weights");
    assert_eq!(weights(&whole), weights(&halves));
}

#[test]
fn golden_rows_come_back_byte_for_byte() {
    let folder = Folder::new("chats-export");
    let golden = "{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"é 日本 \\\"q\\\" \\n\"},\
                  {\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":\
                  {\"name\":\"ls\",\"arguments\":\"{\\\"z\\\": 1, \\\"a\\\": null}\"}}]},{\"role\":\"tool\",\"content\":\"a\",\
                  \"tool_call_id\":\"c1\"},{\"role\":\"assistant\",\"content\":\"ok\",\"reasoning_content\":\"hm\",\"train\":true}],\
                  \"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"ls\",\"parameters\":{\"z\":1,\"a\":2}}}]}\n";
    let from = folder.write("golden.jsonl", golden);
    let export = |from: &Path, to: &str, out: &str| -> PathBuf {
        let out = folder.join(out);
        run(&format!(
            "data export --from {} --to {to} --out {}",
            from.display(),
            out.display()
        ))
        .succeeds();
        out
    };
    for form in ["sharegpt", "parquet"] {
        let there = export(&from, form, &format!("there.{form}"));
        let back = export(&there, "messages", &format!("back-{form}.jsonl"));
        assert_eq!(fs::read_to_string(back).expect("reads"), golden, "{form}");
    }
    let text = file("text.jsonl");
    run(&format!(
        "data export --from {text} --to parquet --out {}",
        folder.join("none").display()
    ))
    .refuses(&["2 of 2 rows have no place", "row 1: it is a text"]);
    assert!(!folder.join("none").exists());
}

#[test]
fn the_page_of_an_audit_shows_roles_lengths_and_what_stands_out() {
    let folder = Folder::new("chats-page");
    let page = folder.join("audit.html");
    let line = format!(
        "data audit {} --model checkpoints/base --html {}",
        file("messages.jsonl"),
        page.display()
    );
    run(&line).succeeds();
    let page = fs::read_to_string(page).expect("a page");
    for part in [
        "Ten longest",
        "Ten strangest",
        "Lengths",
        "r-assistant learned",
        "r-user",
        "%",
        "≤ 64",
    ] {
        assert!(page.contains(part), "no `{part}` in the page");
    }
    assert!(
        !page.contains("<script") && !page.contains("http"),
        "the page needs nothing from elsewhere"
    );
}
