//! Repairs in the forms of others: trajectories as mini-swe-agent writes them, and `preds.json`.
//!
//! In: tries. Out: JSON of the form `mini-swe-agent-1.1` (`info`, `messages` with `extra`, `instance_id`), and predictions
//! by instance as SWE-bench's harness takes them.

use data::{Patch, Role};
use serde_json::{Value, json};

use super::run::{End, Repair, Try};

/// The name of the form.
pub const FORM: &str = "mini-swe-agent-1.1";

/// One try as a trajectory of its own: what was asked, what was answered, what came of it.
pub fn of_try(instance: &str, model: &str, one: &Try) -> Value {
    let mut messages: Vec<Value> = one
        .asked
        .iter()
        .map(|turn| message(turn.role.name(), &turn.content))
        .collect();
    // The last of the steps in a shell is the answer, or follows it.
    let mut steps = one.steps.clone();
    let last = steps.iter().rposition(|turn| turn.role == Role::Assistant);
    steps.truncate(last.unwrap_or(0));
    messages.extend(
        steps
            .iter()
            .map(|turn| message(turn.role.name(), &turn.content)),
    );
    let mut answer = message(Role::Assistant.name(), &one.answer);
    answer["extra"] = json!({
        "actions": [], "cost": 0.0, "stop": one.stop, "tokens": one.tokens, "queue": one.queue, "retry": one.retry,
        "from": one.from, "rules": one.rules, "model_ms": one.model_ms, "commands": one.commands, "stuck": one.stuck,
    });
    messages.push(answer);
    let mut told = message(Role::User.name(), &one.told);
    told["extra"] = json!({
        "returncode": i32::from(one.status != crate::outcome::Status::Pass), "status": one.status, "test": one.test,
        "passing": one.passing, "broken": one.broken, "progress": one.progress, "tests_ms": one.tests_ms,
        "ready_ms": one.ready_ms,
    });
    messages.push(told);
    whole(instance, model, one.status.name(), &one.patch, 1, messages)
}

/// A whole repair: the turns of all tries, each conversation after the other.
pub fn of_repair(instance: &str, model: &str, repair: &Repair) -> Value {
    let tries = repair.tries.iter().map(|one| of_try(instance, model, one));
    let messages: Vec<Value> = tries
        .flat_map(|one| one["messages"].as_array().cloned().unwrap_or_default())
        .collect();
    whole(
        instance,
        model,
        exit_status(&repair.end),
        &repair.patch,
        repair.tries.len(),
        messages,
    )
}

fn exit_status(end: &End) -> &'static str {
    match end {
        End::Repaired => "Submitted",
        End::NeedsReview(_) => "LimitsExceeded",
        End::Quarantined(_) => "Quarantined",
        End::Stopped => "UserInterruption",
    }
}

fn whole(
    instance: &str,
    model: &str,
    status: &str,
    patch: &Patch,
    calls: usize,
    messages: Vec<Value>,
) -> Value {
    json!({
        "info": {
            "model_stats": { "instance_cost": 0.0, "api_calls": calls },
            "config": { "model": { "model_name": model } },
            "mini_version": FORM,
            "exit_status": status,
            "submission": patch.text(),
        },
        "messages": messages,
        "trajectory_format": FORM,
        "instance_id": instance,
    })
}

fn message(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content, "extra": {} })
}

/// One entry of `preds.json`.
pub fn prediction(instance: &str, model: &str, patch: &Patch) -> Value {
    json!({ "model_name_or_path": model, "instance_id": instance, "model_patch": patch.text() })
}
