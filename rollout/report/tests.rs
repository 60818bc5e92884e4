use std::time::Duration;

use super::*;
use crate::group::example::trajectory;
use crate::outcome::Outcome;
use crate::trajectory::{Stop, Trajectory};

fn evaluation(scores: impl IntoIterator<Item = (u64, u64)>) -> Evaluation {
    let score = |(index, (attempts, successes))| TaskScore {
        task_id: format!("task-{index:03}"),
        attempts,
        successes,
    };
    Evaluation {
        format: EVALUATION_FORMAT,
        tasks: scores.into_iter().enumerate().map(score).collect(),
        unscored: vec![],
        classes: Classes::default(),
    }
}

/// `tasks` tasks of one attempt, of which the first `resolved` succeed.
fn single(resolved: u64, tasks: u64) -> Evaluation {
    evaluation((0..tasks).map(|task| (1, u64::from(task < resolved))))
}

fn close(actual: f64, expected: f64, tolerance: f64) {
    assert!(
        (actual - expected).abs() <= tolerance,
        "{actual} is not {expected}"
    );
}

fn attempt(trajectory: Trajectory) -> Result<Attempt, Lost> {
    Ok(Attempt {
        trajectory,
        test: String::new(),
        trace_bytes: 0,
        cached: false,
        wall: Duration::ZERO,
    })
}

fn ended(outcome: Outcome, stop: Stop) -> Result<Attempt, Lost> {
    attempt(Trajectory {
        outcome,
        ..trajectory("a", false, 2, stop)
    })
}

#[test]
fn pass_at_k_is_the_share_of_draws_that_hold_a_success() {
    // By hand: 1 − C(3,2)/C(5,2) = 1 − 3/10, 1 − C(7,5)/C(10,5) = 1 − 21/252.
    close(pass_at(5, 2, 2).expect("defined"), 0.7, 1e-12);
    close(
        pass_at(10, 3, 5).expect("defined"),
        1.0 - 21.0 / 252.0,
        1e-12,
    );
    close(pass_at(8, 3, 1).expect("defined"), 3.0 / 8.0, 1e-12);
    assert_eq!(pass_at(8, 0, 4), Some(0.0));
    assert_eq!(pass_at(8, 8, 1), Some(1.0));
    assert_eq!(pass_at(4, 3, 2), Some(1.0));
}

#[test]
fn pass_at_k_agrees_with_counting_every_draw() {
    for attempts in 1..=9_u32 {
        for successes in 0..=attempts {
            for k in 1..=attempts {
                let draws = (0..1_u32 << attempts).filter(|draw| draw.count_ones() == k);
                let (hits, all) = draws.fold((0, 0), |(hits, all), draw| {
                    (
                        hits + u32::from(draw & ((1 << successes) - 1) != 0),
                        all + 1,
                    )
                });
                let estimate =
                    pass_at(attempts.into(), successes.into(), k.into()).expect("defined");
                close(estimate, f64::from(hits) / f64::from(all), 1e-12);
            }
        }
    }
}

#[test]
fn pass_at_k_without_k_attempts_is_undefined() {
    assert_eq!(
        (pass_at(3, 1, 4), pass_at(3, 1, 0), pass_at(3, 4, 1)),
        (None, None, None)
    );
    let error = ReportError::TooFewAttempts {
        k: 4,
        task_id: "task-001".into(),
        attempts: 3,
    };
    assert_eq!(evaluation([(4, 1), (3, 1)]).pass_at(4), Err(error));
    assert_eq!(evaluation([(4, 1)]).pass_at(0), Err(ReportError::ZeroK));
    assert_eq!(evaluation([]).pass_at(1), Err(ReportError::NoTasks));
}

#[test]
fn pass_at_k_is_large_numbers_proof() {
    let estimate = pass_at(1_000_000, 10, 1_000).expect("defined");
    close(estimate, 1.0 - (1.0_f64 - 0.001).powi(10), 1e-6);
}

#[test]
fn every_task_weighs_the_same() {
    close(
        evaluation([(1, 1), (9, 0)]).pass_at(1).expect("defined"),
        0.5,
        1e-12,
    );
}

#[test]
fn the_interval_of_a_share_is_that_of_its_standard_error() {
    // 60 of 200: standard error sqrt(.3 · .7 / 200) = .0324, times 1.96 = .0635.
    let interval = single(60, 200).interval(1, 7, RESAMPLES).expect("defined");
    close(interval.estimate, 0.3, 1e-12);
    close(interval.low, 0.3 - 0.0635, 0.006);
    close(interval.high, 0.3 + 0.0635, 0.006);
    assert_eq!(interval.tasks, 200);
}

