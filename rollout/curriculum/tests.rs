use std::time::Duration;

use data::{Patch, Task};

use super::*;
use crate::attempt::Base;
use crate::attempt::example::{FIXED, FORM, Folder, task};
use crate::grade::verdict::Grounds;
use crate::grade::{Graded, Seen};
use crate::group::example::trajectories;
use crate::outcome::Outcome;
use crate::policy::{Policy, Sampling, Scripted};
use crate::pool::{Cancel, Entry, Pool};

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|task| format!("task-{task}")).collect()
}

fn curriculum(groups_per_step: usize, max_draws_per_step: usize, tasks: usize) -> Curriculum {
    let config = CurriculumConfig {
        groups_per_step,
        max_draws_per_step,
        ..CurriculumConfig::default()
    };
    Curriculum::new(config, 7, ids(tasks)).expect("valid")
}

/// Gives back a group of four with `successes`.
fn give(curriculum: &mut Curriculum, draw: Draw, successes: usize) -> Admission {
    let attempts = trajectories(&format!("task-{}", draw.task), successes, 4);
    curriculum.give(draw.group, attempts, 0).expect("open")
}

/// Fills and ends one step, successes by a hash of the draw, and gives the trained groups' numbers.
fn step(curriculum: &mut Curriculum) -> Vec<u64> {
    while curriculum.wanted() > 0 {
        for draw in curriculum.draw().expect("draws") {
            give(curriculum, draw, (draw.seed % 5) as usize);
        }
    }
    let trained = curriculum.batch().map(Group::id).collect();
    curriculum.end_step().expect("balances");
    trained
}

fn saved_and_read(curriculum: &Curriculum) -> Curriculum {
    let text = serde_json::to_string(curriculum).expect("prints");
    let fresh = Curriculum::new(
        curriculum.config.clone(),
        curriculum.seed,
        curriculum.task_ids.clone(),
    );
    fresh
        .expect("valid")
        .resume(serde_json::from_str(&text).expect("reads"))
        .expect("the same run")
}

#[test]
fn every_epoch_holds_every_task_once_in_its_own_order() {
    let active = [2, 3, 5, 7, 11];
    let epoch =
        |epoch: u64| Vec::from_iter((0..5).map(|place| task_at(1, 1, &active, epoch * 5 + place)));
    let sorted = |mut tasks: Vec<usize>| {
        tasks.sort_unstable();
        tasks
    };
    assert!((0..20).all(|number| sorted(epoch(number)) == active));
    assert!((1..20).any(|number| epoch(number) != epoch(0)));
    assert_eq!(epoch(3), epoch(3));
}

#[test]
fn groups_of_equal_rewards_are_dropped_with_a_reason() {
    let mut curriculum = curriculum(3, 9, 4);
    let draws = curriculum.draw().expect("draws");
    assert_eq!(
        give(&mut curriculum, draws[0], 0),
        Admission::Dropped(DropReason::AllFailed)
    );
    assert_eq!(
        give(&mut curriculum, draws[1], 4),
        Admission::Dropped(DropReason::AllResolved)
    );
    assert_eq!(give(&mut curriculum, draws[2], 3), Admission::Ready);
    let ledger = curriculum.ledger();
    assert_eq!(
        (
            ledger.yielded_total(),
            ledger.trained_total(),
            ledger.dropped_total()
        ),
        (3, 0, 2)
    );
    assert_eq!(ledger.dropped_for(DropReason::AllFailed), 1);
    assert_eq!(ledger.in_flight().collect::<Vec<_>>(), [draws[2].group]);
}

#[test]
fn a_group_that_the_machinery_lost_is_dropped_and_counted() {
    let mut curriculum = curriculum(1, 2, 1);
    let draw = curriculum.draw().expect("draws")[0];
    let admission = curriculum
        .give(draw.group, trajectories("task-0", 1, 1), 3)
        .expect("open");
    assert_eq!(admission, Admission::Dropped(DropReason::TooFewAttempts));
    assert_eq!(curriculum.ledger().lost_total(), 3);
    // The attempt that has a verdict still says something about the task.
    assert_eq!(
        curriculum.tallies()["task-0"],
        Tally {
            attempts: 1,
            successes: 1
        }
    );
}

