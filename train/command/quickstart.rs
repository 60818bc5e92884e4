//! The whole pipeline, small: a list of calls to `data`, `sft`, `eval`, `grpo`, `eval`, `export`.
//!
//! Every stage is the command of the same name, and prints how to run it alone. A stage whose result is there is
//! passed over with `--resume`; `sft` and `grpo` go on from their newest checkpoint.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::eval::{self, EvalArgs};
use super::export::{self, ExportArgs, ExportReport};
use super::grpo::{self, GrpoArgs};
use super::plant::{self, PlantArgs};
use super::samples::{self, SamplesArgs};
use super::sft::{self, SftArgs};
use super::{ChatArgs, RunArgs, WatchArgs, cache_folder};
use crate::checkpoint;
use crate::config::Config;
use crate::plan::Plan;
use crate::run::interrupt::Interrupt;
use crate::run::journal::{Place, no_run};
use crate::run::partial::Partial;
use crate::run::paths::Paths;
use crate::run::provenance::Provenance;
use crate::settings::Settings;
use crate::tasks::{TestEnv, check_packages};

/// `train quickstart`
#[derive(Args, Clone, Debug)]
pub struct QuickstartArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// Train on this package instead of the built-in ones: a folder or a pinned requirement, e.g. `toolz==1.0.0`.
    #[arg(long, value_name = "PACKAGE")]
    pub package: Vec<String>,
    /// Evaluate on this package instead of the built-in ones.
    #[arg(long, value_name = "PACKAGE")]
    pub held_out: Vec<String>,
    /// Go on where a killed run stopped: finished stages are kept.
    #[arg(long)]
    pub resume: bool,
}

mod outcome;

/// The config of a quickstart without `--config`.
const CONFIG: &str = include_str!("../../configs/quickstart.toml");

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
    fn new(run: &Path) -> Self {
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
    interrupt: &'static Interrupt,
    test_env: TestEnv,
    stages: Vec<Value>,
    /// The program, the command, and when it began.
    provenance: Provenance,
}

/// Runs every stage and writes `report.json` and `report.html`.
///
/// # Errors
///
/// When a stage fails; what earlier stages wrote stays, and `--resume` goes on from there.
pub fn run(args: &QuickstartArgs) -> Result<()> {
    let config = config_of(args)?;
    let places = Places::new(&config.run);
    let file = places.run.join("config.toml");
    if !args.run.dry_run {
        let paths = Paths::new().writes_folder("run", &places.run);
        config
            .base
            .iter()
            .fold(paths, |paths, base| paths.reads("base", base))
            .check()?;
        [&config.data.train, &config.data.held_out]
            .into_iter()
            .try_for_each(|packages| check_packages(packages))?;
        if args.resume && !file.exists() {
            bail!(no_run(&places.run, "quickstart"));
        }
    }
    let plan = Plan::new("quickstart", &config);
    let plan = match &config.base {
        Some(base) => plan.with_model(base),
        None => plan,
    };
    if plan.show(args.run.dry_run, &places.run)? {
        return Ok(());
    }
    if !args.resume && places.train.join("tasks.jsonl").exists() {
        bail!(
            "`{}` already holds a run{}",
            places.run.display(),
            data::Hint("add `--resume` to go on, or choose another folder with `--set run=…`")
        );
    }
    let started = Instant::now();
    let interrupt = Interrupt::listen()?;
    let text = toml::to_string(&config)?;
    if args.resume {
        let before = data::file::read_text(&file)?;
        let before: toml::Value =
            toml::from_str(&before).with_context(|| format!("`{}` is damaged", file.display()))?;
        let now: toml::Value = toml::from_str(&text)?;
        let [before, now] = [before, now].map(|config| Settings::default().with("config", config));
        before.require_same(&now, &format!("`{}`", places.run.display()))?;
    }
    data::file::write_whole(&file, text.as_bytes())?;
    let test_env = TestEnv::open(&config, &cache_folder()?)?;
    let provenance = plan.provenance.clone();
    let stages = Vec::new();
    let mut run = Quickstart {
        config,
        places,
        file,
        resume: args.resume,
        interrupt,
        test_env,
        stages,
        provenance,
    };
    run.all()?;
    run.write_report(started.elapsed().as_secs_f64())?;
    run.partial().map_or(Ok(()), |partial| Err(partial.into()))
}