#[test]
fn attempts_at_one_task_do_not_narrow_the_interval_like_new_tasks() {
    // All attempts at a task end alike, so eight of them prove no more than one.
    let eightfold = evaluation((0..200).map(|task| (8, if task < 60 { 8 } else { 0 })));
    assert_eq!(
        eightfold.interval(1, 7, 2_000),
        single(60, 200).interval(1, 7, 2_000)
    );
}

#[test]
fn an_interval_follows_its_seed() {
    let interval = |seed| single(7, 30).interval(1, seed, 999).expect("defined");
    assert_eq!(interval(1), interval(1));
    let pairs = (1..9).map(|seed| (interval(seed).low, interval(seed).high));
    assert!(
        pairs
            .into_iter()
            .any(|ends| ends != (interval(0).low, interval(0).high))
    );
}

#[test]
fn pairing_finds_a_gain_that_two_intervals_would_hide() {
    // The same 60 of 200 tasks before; 12 more after, none lost.
    let (before, after) = (single(60, 200), single(72, 200));
    let gain = after
        .gain_over(&before, 1, 7, RESAMPLES)
        .expect("the same tasks");
    close(gain.delta.estimate, 0.06, 1e-12);
    assert!(
        gain.claim() == Claim::Gain && gain.delta.low > 0.025 && gain.delta.high < 0.1,
        "{gain:?}"
    );
    let [before, after] =
        [before, after].map(|one| one.interval(1, 7, RESAMPLES).expect("defined"));
    assert!(before.high > after.low);
}

#[test]
fn no_difference_is_no_gain() {
    let gain = single(9, 30)
        .gain_over(&single(9, 30), 1, 7, 500)
        .expect("the same tasks");
    assert_eq!(
        (gain.delta.estimate, gain.delta.method),
        (0.0, Method::ClopperPearson)
    );
    close(gain.delta.high, 1.0 - 0.025_f64.powf(1.0 / 30.0), 1e-12);
    assert!(gain.delta.low == -gain.delta.high && gain.claim() == Claim::Chance);
    let loss = single(0, 30)
        .gain_over(&single(25, 30), 1, 7, 500)
        .expect("the same tasks");
    assert!(loss.claim() == Claim::Loss);
}

#[test]
fn the_claimed_coverage_is_kept() {
    // 400 evaluations of 100 tasks whose true pass@1 is 0.3: about 95 % of the intervals hold it.
    let holds = |round: u64| {
        let lucky =
            |task: u64| draw::bits(draw::key(11, &[round]), task) < (0.3 * u64::MAX as f64) as u64;
        let interval =
            evaluation((0..100).map(|task| (1, u64::from(lucky(task))))).interval(1, round, 500);
        let Interval { low, high, .. } = interval.expect("defined");
        (low..=high).contains(&0.3)
    };
    let kept = (0..400).filter(|round| holds(*round)).count();
    // Two-sided 99.9 % range of Binomial(400, 0.95), widened by the percentile method's known 1 to 2 points.
    assert!((359..=394).contains(&kept), "{kept} of 400");
}

#[test]
fn evaluations_of_different_tasks_are_not_compared() {
    let refused = single(1, 4).gain_over(&single(1, 3), 1, 7, 10);
    assert_eq!(
        refused,
        Err(ReportError::OtherTasks {
            task_id: "task-003".into()
        })
    );
    let refused = single(1, 3).gain_over(&single(1, 4), 1, 7, 10);
    assert_eq!(
        refused,
        Err(ReportError::OtherTasks {
            task_id: "task-003".into()
        })
    );
}

#[test]
fn a_task_that_could_not_be_scored_is_left_out_of_both_and_counted() {
    let (before, mut after) = (single(1, 4), single(2, 4));
    let lost = after.tasks.pop().expect("a task");
    after.unscored.push(lost.task_id);
    let gain = after.gain_over(&before, 1, 7, 500).expect("the same tasks");
    assert_eq!((gain.delta.tasks, gain.left_out), (3, 1));
    close(gain.delta.estimate, 1.0 / 3.0, 1e-12);
}

