//! What is wrong is told with a hint, and nothing already written is lost.

use std::fs::{self, OpenOptions};
use std::path::Path;

use train::config::Config;

use crate::support::*;

#[test]
fn an_unknown_command_or_option_is_a_mistake_in_the_call() {
    let folder = Folder::new("usage");
    for line in ["sfft", "sft --sample here", "quickstart --seed many", ""] {
        let said = run(line);
        assert_eq!(said.code, Some(2), "`train {line}` says:\n{}", said.err);
        assert!(
            said.err.contains("--help"),
            "`train {line}` says:\n{}",
            said.err
        );
        if !line.is_empty() {
            let name = format!("usage_{}", line.replace(' ', "_").replace("--", ""));
            said.pins(&name, &folder);
        }
    }
}

#[test]
fn a_misspelled_key_is_named_with_its_line() {
    let folder = Folder::new("key");
    let config = folder.write("run.toml", "seed = 7\n\n[sft]\nstepz = 3\n");
    let out = folder.join("out");
    let line = format!(
        "sft --config {} --samples none --out {}",
        config.display(),
        out.display()
    );
    run(&line)
        .refuses(&["line 4", "stepz", "run.toml"])
        .pins("misspelled_key", &folder);
    run(&format!(
        "sft --set sft.stepz=3 --samples none --out {}",
        out.display()
    ))
    .refuses(&["stepz"])
    .pins("misspelled_set", &folder);
    assert!(!out.exists(), "a refused run wrote something");
}

#[test]
fn no_section_takes_an_unknown_key() {
    let sections = [
        "data",
        "model",
        "sandbox",
        "sft",
        "sft.optimizer",
        "sft.lora",
        "grpo",
        "grpo.sampling",
        "grpo.optimizer",
        "grpo.loss.clipped",
        "grpo.advantage.group_normalized",
        "eval",
        "eval.sampling",
        "export",
    ];
    for section in sections {
        let refused = Config::parse(&format!("[{section}]\nnever_heard_of = 1\n"), &[]);
        let said = refused
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        assert!(
            said.contains("line 2") && said.contains("never_heard_of"),
            "`[{section}]` says: {said}"
        );
    }
}

#[test]
fn a_value_out_of_its_range_is_named() {
    let folder = Folder::new("range");
    let out = folder.join("out");
    for (key, value) in [
        ("grpo.group_size", "1"),
        ("sft.optimizer.lr", "-1.0"),
        ("data.sft_share", "1.5"),
        ("eval.attempts", "0"),
        ("sft.samples_per_step", "0"),
    ] {
        run(&format!(
            "sft --set {key}={value} --samples none --out {}",
            out.display()
        ))
        .refuses(&[key])
        .pins(&format!("range_{}", key.replace('.', "_")), &folder);
    }
    assert!(!out.exists(), "a refused run wrote something");
}

#[test]
fn a_missing_python_is_told_with_what_to_install() {
    let folder = Folder::new("python");
    fs::create_dir_all(folder.join("empty")).expect("a folder");
    let (empty, fresh, out) = (
        folder.join("empty"),
        folder.join("cache"),
        folder.join("out"),
    );
    let line = format!(
        "data plant --package examples/packages/planegeo --out {}",
        out.display()
    );

    // A Python that was named, but is not there.
    let mut named = train();
    let named = named
        .env("TRAIN_PYTHON", "/nowhere/python")
        .args(line.split_whitespace())
        .output();
    Said::from_output(named.expect("starts"))
        .refuses(&["/nowhere/python"])
        .pins("named_python", &folder);

    // None at all.
    let system = Path::new("/usr/bin/python3");
    let program = env!("CARGO_BIN_EXE_train");
    let mut command = if system.exists() {
        let Some(mut command) =
            own_mounts("a machine without Python, because this one has `/usr/bin/python3`")
        else {
            return;
        };
        // A device is no program; a link is followed.
        command.arg(format!(
            "mount --bind /dev/null /usr/bin/python3 && PATH={} exec {program} {line}",
            empty.display()
        ));
        command
    } else {
        let mut command = train();
        command.env("PATH", &empty).args(line.split_whitespace());
        command
    };
    let output = command
        .env("XDG_CACHE_HOME", &fresh)
        .env_remove("TRAIN_PYTHON")
        .output();
    Said::from_output(output.expect("starts")).refuses(&["Python 3.9", "apt-get install python3"]);
    assert!(!out.join("tasks.jsonl").exists());
}

