use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::group::example::trajectory;
use sandbox::SandboxError;

const PLACE: Place = Place {
    retry: 7,
    queue: Queue::Deep,
    group: Some(3),
    step: Some(40),
};

fn second(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn attempt(resolved: bool, stop: Stop) -> Result<Attempt, Lost> {
    let mut trajectory = trajectory("money.compare__1", resolved, 2, stop);
    trajectory.patch = resolved.then(|| data::Patch::between("a.py", "x\n", "y\n"));
    let wall = Duration::from_millis(412);
    Ok(Attempt {
        trajectory,
        test: "test_cli.py::test_upload".into(),
        trace_bytes: 812,
        cached: false,
        wall,
    })
}

fn lost() -> Result<Attempt, Lost> {
    let source = Arc::new(SandboxError::Environment("no python".into()));
    Err(Lost::Sandbox {
        task_id: "money.compare__1".into(),
        source,
    })
}

#[test]
fn a_line_holds_the_keys_in_the_stated_order() {
    let record = Record::new(
        second(1_765_376_621),
        PLACE,
        &attempt(true, Stop::EndOfTurn),
    );
    let sha = data::Patch::between("a.py", "x\n", "y\n").sha();
    let expected = format!(
        r#"{{"ts":"2025-12-10T14:23:41Z","retry":7,"queue":"Deep","patch_sha":"{sha}","#
    ) + r#""test":"test_cli.py::test_upload","status":"PASS","trace_bytes":812,"task":"money.compare__1","#
        + r#""group":3,"step":40,"reward":1.0,"stop":"end_of_turn","cached":false,"wall_ms":412,"answer":"3|x"}"#;
    assert_eq!(serde_json::to_string(&record).expect("prints"), expected);
    assert_eq!(
        serde_json::from_str::<Record>(&expected).expect("reads"),
        record
    );
}

#[test]
fn a_lost_try_has_a_line_but_no_reward() {
    let record = Record::new(second(0), PLACE, &lost());
    assert_eq!(
        (record.status, record.reward, record.stop),
        (Status::Lost, None, None)
    );
    assert_eq!(record.task, "money.compare__1");
}

#[test]
fn an_answer_that_was_cut_off_has_a_status_of_its_own() {
    let status = |stop| Record::new(second(0), PLACE, &attempt(false, stop)).status;
    assert_eq!(status(Stop::EndOfTurn), Status::NoPatch);
    assert_eq!(status(Stop::Length), Status::Truncated);
    assert_eq!(status(Stop::Context), Status::Truncated);
}

#[test]
fn a_status_is_printed_as_it_is_named() {
    let all = [
        Status::Pass,
        Status::Fail,
        Status::Broke,
        Status::Timeout,
        Status::Oom,
        Status::Crash,
        Status::NotApplied,
        Status::NoPatch,
        Status::Truncated,
        Status::Lost,
    ];
    for status in all {
        assert_eq!(
            serde_json::to_string(&status).expect("prints"),
            format!("\"{}\"", status.name())
        );
    }
}