#[test]
fn attempts_are_counted_by_class_and_lost_ones_are_in_no_score() {
    let lost = |task_id: &str| {
        Err(Lost::Cancelled {
            task_id: task_id.into(),
        })
    };
    let attempts = [
        attempt(trajectory("b", true, 2, Stop::EndOfTurn)),
        ended(
            Outcome::StillFailing {
                passed: 0,
                failed: 1,
            },
            Stop::EndOfTurn,
        ),
        ended(Outcome::BrokeOthers { broken: 1 }, Stop::EndOfTurn),
        ended(Outcome::TimedOut, Stop::EndOfTurn),
        ended(Outcome::OutOfMemory, Stop::EndOfTurn),
        ended(Outcome::Crashed, Stop::EndOfTurn),
        ended(Outcome::DoesNotApply, Stop::EndOfTurn),
        ended(Outcome::NoPatch, Stop::EndOfTurn),
        ended(Outcome::NoPatch, Stop::Length),
        lost("b"),
        lost("c"),
    ];
    let evaluation = Evaluation::from_attempts(&attempts);
    let classes = Classes {
        resolved: 1,
        not_fixed: 1,
        broke_others: 1,
        timed_out: 1,
        out_of_memory: 1,
        crashed: 1,
        does_not_apply: 1,
        no_patch: 1,
        truncated: 1,
        lost: 2,
    };
    assert_eq!(evaluation.classes, classes);
    let score = |task_id: &str, attempts, successes| TaskScore {
        task_id: task_id.into(),
        attempts,
        successes,
    };
    assert_eq!(evaluation.tasks, [score("a", 8, 0), score("b", 1, 1)]);
    assert_eq!(evaluation.unscored, ["c"]);
    assert_eq!(evaluation.attempts(), 9);
    close(evaluation.pass_at(1).expect("defined"), 0.5, 1e-12);
}

#[test]
fn an_evaluation_comes_back_from_json() {
    let evaluation = evaluation([(4, 1), (4, 0)]);
    let text = serde_json::to_string(&evaluation).expect("prints");
    assert_eq!(
        serde_json::from_str::<Evaluation>(&text).expect("reads"),
        evaluation
    );
}

#[test]
fn an_evaluation_of_another_format_is_refused() {
    let text = serde_json::to_string(&single(1, 2))
        .expect("prints")
        .replace(r#""format":1"#, r#""format":2"#);
    let refused = serde_json::from_str::<Evaluation>(&text)
        .expect_err("a newer format")
        .to_string();
    assert!(
        refused.starts_with("format 2 is not known here, only format 1"),
        "{refused}"
    );
}

#[test]
fn no_success_and_nothing_but_success_have_exact_intervals() {
    // Clopper-Pearson bounds of 0 of 100 and 100 of 100, as in published tables: 0.0362 and 0.9638.
    let of = |resolved, tasks| {
        single(resolved, tasks)
            .interval(1, 7, 1_000)
            .expect("defined")
    };
    let (none, all) = (of(0, 100), of(100, 100));
    assert_eq!(
        (none.estimate, none.low, none.method),
        (0.0, 0.0, Method::ClopperPearson)
    );
    close(none.high, 0.0362, 5e-5);
    assert_eq!((all.estimate, all.high), (1.0, 1.0));
    close(all.low, 0.9638, 5e-5);
    // 0 of 10: 0.3085. Eight attempts at each task prove no more than one.
    close(of(0, 10).high, 0.3085, 5e-5);
    assert_eq!(
        evaluation((0..10).map(|_| (8, 0))).interval(1, 7, 1_000),
        Ok(of(0, 10))
    );
    assert_eq!(of(1, 100).method, Method::Bootstrap);
}

#[test]
fn tasks_that_agree_on_a_half_leave_room_on_both_sides() {
    let half = evaluation((0..20).map(|_| (4, 2)))
        .interval(1, 7, 1_000)
        .expect("defined");
    assert_eq!(half.estimate, 0.5);
    assert!(half.low < 0.45 && half.high > 0.55, "{half:?}");
    let one = single(1, 1).interval(1, 7, 1_000).expect("defined");
    close(one.low, 0.025, 1e-12);
}

#[test]
fn a_gain_at_every_task_has_room_below_and_one_at_none_is_not_claimed() {
    let gain = |after, before| {
        single(after, 8)
            .gain_over(&single(before, 8), 1, 7, 500)
            .expect("the same tasks")
    };
    let (every, none) = (gain(8, 0), gain(0, 0));
    assert!(
        every.claim() == Claim::Gain && every.delta.low < 0.3 && every.delta.high == 1.0,
        "{every:?}"
    );
    assert!(
        none.claim() == Claim::Chance && none.delta.low < -0.3 && none.delta.high > 0.3,
        "{none:?}"
    );
}

#[test]
fn a_crumb_of_rounding_is_no_gain() {
    let cancelled = bootstrap(&[(0.1 + 0.2 - 0.3) / 3.0; 4], 7, 100);
    assert_eq!((cancelled.low, cancelled.high), (0.0, 0.0));
    assert!(
        Gain {
            delta: cancelled,
            left_out: 0
        }
        .claim()
            == Claim::Chance
    );
}
