//! A work tree outlives its commands, and nothing else does.

use std::sync::Arc;

use data::FileChange;
use sandbox::workspace::{CommandEnd, Workspace};
use sandbox::{Limits, Sandbox};

use super::conformance::Borrowed;
use super::support::*;

const FILES: [(&str, &str); 4] = [
    ("pkg/a.py", "x = 1\n"),
    ("pkg/deep/b.py", "y = 2\n"),
    (
        "test_a.py",
        "from pkg import a\ndef test_x(): assert a.x == 2\n",
    ),
    ("run.sh", "#!/bin/sh\necho ran\n"),
];

fn open(tree: &Tree) -> Option<Workspace> {
    let limits = Limits {
        timeout_s: 20,
        disk_mib: 256,
        output_bytes: 10_000,
        ..Limits::default()
    };
    let sandbox: Arc<dyn Sandbox> = Arc::new(Borrowed(sandbox()?));
    Some(Workspace::open(sandbox, &tree.0, &[], &[".".to_string()], limits).expect("opens"))
}

#[track_caller]
fn says(work: &mut Workspace, command: &str) -> String {
    let run = work.run(command).expect("our part");
    assert_eq!(run.end, CommandEnd::Exited(0), "{command}: {run:#?}");
    assert_eq!(run.lost, None, "{command}");
    run.output()
}

#[test]
fn files_outlive_a_command_and_roll_back_takes_them_back() {
    let tree = Tree::new(&FILES);
    let Some(mut work) = open(&tree) else { return };
    let tests = "python -m pytest -q -p no:cacheprovider test_a.py 2>&1 | tail -1";
    assert!(says(&mut work, tests).contains("1 failed"));
    let began = work.checkpoint();
    says(
        &mut work,
        "sed -i 's/1/2/' pkg/a.py; rm -r pkg/deep; mkdir new; echo z > new/c.py; echo note > /tmp/note; ln -s a.py pkg/l",
    );
    assert!(says(&mut work, tests).contains("1 passed"));
    assert_eq!(
        says(&mut work, "ls pkg new; cat /tmp/note")
            .split_whitespace()
            .collect::<Vec<_>>()
            .len(),
        6
    );
    let change = |path: &str, content: Option<&str>| FileChange {
        path: path.to_string(),
        content: content.map(str::to_string),
    };
    let (changes, others) = work.changes();
    let expected = [
        change("new/c.py", Some("z\n")),
        change("pkg/a.py", Some("x = 2\n")),
        change("pkg/deep/b.py", None),
    ];
    assert_eq!(changes, expected);
    assert_eq!(others, ["pkg/l"]);
    // A folder that is made anew hides what was in it, also for the commands after it.
    says(&mut work, "mkdir -p pkg/deep && echo w > pkg/deep/w.py");
    assert_eq!(says(&mut work, "ls pkg/deep"), "w.py\n");
    says(&mut work, "rm -r new && ln -s /etc new");
    assert!(work.run("echo x > new/passwd").expect("our part").end != CommandEnd::Exited(0));
    work.roll_back(&began);
    assert_eq!(work.changes().0, []);
    assert_eq!(
        says(
            &mut work,
            "cat pkg/a.py pkg/deep/b.py; test -e /tmp/note || echo no note"
        ),
        "x = 1\ny = 2\nno note\n"
    );
    assert_eq!(
        std::fs::read_to_string(tree.0.join("pkg/a.py")).unwrap(),
        "x = 1\n"
    );
}

#[test]
fn what_a_command_leaves_running_ends_with_it() {
    let tree = Tree::new(&FILES);
    let Some(mut work) = open(&tree) else { return };
    let word = format!("left-{}", std::process::id());
    let daemon = format!(
        "for n in 1 2 3; do (setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 0.05; echo {word} >> late; done' &) ; done; sleep 0.2"
    );
    says(&mut work, &daemon);
    assert_eq!(processes_with(&word), 0);
    let size = says(&mut work, "sleep 0.2; wc -l < late");
    assert_eq!(says(&mut work, "wc -l < late"), size);
}

#[test]
fn a_command_has_a_time_limit_no_input_and_no_network_and_keeps_what_it_wrote() {
    let tree = Tree::new(&FILES);
    let Some(mut work) = open(&tree) else { return };
    assert_eq!(says(&mut work, "cat | wc -c"), "0\n");
    let network =
        "python -c \"import socket; socket.create_connection(('1.1.1.1', 53), 2)\" || echo closed";
    assert!(says(&mut work, network).contains("closed"));
    let tree = Tree::new(&FILES);
    let limits = Limits {
        timeout_s: 1,
        ..Limits::default()
    };
    let sandbox: Arc<dyn Sandbox> = Arc::new(Borrowed(sandbox().expect("was there")));
    let mut work = Workspace::open(sandbox, &tree.0, &[], &[], limits).expect("opens");
    let run = work.run("echo kept > kept; sleep 60").expect("our part");
    assert_eq!((run.end, run.lost), (CommandEnd::TimedOut, None));
    assert_eq!(work.changes().0.len(), 1);
}