/// Cuts the last bytes of a file off.
fn cut(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).expect("opens");
    let length = file.metadata().expect("a length").len();
    file.set_len(length - 100).expect("cuts");
}

#[test]
fn a_truncated_checkpoint_is_refused_by_name_and_the_one_before_is_resumed() {
    let _alone = alone();
    let folder = Folder::new("truncated");
    let small = Small::make(&folder);
    let out = folder.join("run");
    let line = format!("{} --set sft.steps=10", small.sft(&out));
    run(&line).succeeds();
    let last = checkpoint(&out, 10).join("model.safetensors");
    let (weights, measured) = (fs::read(&last).expect("weights"), rows(&out));
    cut(&last);

    // Named as the model to start from, with its manifest and, as a model from elsewhere, without.
    let elsewhere = folder.join("elsewhere");
    fs::create_dir_all(&elsewhere).expect("a folder");
    for name in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    ] {
        fs::copy(checkpoint(&out, 10).join(name), elsewhere.join(name)).expect("copies");
    }
    for model in [checkpoint(&out, 10), elsewhere] {
        let (samples, other) = (small.samples.display(), folder.join("other"));
        let line = format!(
            "sft --model {} --samples {samples} --out {}",
            model.display(),
            other.display()
        );
        let file = model.join("model.safetensors").display().to_string();
        run(&line).refuses(&["truncated", &file]);
        assert!(train::checkpoint::list(&other).is_empty());
    }

    // Resumed from step 5, and with the same end.
    let said = run(&format!("{line} --resume")).succeeds();
    assert!(
        said.err.contains("warning: ") && said.err.contains("truncated"),
        "{}",
        said.err
    );
    assert!(fs::read(&last).expect("weights") == weights, "another end");
    let plain = |row: &train::metrics::Row| row.deterministic();
    assert!(
        rows(&out).iter().map(plain).eq(measured.iter().map(plain)),
        "other measurements"
    );
}

#[test]
fn a_run_folder_that_holds_only_a_truncated_checkpoint_is_no_model() {
    let folder = Folder::new("only");
    let small = Small::make(&folder);
    let out = folder.join("run");
    run(&format!("{} --set sft.steps=1", small.sft(&out))).succeeds();
    cut(&checkpoint(&out, 1).join("model.safetensors"));
    let (samples, other) = (small.samples.display(), folder.join("other"));
    let line = format!(
        "sft --model {} --samples {samples} --out {}",
        out.display(),
        other.display()
    );
    run(&line).refuses(&["holds no model", "model.safetensors"]);
}

#[test]
fn a_second_trainer_in_a_folder_is_refused_and_disturbs_nothing() {
    let _alone = alone();
    let folder = Folder::new("second");
    let small = Small::make(&folder);
    let out = folder.join("run");
    let line = format!("{} --set sft.steps=100000", small.sft(&out));
    let mut first = start(&line, &folder.join("first.log"));
    first.wait_for_lines(&out.join("metrics.jsonl"), 1);
    let plan = fs::read_to_string(out.join("plan.toml")).expect("a plan");

    for more in ["", " --resume"] {
        run(&format!("{line} --seed 4{more}"))
            .refuses(&["another process", &out.display().to_string()]);
    }
    assert!(first.is_alive(), "the first run did not survive the second");
    assert_eq!(
        fs::read_to_string(out.join("plan.toml")).expect("a plan"),
        plan,
        "the plan of the first run was replaced"
    );
    let lines = rows(&out).len();
    first.wait_for_lines(&out.join("metrics.jsonl"), lines + 1);
    first.kill();
}

/// Size of the files in a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| {
            entry
                .and_then(|entry| entry.metadata())
                .expect("a file")
                .len()
        })
        .sum()
}