fn config_of(args: &QuickstartArgs) -> Result<Config> {
    let mut config = args.run.config_or(CONFIG)?;
    if !args.package.is_empty() {
        config.data.train = args.package.clone();
    }
    if !args.held_out.is_empty() {
        config.data.held_out = args.held_out.clone();
    }
    if config.data.train.is_empty() || config.data.held_out.is_empty() {
        bail!(
            "there are no packages{}",
            data::Hint("name some with `--package` and `--held-out`, or in `[data]`")
        );
    }
    if let Some(both) = config
        .data
        .train
        .iter()
        .find(|package| config.data.held_out.contains(package))
    {
        bail!(
            "the package `{both}` is both trained on and held out{}",
            data::Hint("hold out a package that is not trained on")
        );
    }
    Ok(config)
}

impl Quickstart {
    fn all(&mut self) -> Result<()> {
        let base = self.config.base.clone().with_context(|| {
            format!(
                "the quickstart needs a model to start from{}",
                data::Hint("set `base`, e.g. `--set base=checkpoints/base`")
            )
        })?;
        self.plant(
            "train",
            self.config.data.train.clone(),
            self.config.data.train_tasks_per_package,
        )?;
        self.plant(
            "held_out",
            self.config.data.held_out.clone(),
            self.config.data.held_out_tasks_per_package,
        )?;
        self.samples(&base)?;
        self.eval("base", &base)?;
        self.sft(&base)?;
        self.eval("sft", &self.places.sft.clone())?;
        self.grpo()?;
        self.eval("grpo", &self.places.grpo.clone())?;
        self.export()
    }

    /// The packages that were passed over; none where all gave tasks.
    fn partial(&self) -> Option<Partial> {
        let failed = self
            .stages
            .iter()
            .filter_map(|stage| stage["failed"].as_object())
            .flatten();
        let failed: Vec<String> = failed
            .map(|(spec, why)| format!("`{spec}`: {}", why.as_str().unwrap_or_default()))
            .collect();
        let all = self.config.data.train.len() + self.config.data.held_out.len();
        (!failed.is_empty()).then_some(Partial {
            failed,
            all,
            things: "packages",
        })
    }

    /// Whether a stage goes on with what an earlier process left of it.
    fn resumes(&self, place: &Place) -> bool {
        self.resume && place.is_unfinished()
    }

    fn run_args(&self) -> RunArgs {
        RunArgs {
            config: Some(self.file.clone()),
            ..RunArgs::default()
        }
    }

