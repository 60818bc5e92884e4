//! The whole pipeline, small: a list of calls to `data`, `sft`, `eval`, `grpo`, `eval`, `export`.
//!
//! Every stage is the command of the same name, and prints how to run it alone. A stage whose result is there is
//! passed over with `--resume`; `sft` and `grpo` go on from their newest checkpoint.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rollout::report::Claim;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cli::{EvalArgs, ExportArgs, GrpoArgs, PlantArgs, QuickstartArgs, RunArgs, SamplesArgs, SftArgs, WatchArgs};
use crate::commands::{self, ExportReport, cache_folder};
use crate::config::Config;
use crate::evaluate::EvalSummary;
use crate::metrics;
use crate::plan::Plan;
use crate::report::{Curve, Series, render};
use crate::tasks::Workshop;

/// The config of a quickstart without `--config`.
const CONFIG: &str = include_str!("../configs/quickstart.toml");

/// Where every stage writes, below the folder of the run.
struct Places {
    run: PathBuf,
    train: PathBuf,
    held_out: PathBuf,
    samples: PathBuf,
    sft: PathBuf,
    grpo: PathBuf,
}

impl Places {
    fn of(run: &Path) -> Self {
        Places {
            run: run.to_path_buf(),
            train: run.join("tasks/train"),
            held_out: run.join("tasks/held_out"),
            samples: run.join("samples"),
            sft: run.join("sft"),
            grpo: run.join("grpo"),
        }
    }

    fn eval(&self, name: &str) -> PathBuf {
        self.run.join(format!("eval/{name}.json"))
    }

    fn held_out_tasks(&self) -> PathBuf {
        self.held_out.join("tasks.jsonl")
    }
}

/// One run.
struct Quickstart {
    config: Config,
    places: Places,
    /// The config of this run as a file, which the printed commands name.
    file: PathBuf,
    resume: bool,
    workshop: Workshop,
    stages: Vec<Value>,
}

/// Runs every stage and writes `report.json` and `report.html`.
///
/// # Errors
///
/// When a stage fails; what earlier stages wrote stays, and `--resume` goes on from there.
pub fn quickstart(args: &QuickstartArgs) -> Result<()> {
    let config = config_of(args)?;
    let places = Places::of(&config.run);
    if Plan::new("quickstart", &config).show(args.run.dry_run, &places.run)? {
        return Ok(());
    }
    if !args.resume && places.train.join("tasks.jsonl").exists() {
        bail!(
            "`{}` already holds a run\nhint: add `--resume` to go on, or choose another folder with `--set run=…`",
            places.run.display()
        );
    }
    let started = Instant::now();
    let file = places.run.join("config.toml");
    let text = toml::to_string(&config)?;
    if args.resume && file.exists() && data::file::read_text(&file)? != text {
        bail!(
            "`{}` was begun with another config\nhint: resume with the same seed, packages and `--set`, or choose another folder with `--set run=…`",
            places.run.display()
        );
    }
    data::file::write_whole(&file, text.as_bytes())?;
    let workshop = Workshop::open(&config, &cache_folder()?)?;
    let mut run = Quickstart { config, places, file, resume: args.resume, workshop, stages: Vec::new() };
    run.all()?;
    run.write_report(started.elapsed().as_secs_f64())
}

fn config_of(args: &QuickstartArgs) -> Result<Config> {
    let mut overrides = args.run.set.clone();
    overrides.extend(args.run.seed.map(|seed| format!("seed={seed}")));
    let mut config = match &args.run.config {
        Some(path) => Config::load(path, &overrides)?,
        None => Config::parse(CONFIG, &overrides).context("in the built-in `configs/quickstart.toml`")?,
    };
    if !args.package.is_empty() {
        config.data.train = args.package.clone();
    }
    if !args.held_out.is_empty() {
        config.data.held_out = args.held_out.clone();
    }
    if config.data.train.is_empty() || config.data.held_out.is_empty() {
        bail!("there are no packages\nhint: name some with `--package` and `--held-out`, or in `[data]`");
    }
    if let Some(both) = config.data.train.iter().find(|package| config.data.held_out.contains(package)) {
        bail!("the package `{both}` is both trained on and held out\nhint: hold out a package that is not trained on");
    }
    Ok(config)
}

impl Quickstart {
    fn all(&mut self) -> Result<()> {
        let base = self.config.base.clone().context(
            "the quickstart needs a model to start from\nhint: set `base`, e.g. `--set base=checkpoints/base`",
        )?;
        self.plant("train", self.config.data.train.clone(), self.config.data.train_tasks_per_package)?;
        self.plant("held_out", self.config.data.held_out.clone(), self.config.data.held_out_tasks_per_package)?;
        self.samples(&base)?;
        self.eval("base", &base)?;
        self.sft(&base)?;
        self.eval("sft", &self.places.sft.clone())?;
        self.grpo()?;
        self.eval("grpo", &self.places.grpo.clone())?;
        self.export()
    }

    fn run_args(&self) -> RunArgs {
        RunArgs { config: Some(self.file.clone()), ..RunArgs::default() }
    }

