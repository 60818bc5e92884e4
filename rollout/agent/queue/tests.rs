use super::*;

/// The steps that follow these events, one after the other.
fn steps(config: &QueueConfig, events: &[Event]) -> Vec<Step> {
    let mut now = start(config, 0);
    let mut steps = vec![now.step];
    for event in events {
        now = next(&now.standing, event, config);
        steps.push(now.step);
    }
    steps
}

fn trial(retry: u32, queue: Queue, from: From) -> Step {
    Step::Try { retry, queue, from }
}

fn nothing() -> Event {
    Event::default()
}

fn passing(passing: usize) -> Event {
    Event {
        passing,
        ..nothing()
    }
}

/// In which of 20 tries the tree starts from the passing state.
fn rolled_back(steps: &[Step]) -> Vec<u32> {
    let from = |step: &Step| match step {
        Step::Try {
            retry,
            from: From::PassingState,
            ..
        } => Some(*retry),
        _ => None,
    };
    steps.iter().filter_map(from).collect()
}

#[test]
fn twenty_tries_are_three_fast_ten_deep_and_seven_rescue() {
    let steps = steps(&QueueConfig::default(), &[nothing(); 20]);
    let of = |queue| {
        steps
            .iter()
            .filter(|step| matches!(step, Step::Try { queue: of, .. } if *of == queue))
            .count()
    };
    assert_eq!(
        (of(Queue::Fast), of(Queue::Deep), of(Queue::Rescue)),
        (3, 10, 7)
    );
    assert_eq!(steps[20], Step::NeedsReview(Review::Spent));
}

#[test]
fn fast_never_rolls_back_and_the_later_queues_do_after_three_tries_without_progress() {
    let steps = steps(&QueueConfig::default(), &[nothing(); 20]);
    assert_eq!(rolled_back(&steps), [1, 4, 7, 10, 13, 14, 17, 20]);
    assert_eq!(steps[3], trial(4, Queue::Deep, From::PassingState));
    assert_eq!(steps[13], trial(14, Queue::Rescue, From::PassingState));
}

#[test]
fn progress_is_more_target_tests_and_none_broken() {
    let config = QueueConfig::default();
    let begun = start(&config, 1).standing;
    let broke = Event {
        broken: true,
        ..passing(3)
    };
    for (event, progress, best) in [
        (passing(1), false, 1),
        (passing(0), false, 1),
        (broke, false, 1),
        (passing(2), true, 2),
    ] {
        let after = next(&begun, &event, &config);
        assert_eq!(
            (after.progress, after.standing.best),
            (progress, best),
            "{event:?}"
        );
    }
}

#[test]
fn progress_puts_off_the_roll_back() {
    let events = [
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        passing(1),
        nothing(),
        nothing(),
        nothing(),
    ];
    assert_eq!(
        rolled_back(&steps(&QueueConfig::default(), &events)),
        [1, 4, 10]
    );
}

#[test]
fn a_resolved_task_ends_at_once() {
    let resolved = Event {
        resolved: true,
        ..passing(1)
    };
    assert_eq!(
        steps(&QueueConfig::default(), &[nothing(), resolved]).last(),
        Some(&Step::Resolved)
    );
}

#[test]
fn three_failed_installs_ask_a_person() {
    let failed = |failed_installs| Event {
        failed_installs,
        ..nothing()
    };
    let steps = steps(&QueueConfig::default(), &[failed(2), failed(3)]);
    assert_eq!(
        steps[1..],
        [
            trial(2, Queue::Fast, From::Here),
            Step::NeedsReview(Review::Installs)
        ]
    );
}

#[test]
fn no_try_begins_after_the_time_limit() {
    let config = QueueConfig {
        time_limit_s: 60,
        ..QueueConfig::default()
    };
    let at = |seconds| Event {
        at: Duration::from_secs(seconds),
        ..nothing()
    };
    let steps = steps(&config, &[at(59), at(60)]);
    assert_eq!(
        steps[1..],
        [
            trial(2, Queue::Fast, From::Here),
            Step::NeedsReview(Review::OutOfTime)
        ]
    );
}

#[test]
fn agreeing_patches_move_a_task_on_where_that_is_wanted() {
    let repeated = Event {
        repeated: true,
        ..nothing()
    };
    let config = QueueConfig {
        agreement: 0.5,
        ..QueueConfig::default()
    };
    assert_eq!(
        steps(&config, &[nothing(), repeated])[2],
        trial(3, Queue::Deep, From::PassingState)
    );
    assert_eq!(
        steps(&QueueConfig::default(), &[nothing(), repeated])[2],
        trial(3, Queue::Fast, From::Here)
    );
}

#[test]
fn a_smaller_budget_ends_earlier_and_a_larger_one_is_for_deep() {
    let small = QueueConfig {
        max_retry: 5,
        ..QueueConfig::default()
    };
    assert_eq!(
        steps(&small, &[nothing(); 5])[5],
        Step::NeedsReview(Review::Spent)
    );
    let large = QueueConfig {
        max_retry: 30,
        ..QueueConfig::default()
    };
    let steps = steps(&large, &[nothing(); 30]);
    assert_eq!(steps[23], trial(24, Queue::Rescue, From::PassingState));
    assert_eq!(steps[30], Step::NeedsReview(Review::Spent));
}

#[test]
fn a_queue_without_a_budget_is_passed_over() {
    let config = QueueConfig {
        fast: 0,
        rescue: 0,
        max_retry: 4,
        deep: 4,
        ..QueueConfig::default()
    };
    assert_eq!(
        steps(&config, &[])[0],
        trial(1, Queue::Deep, From::PassingState)
    );
    let fast_alone = QueueConfig {
        fast: 2,
        deep: 0,
        rescue: 0,
        max_retry: 2,
        ..QueueConfig::default()
    };
    assert_eq!(
        steps(&fast_alone, &[nothing(); 2])[2],
        Step::NeedsReview(Review::Spent)
    );
}

#[test]
fn settings_out_of_their_range_are_named() {
    let problem = |config: QueueConfig| config.problem().unwrap_or_default();
    assert!(
        problem(QueueConfig {
            max_retry: 0,
            ..QueueConfig::default()
        })
        .contains("`max_retry` is 0")
    );
    assert!(
        problem(QueueConfig {
            rollback_threshold: 0,
            ..QueueConfig::default()
        })
        .contains("rollback_threshold")
    );
    assert!(
        problem(QueueConfig {
            agreement: 1.5,
            ..QueueConfig::default()
        })
        .contains("`agreement` is 1.5")
    );
    assert_eq!(QueueConfig::default().problem(), None);
}