    /// Says what runs now and how to run it alone, runs it unless its result is there, and notes its time.
    fn stage<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        alone: &str,
        result: &Path,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<()> {
        self.interrupt.check(|| {
            let (done, run) = (self.stages.len(), self.places.run.display());
            format!("{done} stages are done, and kept in `{run}`")
        })?;
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
            for long in ["evaluation", "provenance"] {
                fields.remove(long);
            }
            fields.insert("stage".into(), json!(name));
            fields.insert(
                "command".into(),
                json!(format!("train {alone} --config {}", self.file.display())),
            );
        }
        self.stages.push(value);
        Ok(())
    }

    fn plant(&mut self, group: &str, packages: Vec<String>, most: usize) -> Result<()> {
        let out = if group == "train" {
            self.places.train.clone()
        } else {
            self.places.held_out.clone()
        };
        let resume = self.resumes(&Place::in_folder(&out));
        let args = PlantArgs {
            run: self.run_args(),
            package: packages,
            max_tasks: Some(most),
            out,
            resume,
        };
        let named: Vec<String> = args
            .package
            .iter()
            .map(|package| format!("--package {package}"))
            .collect();
        let alone = format!(
            "data plant {} --max-tasks {most} --out {}",
            named.join(" "),
            args.out.display()
        );
        let result = args.out.join("summary.json");
        self.stage(&format!("plant {group}"), &alone, &result, |run| {
            plant::run_in(&run.test_env, &args, &run.config)
        })
    }

    fn samples(&mut self, base: &Path) -> Result<()> {
        let tasks = self.places.train.join("sft.jsonl");
        let args = SamplesArgs {
            run: self.run_args(),
            from: Vec::new(),
            chats: ChatArgs::default(),
            tasks: Some(tasks.clone()),
            tokenizer: base.to_path_buf(),
            against: Some(self.places.held_out_tasks()),
            out: self.places.samples.clone(),
            resume: self.resumes(&Place::in_folder(&self.places.samples)),
        };
        let alone = format!(
            "data samples --tasks {} --tokenizer {} --against {} --out {}",
            tasks.display(),
            base.display(),
            self.places.held_out_tasks().display(),
            args.out.display()
        );
        let result = args.out.join("summary.json");
        self.stage("samples", &alone, &result, |_| done(samples::run(&args)?))
    }

    fn eval(&mut self, name: &str, model: &Path) -> Result<()> {
        let args = EvalArgs {
            run: self.run_args(),
            model: model.to_path_buf(),
            tasks: self.places.held_out_tasks(),
            server: None,
            served_name: None,
            trim: None,
            trim_rows: 0,
            trim_answers: 0,
            cascade: None,
            against: None,
            out: self.places.eval(name),
            agent: None,
            resume: self.resumes(&Place::beside_file(&self.places.eval(name))),
        };
        let alone = format!(
            "eval --model {} --tasks {} --out {}",
            model.display(),
            args.tasks.display(),
            args.out.display()
        );
        let result = args.out.clone();
        self.stage(&format!("eval {name}"), &alone, &result, |run| {
            let summary = eval::run_in(&run.test_env, &args, &run.config)?;
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
            data: Vec::new(),
            chats: ChatArgs::default(),
            preset: None,
            machine: None,
            samples: Some(self.places.samples.clone()),
            validate: None,
            out: self.places.sft.clone(),
            resume: self.resume && checkpoint::has_run(&self.places.sft),
        };
        let alone = format!(
            "sft --model {} --samples {} --out {}",
            base.display(),
            self.places.samples.display(),
            args.out.display()
        );
        let result = args.out.join("summary.json");
        self.stage("sft", &alone, &result, |_| done(sft::run(&args)?))
    }

    fn grpo(&mut self) -> Result<()> {
        let args = GrpoArgs {
            run: self.run_args(),
            model: self.places.sft.clone(),
            tasks: self.places.train.join("grpo.jsonl"),
            validate: None,
            out: self.places.grpo.clone(),
            watch: WatchArgs::default(),
            curriculum: self.config.grpo.stage2_steps > 0,
            resume: self.resume && checkpoint::has_run(&self.places.grpo),
        };
        let alone = format!(
            "grpo --model {} --tasks {} --out {}{}",
            args.model.display(),
            args.tasks.display(),
            args.out.display(),
            if args.curriculum { " --curriculum" } else { "" }
        );
        let result = args.out.join("summary.json");
        self.stage("grpo", &alone, &result, |run| {
            grpo::run_in(&run.test_env, &args, &run.config)
        })
    }

    fn export(&mut self) -> Result<()> {
        let out = self.places.run.join(format!(
            "export/model-{}.gguf",
            self.config.export.format.name()
        ));
        let args = ExportArgs {
            run: self.run_args(),
            model: self.places.grpo.clone(),
            tasks: Some(self.places.held_out_tasks()),
            hugging_face: false,
            resume: self.resumes(&Place::beside_file(&out)),
            out,
        };
        let alone = format!(
            "export --model {} --tasks {} --out {}",
            args.model.display(),
            self.places.held_out_tasks().display(),
            args.out.display()
        );
        let result = self.places.run.join("export/summary.json");
        self.stage("export", &alone, &result.clone(), |_| {
            let report: ExportReport = done(export::run(&args)?)?;
            data::file::write_whole(&result, &serde_json::to_vec_pretty(&report)?)?;
            Ok(report)
        })
    }
}

/// The summary of a stage that was really run.
fn done<T>(summary: Option<T>) -> Result<T> {
    summary.context("a stage of a quickstart is never a dry run")
}
