//! Every number that a run measures, what it is, and what TRL and verl call it.

use super::{Row, is_wall_clock};

/// A number of `metrics.jsonl`.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name here and in TensorBoard.
    pub name: &'static str,
    /// The commands that measure it.
    pub stages: &'static str,
    /// What it is, with its unit.
    pub what: &'static str,
    /// What TRL calls it; empty where it has none.
    pub trl: &'static str,
    /// What verl calls it; empty where it has none.
    pub verl: &'static str,
}

const fn metric(
    name: &'static str,
    stages: &'static str,
    what: &'static str,
    trl: &'static str,
    verl: &'static str,
) -> Metric {
    Metric {
        name,
        stages,
        what,
        trl,
        verl,
    }
}

const BOTH: &str = "sft, grpo";

/// All of them, in the order of the reference.
pub const METRICS: &[Metric] = &[
    metric(
        "loss",
        BOTH,
        "mean loss of the step, nats per trained token",
        "loss",
        "actor/pg_loss",
    ),
    metric(
        "grad_norm",
        BOTH,
        "global norm of the gradients before clipping",
        "grad_norm",
        "actor/grad_norm",
    ),
    metric(
        "learning_rate",
        BOTH,
        "learning rate of the step",
        "learning_rate",
        "actor/lr",
    ),
    metric(
        "tokens",
        "sft",
        "tokens of the step, without padding",
        "num_tokens (a running sum)",
        "",
    ),
    metric(
        "eval/loss",
        "sft",
        "mean loss on `--validate`, nats per token",
        "eval_loss",
        "val/loss",
    ),
    metric(
        "eval/token_accuracy",
        "sft",
        "share of tokens of `--validate` that are the most probable ones",
        "eval_mean_token_accuracy",
        "",
    ),
    metric(
        "eval/first_token_accuracy",
        "sft",
        "share of answers whose first token is right",
        "",
        "",
    ),
    metric(
        "eval/exact_match",
        "sft",
        "share of answers that greedy decoding writes to the letter",
        "",
        "",
    ),
    metric(
        "eval/pass@1",
        "grpo",
        "pass@1 on the tasks of `--validate`",
        "",
        "val-core/…/mean@N",
    ),
    metric(
        "eval/pass@1_low",
        "grpo",
        "lower end of its 95 % interval over tasks",
        "",
        "",
    ),
    metric(
        "eval/pass@1_high",
        "grpo",
        "upper end of its 95 % interval over tasks",
        "",
        "",
    ),
    metric(
        "eval/lost",
        "grpo",
        "attempts at held-out tasks without a verdict",
        "",
        "",
    ),
    metric(
        "reward/mean",
        "grpo",
        "mean reward of the attempts of the step",
        "reward",
        "critic/rewards/mean",
    ),
    metric(
        "reward/std",
        "grpo",
        "standard deviation of these rewards",
        "reward_std",
        "",
    ),
    metric(
        "frac_reward_zero_std",
        "grpo",
        "share of groups whose attempts all have the same reward: they teach nothing",
        "frac_reward_zero_std",
        "",
    ),
    metric(
        "completions/mean_length",
        "grpo",
        "mean length of an answer, tokens",
        "completions/mean_length",
        "response_length/mean",
    ),
    metric(
        "completions/clipped_ratio",
        "grpo",
        "share of answers that were cut off",
        "completions/clipped_ratio",
        "response_length/clip_ratio",
    ),
    metric(
        "entropy",
        "grpo",
        "mean entropy of the next token, nats",
        "entropy",
        "actor/entropy",
    ),
    metric(
        "clip_ratio/low_mean",
        "grpo",
        "share of tokens (GSPO: of answers) clipped at the lower bound",
        "clip_ratio/low_mean",
        "actor/pg_clipfrac_lower",
    ),
    metric(
        "clip_ratio/high_mean",
        "grpo",
        "share clipped at the upper bound",
        "clip_ratio/high_mean",
        "actor/pg_clipfrac",
    ),
    metric(
        "clip_ratio/region_mean",
        "grpo",
        "share clipped at either bound",
        "clip_ratio/region_mean",
        "",
    ),
    metric(
        "sampling/importance_sampling_ratio/mean",
        "grpo",
        "mean of p(trainer) / p(sampler) over sampled tokens",
        "sampling/importance_sampling_ratio/mean",
        "rollout_corr/rollout_is_mean",
    ),
    metric(
        "sampling/sampling_logp_difference/mean",
        "grpo",
        "mean absolute difference of ln p between trainer and sampler over sampled tokens, nats",
        "sampling/sampling_logp_difference/mean",
        "training/rollout_probs_diff_mean",
    ),
    metric(
        "rollout/attempts",
        "grpo",
        "attempts that were graded",
        "",
        "",
    ),
    metric(
        "rollout/lost",
        "grpo",
        "attempts without a verdict: infrastructure failed, or quarantined",
        "",
        "",
    ),
    metric(
        "rollout/groups_drawn",
        "grpo",
        "groups drawn for the step",
        "",
        "train/num_gen_batches",
    ),
    metric(
        "rollout/groups_trained",
        "grpo",
        "groups that the step trained on",
        "",
        "",
    ),
    metric(
        "rollout/short_batch",
        "grpo",
        "1 where the budget ended before enough groups taught something",
        "",
        "",
    ),
    metric(
        "curriculum/stage",
        "grpo",
        "stage of the curriculum, 1 or 2",
        "",
        "",
    ),
    metric(
        "curriculum/active_tasks",
        "grpo",
        "tasks that are drawn",
        "",
        "",
    ),
    metric(
        "ledger/yielded",
        "grpo",
        "groups drawn, over the whole run",
        "",
        "",
    ),
    metric(
        "ledger/trained",
        "grpo",
        "groups trained, over the whole run",
        "",
        "",
    ),
    metric(
        "ledger/dropped",
        "grpo",
        "groups dropped with a reason, over the whole run",
        "",
        "",
    ),
    metric(
        "ledger/in_flight",
        "grpo",
        "groups that are neither",
        "",
        "",
    ),
    metric(
        "timing_s/step",
        BOTH,
        "seconds of the step",
        "step_time",
        "timing_s/step",
    ),
    metric(
        "timing_s/generate",
        "grpo",
        "seconds of sampling",
        "",
        "timing_s/gen",
    ),
    metric(
        "timing_s/grade",
        "grpo",
        "seconds of grading",
        "",
        "timing_s/reward",
    ),
    metric(
        "timing_s/train",
        "grpo",
        "seconds of gradients and update",
        "",
        "timing_s/update_actor",
    ),
    metric(
        "timing_s/eval",
        "grpo",
        "seconds of the evaluation on `--validate`",
        "",
        "timing_s/testing",
    ),
    metric(
        "perf/tokens_per_s",
        BOTH,
        "tokens per second of the step",
        "",
        "perf/throughput",
    ),
    metric(
        "perf/attempts_per_s",
        "grpo",
        "attempts per second of the step",
        "",
        "",
    ),
    metric(
        "perf/peak_mib",
        "sft",
        "memory at the peak so far, MiB",
        "",
        "perf/max_memory_allocated_gb",
    ),
];

/// Whether a number of this name is measured.
pub fn is_known(name: &str) -> bool {
    METRICS.iter().any(|metric| metric.name == name)
}

/// The names of a row that [`METRICS`] does not have.
pub fn unknown(row: &Row) -> Vec<&str> {
    row.names()
        .filter(|name| METRICS.iter().all(|metric| metric.name != *name))
        .collect()
}

/// The page of the reference.
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\nEvery number of `metrics.jsonl`, one line a step; the same names stand in TensorBoard \
         (`tensorboard --logdir RUN`). Those marked ⏱ are the only ones in which two runs of the same plan differ.\n\n\
         | name | measured by | what it is | TRL | verl |\n|---|---|---|---|---|\n",
    );
    for Metric {
        name,
        stages,
        what,
        trl,
        verl,
    } in METRICS
    {
        let clock = if is_wall_clock(name) { " ⏱" } else { "" };
        let named = |name: &str| {
            if name.is_empty() {
                String::new()
            } else {
                format!("`{name}`")
            }
        };
        page.push_str(&format!(
            "| `{name}`{clock} | {stages} | {what} | {} | {} |\n",
            named(trl),
            named(verl)
        ));
    }
    page
}