#[test]
fn dropped_groups_are_replaced_until_the_step_is_full_or_its_budget_is_spent() {
    let mut curriculum = curriculum(2, 5, 10);
    let mut rounds = Vec::new();
    while curriculum.wanted() > 0 {
        let draws = curriculum.draw().expect("draws");
        rounds.push(draws.len());
        draws.into_iter().for_each(|draw| {
            give(&mut curriculum, draw, 0);
        });
    }
    assert_eq!(rounds, [2, 2, 1]);
    assert!(curriculum.is_short());
    assert_eq!(curriculum.batch().len(), 0);
    // A step without a group does not end the run.
    curriculum.end_step().expect("balances");
    assert_eq!((curriculum.wanted(), curriculum.step()), (2, 1));
}

#[test]
fn a_short_step_trains_what_there_is() {
    let mut curriculum = curriculum(3, 3, 10);
    let draws = curriculum.draw().expect("draws");
    for (draw, successes) in draws.into_iter().zip([1, 0, 2]) {
        give(&mut curriculum, draw, successes);
    }
    assert_eq!(curriculum.wanted(), 0);
    assert!(curriculum.is_short());
    assert_eq!(
        curriculum.batch().map(Group::id).collect::<Vec<_>>(),
        [0, 2]
    );
}

#[test]
fn surplus_groups_are_carried_and_trained_first() {
    // Groups that an asynchronous sampler had under way when the step was filled.
    let mut first = curriculum(3, 8, 10);
    let draws = first.draw().expect("draws");
    draws.iter().for_each(|draw| {
        give(&mut first, *draw, 1);
    });
    let mut curriculum = Curriculum {
        config: CurriculumConfig {
            groups_per_step: 2,
            ..first.config.clone()
        },
        ..first
    };
    assert_eq!(curriculum.surplus(), 1);
    assert_eq!(
        curriculum.batch().map(Group::id).collect::<Vec<_>>(),
        [0, 1]
    );
    curriculum.end_step().expect("balances");
    assert_eq!(curriculum.wanted(), 1);
    assert_eq!(curriculum.batch().map(Group::id).collect::<Vec<_>>(), [2]);
    assert_eq!(curriculum.ledger().trained_total(), 2);
}

#[test]
fn a_group_is_given_back_once_and_with_its_own_task() {
    let mut curriculum = curriculum(1, 1, 2);
    let draw = curriculum.draw().expect("draws")[0];
    let wrong = curriculum.give(
        draw.group,
        trajectories(&format!("task-{}", 1 - draw.task), 1, 4),
        0,
    );
    assert!(matches!(
        wrong,
        Err(CurriculumError::Group(GroupError::Mixed { .. }))
    ));
    give(&mut curriculum, draw, 1);
    let again = curriculum.give(
        draw.group,
        trajectories(&format!("task-{}", draw.task), 1, 4),
        0,
    );
    assert_eq!(again, Err(LedgerError::NotInFlight(draw.group).into()));
}

#[test]
fn an_interrupted_run_goes_on_like_an_uninterrupted_one() {
    let mut whole = curriculum(3, 12, 17);
    let expected: Vec<_> = (0..12).map(|_| step(&mut whole)).collect();
    let mut parted = curriculum(3, 12, 17);
    let trained: Vec<_> = (0..12)
        .map(|_| {
            parted = saved_and_read(&parted);
            step(&mut parted)
        })
        .collect();
    assert_eq!(trained, expected);
    assert_eq!(parted, whole);
}