#[test]
fn a_full_disk_costs_no_checkpoint_and_the_run_goes_on_when_there_is_space() {
    let Some(mut command) = own_mounts("a run on a disk that is too small") else {
        return;
    };
    let _alone = alone();
    let folder = Folder::new("disk");
    let small = Small::make(&folder);
    let options = "--set sft.steps=4 --set sft.save_every=1 --set sft.keep=9";
    let whole = folder.join("whole");
    run(&format!("{} {options}", small.sft(&whole))).succeeds();

    // A save asks for twice its size, so the third of them does not fit.
    let bytes = size(&checkpoint(&whole, 1)) * 7 / 2;
    let out = folder.join("run");
    fs::create_dir_all(&out).expect("a folder");
    let line = format!(
        "{} {} {options}",
        env!("CARGO_BIN_EXE_train"),
        small.sft(&out)
    );
    let (at, kept) = (out.display(), folder.join("kept"));
    let [err, list] = ["first.err", "first.list"].map(|name| folder.join(name));
    command.arg(format!(
        "mount -t tmpfs -o size={bytes} tmpfs {at} || exit 99
         {line} 2> {}; code=$?
         ls -A {at} > {}
         mount -o remount,size=256m {at} || exit 99
         {line} --resume || exit 98
         cp -r {at}/step-000004 {} || exit 97
         exit $code",
        err.display(),
        list.display(),
        kept.display()
    ));
    let mut said = Said::from_output(command.output().expect("starts"));
    said.err = fs::read_to_string(err).unwrap_or_default() + &said.err;
    said.refuses(&["no disk space"]);
    let list = fs::read_to_string(list).expect("a list");
    let steps: Vec<&str> = list.lines().filter(|name| name.contains("step-")).collect();
    assert_eq!(steps, ["step-000001", "step-000002"], "{list}");
    let read = |folder: &Path| fs::read(folder.join("model.safetensors")).expect("weights");
    assert!(
        read(&kept) == read(&checkpoint(&whole, 4)),
        "another end than on a large disk"
    );
}

#[test]
fn a_disk_without_a_free_page_is_told_as_such() {
    let Some(mut command) = own_mounts("a run on a disk that is full") else {
        return;
    };
    let folder = Folder::new("page");
    let small = Small::make(&folder);
    let out = folder.join("run");
    fs::create_dir_all(&out).expect("a folder");
    let line = format!("{} {}", env!("CARGO_BIN_EXE_train"), small.sft(&out));
    command.arg(format!(
        "mount -t tmpfs -o size=4k tmpfs {} && exec {line}",
        out.display()
    ));
    Said::from_output(command.output().expect("starts")).refuses(&["space"]);
}

#[test]
fn an_evaluation_to_compare_with_is_read_before_the_work() {
    let folder = Folder::new("against");
    let (none, out) = (folder.join("none.json"), folder.join("eval.json"));
    let tasks = folder.write("tasks.jsonl", "");
    let call = format!(
        "eval --model checkpoints/base --tasks {} --out {} --against",
        tasks.display(),
        out.display()
    );
    run(&format!("{call} {}", none.display()))
        .refuses(&["none.json"])
        .pins("no_evaluation", &folder);
    let other = folder.write("other.json", "{}\n");
    run(&format!("{call} {}", other.display()))
        .refuses(&["other.json", "is no evaluation"])
        .pins("strange_evaluation", &folder);
}

#[test]
fn two_packages_of_one_name_are_refused() {
    if !python("two packages of one name are refused") {
        return;
    }
    let folder = Folder::new("twice");
    let out = folder.join("out");
    let package = "--package examples/packages/planegeo";
    run(&format!(
        "data plant {package} {package} --out {}",
        out.display()
    ))
    .refuses(&["two packages", "planegeo"])
    .pins("two_packages", &folder);
    assert!(!out.join("tasks.jsonl").exists());
}

#[test]
fn an_image_that_is_not_there_is_told_without_an_engine() {
    let folder = Folder::new("images");
    run("image list /no/such/images")
        .refuses(&["/no/such/images"])
        .pins("no_images", &folder);
    run("image lint /no/such/path")
        .refuses(&["/no/such/path", "no such file or folder"])
        .pins("no_image", &folder);
    let empty = folder.write("empty.tar", "");
    let said = run(&format!("image lint {}", empty.display()));
    assert!(
        said.code == Some(1) && said.err.contains("it is no archive"),
        "{}",
        said.err
    );
    said.pins("no_archive", &folder);
}