#[test]
fn floods_and_full_disks_are_bounded_and_take_nothing_with_them() {
    let tree = Tree::new(&FILES);
    let Some(mut work) = open(&tree) else { return };
    says(&mut work, "echo kept > kept");
    let run = work
        .run("echo begin; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo end")
        .expect("our part");
    assert!(run.head.starts_with("begin\n") && run.tail.ends_with("end\n"));
    assert_eq!(run.head.len() + run.tail.len(), 10_000);
    assert_eq!(run.dropped, 50_000_011 - 10_000);
    let full = work
        .run("dd if=/dev/zero of=big bs=1M count=2000 2>/dev/null || echo full")
        .expect("our part");
    assert!(full.output().contains("full"), "{full:#?}");
    assert!(full.lost.is_some_and(|why| why.contains("MiB")));
    let bomb = work
        .run(":(){ :|:& };: ; sleep 0.3; echo after")
        .expect("our part");
    assert!(
        bomb.lost.is_none() || bomb.end != CommandEnd::Exited(0),
        "{bomb:#?}"
    );
    assert_eq!(
        says(&mut work, "cat kept; ls"),
        "kept\nkept\npkg\nrun.sh\ntest_a.py\n"
    );
}

#[test]
fn a_command_that_is_killed_for_its_memory_is_taken_back() {
    let tree = Tree::new(&FILES);
    let Some(sandbox) = sandbox() else { return };
    let sandbox: Arc<dyn Sandbox> = Arc::new(Borrowed(sandbox));
    let limits = Limits {
        timeout_s: 20,
        memory_mib: 300,
        ..Limits::default()
    };
    let mut work = Workspace::open(sandbox, &tree.0, &[], &[], limits).expect("opens");
    says(&mut work, "echo kept > kept");
    let holds = "python -c \"import time; x = b'x' * (150 << 20); time.sleep(10)\" &";
    let run = work
        .run(&format!(
            "echo lost > lost; {holds} {holds} {holds} {holds} wait"
        ))
        .expect("our part");
    assert_eq!(run.end, CommandEnd::OutOfMemory, "{run:#?}");
    assert!(run.lost.is_some());
    let found = says(&mut work, "cat kept; test -e lost || echo none");
    assert_eq!(found, "kept\nnone\n");
}

#[test]
fn a_command_reaches_neither_the_tree_nor_those_who_watch_over_it() {
    let tree = Tree::new(&FILES);
    let Some(mut work) = open(&tree) else { return };
    let attack = "for place in / /usr /etc /run/train /scratch /.host; do echo x > $place/x 2>/dev/null && echo wrote $place; done
kill -9 1 2>/dev/null; kill -9 -1 2>/dev/null
";
    // `kill -9 -1` ends the command itself at most.
    let run = work.run(attack).expect("our part");
    assert!(!run.output().contains("wrote"), "{run:#?}");
    let script = "import os
def attempt(place, flags):
    try:
        os.close(os.open(place, flags | os.O_NONBLOCK))
        print('opened', place)
    except OSError:
        pass
for name in os.listdir('/proc'):
    if name.isdigit() and int(name) not in (os.getpid(), os.getppid()):
        attempt('/proc/%s/mem' % name, os.O_RDWR)
        for inner in ['root/', 'cwd/'] + ['fd/%d' % number for number in range(64)]:
            attempt('/proc/%s/%s' % (name, inner), os.O_RDONLY)
            attempt('/proc/%s/%s' % (name, inner), os.O_WRONLY)
for fd in range(3, 100):
    try:
        os.fstat(fd); print('has', fd)
    except OSError:
        pass
";
    says(&mut work, &format!("cat > look.py <<'EOF'\n{script}\nEOF"));
    let seen = says(
        &mut work,
        "python -c \"$(cat look.py)\"; id -u; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status",
    );
    assert!(!seen.contains("opened") && !seen.contains("has "), "{seen}");
    for line in [
        JOB_UID.to_string(),
        "CapEff:\t0000000000000000".into(),
        "NoNewPrivs:\t1".into(),
        "Seccomp:\t2".into(),
    ] {
        assert!(seen.lines().any(|said| said == line), "{line}: {seen}");
    }
    assert_eq!(
        std::fs::read_to_string(tree.0.join("pkg/a.py")).unwrap(),
        "x = 1\n"
    );
}