    /// Says what runs now and how to run it alone, runs it unless its result is there, and notes its time.
    fn stage<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        alone: &str,
        result: &Path,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<()> {
        let before = std::fs::read(result).ok().filter(|_| self.resume);
        let summary: T = match before.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            Some(summary) => {
                eprintln!("\n{name}: done before, kept");
                summary
            }
            None => {
                eprintln!("\n{name}: train {alone} --config {}", self.file.display());
                run(self).with_context(|| format!("in the stage `{name}`"))?
            }
        };
        let mut value = serde_json::to_value(&summary)?;
        if let Some(fields) = value.as_object_mut() {
            fields.remove("evaluation");
            fields.insert("stage".into(), json!(name));
        }
        self.stages.push(value);
        Ok(())
    }

    fn plant(&mut self, group: &str, packages: Vec<String>, most: usize) -> Result<()> {
        let out = if group == "train" { self.places.train.clone() } else { self.places.held_out.clone() };
        let args = PlantArgs { run: self.run_args(), package: packages, max_tasks: Some(most), out };
        let named: Vec<String> = args.package.iter().map(|package| format!("--package {package}")).collect();
        let alone = format!("data plant {} --max-tasks {most} --out {}", named.join(" "), args.out.display());
        let result = args.out.join("summary.json");
        self.stage(&format!("plant {group}"), &alone, &result, |run| {
            commands::plant_in(&run.workshop, &args, &run.config)
        })
    }

    fn samples(&mut self, base: &Path) -> Result<()> {
        let args = SamplesArgs {
            run: self.run_args(),
            tasks: self.places.train.join("sft.jsonl"),
            tokenizer: base.to_path_buf(),
            against: Some(self.places.held_out_tasks()),
            out: self.places.samples.clone(),
        };
        let alone = format!(
            "data samples --tasks {} --tokenizer {} --against {} --out {}",
            args.tasks.display(),
            base.display(),
            self.places.held_out_tasks().display(),
            args.out.display()
        );
        let result = args.out.join("summary.json");
        self.stage("samples", &alone, &result, |_| done(commands::samples(&args)?))
    }

    fn eval(&mut self, name: &str, model: &Path) -> Result<()> {
        let args = EvalArgs {
            run: self.run_args(),
            model: model.to_path_buf(),
            tasks: self.places.held_out_tasks(),
            server: None,
            served_name: None,
            against: None,
            out: self.places.eval(name),
        };
        let alone =
            format!("eval --model {} --tasks {} --out {}", model.display(), args.tasks.display(), args.out.display());
        let result = args.out.clone();
        self.stage(&format!("eval {name}"), &alone, &result, |run| {
            let summary = commands::eval_in(&run.workshop, &args, &run.config)?;
            let [low, high] = summary.ci95;
            eprintln!(
                "eval {name}: pass@1 {:.3}, 95 % interval {low:.3} to {high:.3}, n = {}",
                summary.pass_at_1, summary.n
            );
            Ok(summary)
        })
    }

    fn sft(&mut self, base: &Path) -> Result<()> {
        let args = SftArgs {
            run: self.run_args(),
            model: Some(base.to_path_buf()),
            tokenizer: None,
            samples: Some(self.places.samples.clone()),
            validate: None,
            out: self.places.sft.clone(),
            resume: self.resume,
        };
        let alone = format!(
            "sft --model {} --samples {} --out {}",
            base.display(),
            self.places.samples.display(),
            args.out.display()
        );
        let result = args.out.join("summary.json");
        self.stage("sft", &alone, &result, |_| done(commands::sft(&args)?))
    }

    fn grpo(&mut self) -> Result<()> {
        let args = GrpoArgs {
            run: self.run_args(),
            model: self.places.sft.clone(),
            tasks: self.places.train.join("grpo.jsonl"),
            out: self.places.grpo.clone(),
            watch: WatchArgs::default(),
            curriculum: self.config.grpo.stage2_steps > 0,
            resume: self.resume,
        };
        let alone = format!(
            "grpo --model {} --tasks {} --out {}{}",
            args.model.display(),
            args.tasks.display(),
            args.out.display(),
            if args.curriculum { " --curriculum" } else { "" }
        );
        let result = args.out.join("summary.json");
        self.stage("grpo", &alone, &result, |run| commands::grpo_in(&run.workshop, &args, &run.config))
    }

    fn export(&mut self) -> Result<()> {
        let args = ExportArgs {
            run: self.run_args(),
            model: self.places.grpo.clone(),
            tasks: Some(self.places.held_out_tasks()),
            out: self.places.run.join(format!("export/model-{}.gguf", self.config.export.format.name())),
            hugging_face: false,
        };
        let alone = format!(
            "export --model {} --tasks {} --out {}",
            args.model.display(),
            self.places.held_out_tasks().display(),
            args.out.display()
        );
        let result = self.places.run.join("export/summary.json");
        self.stage("export", &alone, &result.clone(), |_| {
            let report: ExportReport = done(commands::export(&args)?)?;
            data::file::write_whole(&result, &serde_json::to_vec_pretty(&report)?)?;
            Ok(report)
        })
    }

    fn evaluation(&self, name: &str) -> Result<EvalSummary> {
        let path = self.places.eval(name);
        Ok(serde_json::from_str(&data::file::read_text(&path)?)?)
    }

    /// `report.json` and `report.html`, and the two gains on the terminal.
    fn write_report(&self, seconds: f64) -> Result<()> {
        let evals = ["base", "sft", "grpo"].map(|name| self.evaluation(name).map(|eval| (name, eval)));
        let [base, sft, grpo] = evals;
        let evals = [base?, sft?, grpo?];
        let gain = |after: usize, before: usize| -> Result<Value> {
            let (after, before) = (&evals[after].1.evaluation, &evals[before].1.evaluation);
            let gain = after.gain_over(before, 1, self.config.seed, self.config.eval.resamples)?;
            Ok(
                json!({ "delta": gain.delta.estimate, "ci95": [gain.delta.low, gain.delta.high], "n": gain.delta.tasks }),
            )
        };
        let eval = |at: usize| {
            let eval = &evals[at].1;
            json!({
                "pass_at_1": eval.pass_at_1, "n": eval.n, "ci95": eval.ci95,
                "attempts_per_task": eval.attempts_per_task, "classes": eval.evaluation.classes,
            })
        };
        let export = self.stages.iter().find(|stage| stage["stage"] == "export").cloned().unwrap_or_default();
        let report = json!({
            "format": 1,
            "seed": self.config.seed,
            "seconds": seconds,
            "python": self.workshop.python.version(),
            "isolation": self.workshop.sandbox.isolation(),
            "packages": { "train": self.config.data.train, "held_out": self.config.data.held_out },
            "stages": self.stages,
            "eval": { "base": eval(0), "sft": eval(1), "grpo": eval(2) },
            "gain": { "sft_vs_base": gain(1, 0)?, "grpo_vs_sft": gain(2, 1)? },
            "export": {
                "path": export["path"], "bytes": export["bytes"],
                "logit_kl": export["logit_kl"], "top1_agreement": export["top1_agreement"],
            },
        });
        let json = self.places.run.join("report.json");
        let html = self.places.run.join("report.html");
        data::file::write_whole(&json, &serde_json::to_vec_pretty(&report)?)?;
        data::file::write_whole(&html, render(&report, &self.curves(&report)?).as_bytes())?;
        eprintln!();
        for (name, gain) in
            [("sft over base", &report["gain"]["sft_vs_base"]), ("grpo over sft", &report["gain"]["grpo_vs_sft"])]
        {
            let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
            let (low, high) = (number(&gain["ci95"][0]), number(&gain["ci95"][1]));
            let verdict = Claim::of(low, high);
            eprintln!(
                "{name}: {:+.3} pass@1, 95 % interval {low:+.3} to {high:+.3}: {verdict}",
                number(&gain["delta"])
            );
        }
        eprintln!("{:.0} s; `{}`, `{}`", seconds, json.display(), html.display());
        Ok(())
    }

    fn curves(&self, report: &Value) -> Result<Vec<Curve>> {
        let sft = metrics::read(&self.places.sft.join("metrics.jsonl"))?;
        let grpo = metrics::read(&self.places.grpo.join("metrics.jsonl"))?;
        let curve = |title: &str, y_label: &str, rows: &[metrics::Row], names: &[&str]| Curve {
            title: title.into(),
            x_label: "step".into(),
            y_label: y_label.into(),
            series: names
                .iter()
                .map(|name| Series { name: (*name).into(), points: metrics::series(rows, name), ..Series::default() })
                .collect(),
            ..Curve::default()
        };
        let stages = ["base", "sft", "grpo"];
        let value = |name: &str, of: &dyn Fn(&Value) -> Option<f64>| of(&report["eval"][name]).unwrap_or(0.0);
        let points = stages.iter().enumerate();
        let passes = Curve {
            title: "pass@1 on held-out packages".into(),
            x_label: "stage".into(),
            y_label: "pass@1".into(),
            x_names: stages.map(String::from).to_vec(),
            series: vec![Series {
                name: "pass@1".into(),
                points: points.map(|(at, name)| (at as f64, value(name, &|eval| eval["pass_at_1"].as_f64()))).collect(),
                intervals: stages
                    .iter()
                    .map(|name| (value(name, &|e| e["ci95"][0].as_f64()), value(name, &|e| e["ci95"][1].as_f64())))
                    .collect(),
            }],
        };
        Ok(vec![
            passes,
            curve("SFT loss", "nats per token", &sft, &["loss"]),
            curve("GRPO reward", "mean reward", &grpo, &["reward/mean"]),
            curve("GRPO entropy", "nats per token", &grpo, &["entropy"]),
            curve("Groups that teach nothing", "share", &grpo, &["frac_reward_zero_std"]),
        ])
    }
}

/// The summary of a stage that was really run.
fn done<T>(summary: Option<T>) -> Result<T> {
    summary.context("a stage of a quickstart is never a dry run")
}