#[test]
fn groups_that_were_open_when_the_run_was_killed_are_drawn_again() {
    let mut curriculum = curriculum(3, 12, 17);
    let draws = curriculum.draw().expect("draws");
    give(&mut curriculum, draws[1], 2);
    let mut resumed = saved_and_read(&curriculum);
    assert_eq!(resumed.open().collect::<Vec<_>>(), [draws[0], draws[2]]);
    assert_eq!(resumed.wanted(), 0);
    give(&mut resumed, draws[0], 1);
    give(&mut resumed, draws[2], 1);
    resumed.end_step().expect("balances");
    assert_eq!(resumed.ledger().trained_total(), 3);
}

#[test]
fn a_saved_state_of_another_run_is_refused() {
    let resume = |config: CurriculumConfig, seed, tasks| {
        let fresh = Curriculum::new(config, seed, ids(tasks)).expect("valid");
        fresh
            .resume(curriculum(3, 12, 17))
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let config = curriculum(3, 12, 17).config;
    assert_eq!(resume(config.clone(), 7, 17), Ok(()));
    let other = |name: &str| {
        Err(format!(
            "the saved curriculum has another {name}, so it cannot be resumed"
        ))
    };
    assert_eq!(resume(config.clone(), 8, 17), other("seed"));
    assert_eq!(resume(config.clone(), 7, 16), other("set of tasks"));
    assert_eq!(
        resume(
            CurriculumConfig {
                groups_per_step: 4,
                ..config
            },
            7,
            17
        ),
        other("configuration")
    );
}

#[test]
fn a_saved_state_that_lost_a_group_is_refused() {
    let mut whole = curriculum(2, 4, 3);
    let draws = whole.draw().expect("draws");
    give(&mut whole, draws[0], 1);
    let fresh = curriculum(2, 4, 3);
    whole.ready.clear();
    assert_eq!(
        fresh.clone().resume(whole.clone()),
        Err(LedgerError::NotInFlight(0).into())
    );
    whole.ledger = Ledger::default();
    assert_eq!(fresh.resume(whole), Err(LedgerError::NotInFlight(1).into()));
}

#[test]
fn easy_tasks_leave_after_the_first_stage_and_are_listed() {
    let stages = Stages {
        first_steps: 2,
        accuracy_above: 0.9,
        min_attempts: 8,
    };
    let config = CurriculumConfig {
        groups_per_step: 3,
        max_draws_per_step: 3,
        stages: Some(stages),
        ..CurriculumConfig::default()
    };
    let mut curriculum = Curriculum::new(config, 7, ids(3)).expect("valid");
    let mut run = |steps: u32| {
        for _ in 0..steps {
            for draw in curriculum.draw().expect("draws") {
                give(&mut curriculum, draw, [4, 2, 0][draw.task]);
            }
            curriculum.end_step().expect("balances");
        }
        (
            curriculum.stage(),
            curriculum.active.clone(),
            curriculum.position,
            curriculum.dropped_tasks().to_vec(),
        )
    };
    assert_eq!(run(1), (1, vec![0, 1, 2], 3, vec![]));
    let easy = DroppedTask {
        task_id: "task-0".into(),
        attempts: 8,
        successes: 8,
    };
    // The second stage begins an epoch of its own.
    assert_eq!(run(1), (2, vec![1, 2], 0, vec![easy.clone()]));
    // The filter runs once; in the second stage only the rest is drawn.
    assert_eq!(run(3), (2, vec![1, 2], 9, vec![easy]));
    assert_eq!(curriculum.tallies()["task-0"].attempts, 8);
}

#[test]
fn when_every_task_is_easy_nothing_more_is_drawn() {
    let stages = Stages {
        first_steps: 1,
        accuracy_above: 0.9,
        min_attempts: 4,
    };
    let config = CurriculumConfig {
        groups_per_step: 1,
        max_draws_per_step: 1,
        stages: Some(stages),
        ..CurriculumConfig::default()
    };
    let mut curriculum = Curriculum::new(config, 7, ids(1)).expect("valid");
    let draw = curriculum.draw().expect("draws")[0];
    give(&mut curriculum, draw, 4);
    assert_eq!(curriculum.end_step().expect("balances").len(), 1);
    assert_eq!((curriculum.active_tasks(), curriculum.wanted()), (0, 0));
    assert_eq!(curriculum.draw().expect("draws"), []);
}

#[test]
fn a_curriculum_without_tasks_or_budget_is_refused() {
    let new = |config, tasks| {
        Curriculum::new(config, 0, ids(tasks))
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        new(CurriculumConfig::default(), 0),
        Err("there is no task to train on".into())
    );
    let none = CurriculumConfig {
        groups_per_step: 0,
        ..CurriculumConfig::default()
    };
    assert_eq!(
        new(none, 1),
        Err("`groups_per_step` must be 1 or more".into())
    );
    let few = CurriculumConfig {
        max_draws_per_step: 3,
        ..CurriculumConfig::default()
    };
    assert_eq!(
        new(few, 1),
        Err("`max_draws_per_step` must be `groups_per_step` or more".into())
    );
}

/// Draw, ask, grade, give back: the loop of a trainer that has no model.
#[test]
fn the_whole_loop_runs_without_a_model() {
    let folder = Folder::new();
    let tasks = ["solved", "mixed", "hopeless"].map(|id| Task {
        statement: id.into(),
        ..task(id)
    });
    let wrong = "2|    return b - a";
    let mut policy = Scripted::default()
        .when("solved", &[FIXED])
        .when("mixed", &[FIXED, wrong, "what?"])
        .when("hopeless", &[wrong]);
    let judge = |task: &Task, patch: &Patch| {
        let resolved = patch.text() == task.gold.text();
        let outcome = if resolved {
            Outcome::Resolved
        } else {
            Outcome::StillFailing {
                passed: 0,
                failed: 1,
            }
        };
        let seen = Seen::default();
        Ok(Graded {
            outcome,
            grounds: Grounds::default(),
            failure: None,
            trace_bytes: 0,
            wall: Duration::ZERO,
            cached: false,
            seen,
            suspicion: None,
            examined: Duration::ZERO,
        })
    };
    let config = CurriculumConfig {
        groups_per_step: 2,
        max_draws_per_step: 9,
        ..CurriculumConfig::default()
    };
    let task_ids = tasks.iter().map(|task| task.id.clone()).collect();
    let mut curriculum = Curriculum::new(config, 7, task_ids).expect("valid");
    while curriculum.wanted() > 0 {
        for draw in curriculum.draw().expect("draws") {
            let task = &tasks[draw.task];
            let request = Base::open(folder.path(), task)
                .and_then(|base| base.ask(FORM, 4, draw.seed))
                .expect("asks");
            let answers = policy
                .complete(&[request], &Sampling::default())
                .expect("answers")
                .remove(0);
            let entries = answers
                .into_iter()
                .map(|completion| Entry { task, completion })
                .collect();
            let attempts =
                Pool::default().grade(folder.path(), entries, FORM, &judge, &Cancel::default());
            let graded: Vec<_> = attempts
                .into_iter()
                .flatten()
                .map(|attempt| attempt.trajectory)
                .collect();
            curriculum.give(draw.group, graded, 0).expect("open");
        }
    }
    let batch: Vec<_> = curriculum
        .batch()
        .map(|group| (group.task_id(), group.successes(), group.attempts()))
        .collect();
    assert_eq!(batch, [("mixed", 2, 4), ("mixed", 2, 4)]);
    curriculum.end_step().expect("balances");
    let ledger = curriculum.ledger();
    assert_eq!(ledger.yielded_total(), 2 + ledger.dropped_total());
    assert!(
        ledger.dropped_for(DropReason::AllFailed) > 0
            && ledger.dropped_for(DropReason::AllResolved) > 0
    );
}
