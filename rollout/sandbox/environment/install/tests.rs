use super::*;

fn wish(repo: &str) -> Wish {
    Wish {
        repo: repo.into(),
        environment: "e1".into(),
    }
}

fn second(at: f64) -> Duration {
    Duration::from_secs_f64(at)
}

#[test]
fn the_third_failure_is_for_a_person_and_the_second_is_not() {
    let mut installs = Installs::new(InstallConfig::default(), 7, []);
    let (a, b) = (wish("a"), wish("b"));
    assert_eq!(installs.next(second(0.0), &a), Next::Try);
    let Next::Wait(first) = installs.failed(second(0.0), &a) else {
        panic!("waits")
    };
    assert_eq!(installs.next(first, &a), Next::Try);
    assert!(matches!(
        installs.next(first - Duration::from_nanos(1), &a),
        Next::Wait(_)
    ));
    let Next::Wait(then) = installs.failed(first, &a) else {
        panic!("waits")
    };
    assert!(
        (1.0..=2.0).contains(&first.as_secs_f64()) && (2.0..=4.0).contains(&then.as_secs_f64())
    );
    assert_eq!(installs.failed(first + then, &a), Next::Review);
    assert_eq!(
        installs.next(second(1e9), &a),
        Next::Review,
        "time heals nothing"
    );
    assert_eq!(
        installs.next(second(0.0), &b),
        Next::Try,
        "another repository is another matter"
    );
    let elsewhere = Wish {
        environment: "e2".into(),
        ..wish("a")
    };
    assert_eq!(installs.next(second(0.0), &elsewhere), Next::Try);
}

#[test]
fn a_success_forgets_what_failed() {
    let mut installs = Installs::new(InstallConfig::default(), 7, []);
    for _ in 0..2 {
        installs.failed(second(0.0), &wish("a"));
    }
    installs.succeeded(&wish("a"));
    assert!(matches!(
        installs.failed(second(9.0), &wish("a")),
        Next::Wait(_)
    ));
}

#[test]
fn waits_follow_the_seed_and_the_wish_and_are_bounded() {
    let config = InstallConfig {
        failures: 40,
        ..InstallConfig::default()
    };
    let waits = |seed, repo| {
        let mut installs = Installs::new(config.clone(), seed, []);
        let mut waited = || match installs.failed(Duration::ZERO, &wish(repo)) {
            Next::Wait(time) => time,
            other => panic!("{other:?}"),
        };
        (0..30).map(|_| waited()).collect::<Vec<_>>()
    };
    assert_eq!(waits(7, "a"), waits(7, "a"));
    assert_ne!(waits(7, "a"), waits(8, "a"));
    assert_ne!(waits(7, "a"), waits(7, "b"));
    assert!(
        waits(7, "a")
            .iter()
            .all(|wait| *wait <= Duration::from_secs(60))
    );
    assert!(waits(7, "a")[29] >= Duration::from_secs(30));
}

#[test]
fn what_waits_for_a_person_is_written_down_and_not_tried_again() {
    let folder = std::env::temp_dir().join(format!("install-{}", std::process::id()));
    let (mut tried, mut waited) = (0, Vec::new());
    let attempt = |tried: &mut usize, waited: &mut Vec<Duration>| {
        let mut install = || {
            *tried += 1;
            Err("Collecting x\nERROR: No matching distribution found for x".to_owned())
        };
        let config = InstallConfig::default();
        until_review(
            &folder,
            &config,
            &wish("a"),
            "pip install x",
            &mut install,
            &mut |time| waited.push(time),
        )
    };
    let said = attempt(&mut tried, &mut waited)
        .expect_err("for review")
        .to_string();
    assert!(
        said.contains("`pip install x` failed 3 times") && said.contains("hint: "),
        "{said}"
    );
    attempt(&mut tried, &mut waited).expect_err("still for review");
    assert_eq!((tried, waited.len()), (3, 2));
    let path = folder.join(REVIEWS_FILE);
    let found = reviews(&path).expect("reads");
    assert_eq!(
        (found.len(), found[0].fault, found[0].failures),
        (1, InstallFault::Resolve, 3)
    );
    std::fs::write(&path, "hello\n").expect("writes");
    assert!(
        reviews(&path)
            .expect_err("no review")
            .to_string()
            .contains("line 1")
    );
    std::fs::remove_dir_all(&folder).expect("cleans up");
}

#[test]
fn a_fault_is_read_from_what_pip_said() {
    let cases = [
        (
            "ERROR: No matching distribution found for nope==9",
            InstallFault::Resolve,
        ),
        (
            "ERROR: ResolutionImpossible: for help visit",
            InstallFault::Resolve,
        ),
        (
            "Failed to establish a new connection: [Errno -3] Temporary failure in name resolution\nERROR: No matching distribution found for x",
            InstallFault::Network,
        ),
        ("ERROR: Failed building wheel for x", InstallFault::Build),
        ("error: metadata-generation-failed", InstallFault::Build),
        ("ReadTimeoutError: Read timed out.", InstallFault::TimedOut),
        (
            "OSError: [Errno 28] No space left on device",
            InstallFault::Disk,
        ),
        ("it rains", InstallFault::Other),
    ];
    for (said, fault) in cases {
        assert_eq!(InstallFault::from_output(said), fault, "{said}");
    }
}
