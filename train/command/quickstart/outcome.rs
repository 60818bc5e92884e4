//! What a finished quickstart proved: `report.json`, `report.html`, and the two gains on the terminal.

use anyhow::Result;
use data::source::jsonl::read_tasks;
use serde_json::{Value, json};

use super::Quickstart;
use crate::metrics;
use crate::plan::Plan;
use crate::report::{
    Curve, EvalReport, Evals, FORMAT, GainReport, Gains, Packages, RepairedBug, RunReport, Series,
    render,
};
use crate::trainer::evaluate::EvalSummary;

/// The models, in the order in which they came to be.
const MODELS: [&str; 3] = ["base", "sft", "grpo"];

impl Quickstart {
    /// Writes both reports and tells the gains.
    pub(super) fn write_report(&self, seconds: f64) -> Result<()> {
        let report = self.report(seconds)?;
        let json = self.places.run.join("report.json");
        let html = self.places.run.join("report.html");
        data::file::write_whole(&json, &serde_json::to_vec_pretty(&report)?)?;
        data::file::write_whole(&html, render(&report, &self.curves(&report)?).as_bytes())?;
        eprintln!();
        for (name, gain) in [
            ("sft over base", &report.gain.sft_vs_base),
            ("grpo over sft", &report.gain.grpo_vs_sft),
        ] {
            let GainReport {
                delta,
                ci95: [low, high],
                claim,
                ..
            } = gain;
            eprintln!("{name}: {delta:+.3} pass@1, 95 % interval {low:+.3} to {high:+.3}: {claim}");
        }
        eprintln!("{seconds:.0} s; `{}`, `{}`", json.display(), html.display());
        Ok(())
    }

    fn report(&self, seconds: f64) -> Result<RunReport> {
        let [base, sft, grpo] = MODELS.map(|name| self.evaluation(name));
        let (base, sft, grpo) = (base?, sft?, grpo?);
        let gain = |after: &EvalSummary, before: &EvalSummary| -> Result<GainReport> {
            let (seed, resamples) = (self.config.seed, self.config.eval.resamples);
            Ok(GainReport::new(&after.evaluation.gain_over(
                &before.evaluation,
                1,
                seed,
                resamples,
            )?))
        };
        let plan = Plan::new("quickstart", &self.config);
        let tasks = [
            self.places.train.join("tasks.jsonl"),
            self.places.held_out_tasks(),
        ];
        Ok(RunReport {
            format: FORMAT,
            seed: self.config.seed,
            seconds,
            cores: plan.cores,
            device: plan.device,
            python: self.test_env.python.version().to_string(),
            isolation: self.test_env.sandbox.isolation(),
            packages: Packages {
                train: self.config.data.train.clone(),
                held_out: self.config.data.held_out.clone(),
            },
            eval: Evals {
                base: EvalReport::new(&base),
                sft: EvalReport::new(&sft),
                grpo: EvalReport::new(&grpo),
            },
            gain: Gains {
                sft_vs_base: gain(&sft, &base)?,
                grpo_vs_sft: gain(&grpo, &sft)?,
            },
            repaired: self.repaired()?,
            stages: self.stages.clone(),
            export: self.exported(),
            provenance: self
                .provenance
                .clone()
                .data(tasks.iter().map(|path| path.as_path())),
        })
    }

    fn evaluation(&self, name: &str) -> Result<EvalSummary> {
        let path = self.places.eval(name);
        Ok(serde_json::from_str(&data::file::read_text(&path)?)?)
    }

    /// A bug that the last model repaired, or else the one before it.
    fn repaired(&self) -> Result<Option<RepairedBug>> {
        let set = read_tasks(&self.places.held_out_tasks())?;
        for model in MODELS.into_iter().rev() {
            let log =
                data::file::read_text(&self.places.eval(model).with_extension("attempts.jsonl"))?;
            let found = RepairedBug::find(model, &log, &set, self.config.data.answer)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn exported(&self) -> Value {
        let export = self
            .stages
            .iter()
            .find(|stage| stage["stage"] == "export")
            .cloned()
            .unwrap_or_default();
        json!({
            "path": export["path"], "bytes": export["bytes"],
            "logit_kl": export["logit_kl"], "top1_agreement": export["top1_agreement"],
        })
    }

    fn curves(&self, report: &RunReport) -> Result<Vec<Curve>> {
        let sft = metrics::read(&self.places.sft.join("metrics.jsonl"))?;
        let grpo = metrics::read(&self.places.grpo.join("metrics.jsonl"))?;
        let curve = |title: &str, y_label: &str, rows: &[metrics::Row], name: &str| Curve {
            title: title.into(),
            x_label: "step".into(),
            y_label: y_label.into(),
            series: vec![Series {
                points: metrics::series(rows, name),
                ..Series::default()
            }],
            ..Curve::default()
        };
        Ok(vec![
            passes(&report.eval),
            curve("SFT: loss", "nats per token", &sft, "loss"),
            curve("GRPO: reward", "mean reward", &grpo, "reward/mean"),
            curve("GRPO: entropy", "nats per token", &grpo, "entropy"),
            curve(
                "GRPO: groups that teach nothing",
                "share",
                &grpo,
                "frac_reward_zero_std",
            ),
        ])
    }
}

/// pass@1 of every model, with its interval.
fn passes(eval: &Evals) -> Curve {
    let evals = [&eval.base, &eval.sft, &eval.grpo];
    Curve {
        title: "pass@1 on held-out packages".into(),
        x_label: "model".into(),
        y_label: "pass@1".into(),
        x_names: MODELS.map(String::from).to_vec(),
        series: vec![Series {
            points: evals
                .iter()
                .enumerate()
                .map(|(at, eval)| (at as f64, eval.pass_at_1))
                .collect(),
            intervals: evals
                .iter()
                .map(|eval| (eval.ci95[0], eval.ci95[1]))
                .collect(),
            ..Series::default()
        }],
    }
}
