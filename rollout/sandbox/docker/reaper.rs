//! What a killed run left behind, removed by the next one.
//!
//! In: containers with our labels. Out: those whose owner is gone are removed. An owner is a process of this boot with a
//! number and a start time; on an engine that several machines share, the deadline decides.

use std::collections::HashMap;
use std::fs;

use super::engine::Engine;
use super::seconds_now;
use crate::SandboxError;
use crate::owner::started;

/// The label that says that a container is ours.
pub(super) const OWNER: &str = "train.owner_pid";
const STARTED: &str = "train.owner_start";
const BOOT: &str = "train.boot";
pub(super) const RUN: &str = "train.run";
const DEADLINE: &str = "train.deadline";

/// The labels of a container that is made now by this process and ends by itself at `deadline_s`.
pub(super) fn labels(run: &str, deadline_s: u64) -> HashMap<String, String> {
    let pid = std::process::id();
    let start = started(pid)
        .map(|start| start.to_string())
        .unwrap_or_default();
    let words = [
        (RUN, run.to_string()),
        (OWNER, pid.to_string()),
        (STARTED, start),
        (BOOT, boot()),
        (DEADLINE, deadline_s.to_string()),
    ];
    words.map(|(name, value)| (name.to_string(), value)).into()
}

/// Removes every container whose owner is gone. Returns how many there were.
pub(super) async fn sweep(engine: &Engine) -> Result<usize, SandboxError> {
    let mut removed = 0;
    for (id, labels) in engine.ours(OWNER).await? {
        if is_left_behind(&labels, &boot(), &started, seconds_now()) {
            // One that cannot be removed is no reason to leave the others.
            removed += usize::from(engine.remove(&id).await.is_ok());
        }
    }
    Ok(removed)
}

fn is_left_behind(
    labels: &HashMap<String, String>,
    boot: &str,
    started: &dyn Fn(u32) -> Option<u64>,
    now_s: u64,
) -> bool {
    let label = |name: &str| labels.get(name).map_or("", String::as_str);
    if label(DEADLINE)
        .parse()
        .is_ok_and(|deadline: u64| deadline < now_s)
    {
        return true;
    }
    if label(BOOT) != boot {
        return false;
    }
    let owner = label(OWNER).parse().ok().and_then(started);
    owner.is_none() || owner != label(STARTED).parse().ok()
}

/// Where a process number means something: this boot, and this namespace of process numbers.
fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let numbers = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), numbers.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_behind(change: &[(&str, &str)]) -> bool {
        let mut labels: HashMap<String, String> = [
            (OWNER, "7"),
            (STARTED, "100"),
            (BOOT, "here"),
            (DEADLINE, "1000"),
        ]
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .into();
        labels.extend(
            change
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string())),
        );
        let started = |pid| (pid == 7).then_some(100);
        is_left_behind(&labels, "here", &started, 999)
    }

    #[test]
    fn only_what_nobody_owns_any_more_is_left_behind() {
        assert!(!left_behind(&[]), "its owner lives");
        assert!(left_behind(&[(OWNER, "8")]), "its owner is gone");
        assert!(
            left_behind(&[(STARTED, "99")]),
            "its owner's number belongs to somebody else now"
        );
        assert!(
            !left_behind(&[(OWNER, "8"), (BOOT, "elsewhere")]),
            "nobody here knows its owner"
        );
        assert!(
            left_behind(&[(BOOT, "elsewhere"), (DEADLINE, "998")]),
            "its time is over"
        );
    }

    #[test]
    fn this_process_lives() {
        let labels = labels("run", u64::MAX);
        assert!(!is_left_behind(&labels, &boot(), &started, 0));
    }
}
