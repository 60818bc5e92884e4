//! How busy the processes below this one keep the machine: those of the tests.
//!
//! In: `/proc`. Out: the share of all cores that they used since the last look; no number at the first.
//! Example: on two cores, one process that never waits is a load of 0.5.
//!
//! Tests run in processes that come and go. What ended is counted with the parent that waited for it, so the sum over
//! all that live, with what each has waited for, leaves nothing out.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// Remembers the last look.
#[derive(Debug)]
pub struct Load {
    own: u32,
    cores: f64,
    last: Option<(Duration, u64)>,
}

/// One process, as `/proc/<pid>/stat` tells it.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Ticks of its own and of the children it waited for.
    ticks: u64,
}

impl Load {
    /// Of the processes below `own`, on so many cores.
    pub fn new(own: u32, cores: usize) -> Self {
        Load {
            own,
            cores: cores.max(1) as f64,
            last: None,
        }
    }

    /// The share of all cores since the last look.
    pub fn share(&mut self, at: Duration) -> Option<f64> {
        let ticks = below(self.own, &processes());
        let (before, old) = self.last.replace((at, ticks))?;
        // A process that was killed by somebody else takes its time with it.
        let used = ticks.saturating_sub(old) as f64 / ticks_per_second();
        let passed = at.saturating_sub(before).as_secs_f64();
        (passed > 0.0).then(|| (used / passed / self.cores).min(1.0))
    }
}

/// CPU time of all processes below one, and below those that it started itself.
pub(crate) fn cpu_below(own: u32) -> Duration {
    Duration::from_secs_f64(below(own, &processes()) as f64 / ticks_per_second())
}

/// What a process started, where that is one.
pub(crate) fn only_child(own: u32) -> Option<u32> {
    let mut children = processes()
        .into_iter()
        .filter(|(_, stat)| stat.parent == own)
        .map(|(pid, _)| pid);
    children.next().filter(|_| children.next().is_none())
}

fn ticks_per_second() -> f64 {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .unwrap_or(0);
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

fn processes() -> HashMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stat = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((
            pid,
            parse(&fs::read_to_string(entry.path().join("stat")).ok()?)?,
        ))
    };
    entries.filter_map(stat).collect()
}

/// The name may hold blanks and brackets; behind its last bracket stand numbers.
fn parse(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line[line.rfind(')')? + 1..].split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = (11..=14).map(number).sum::<Option<u64>>()?;
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        ticks,
    })
}

/// Ticks of all processes below `own`, without its own.
fn below(own: u32, processes: &HashMap<u32, Stat>) -> u64 {
    let is_below = |mut pid: u32| {
        // A process that ended while we looked may leave a circle behind.
        for _ in 0..processes.len() {
            match processes.get(&pid) {
                Some(stat) if stat.parent == own => return true,
                Some(stat) => pid = stat.parent,
                None => return false,
            }
        }
        false
    };
    processes
        .iter()
        .filter(|(pid, _)| is_below(**pid))
        .map(|(_, stat)| stat.ticks)
        .sum()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_is_no_trouble() {
        let line = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 5 6 7";
        assert_eq!(
            parse(line),
            Some(Stat {
                parent: 7,
                ticks: 124
            })
        );
        assert_eq!(parse("42 (a) S"), None);
    }

    #[test]
    fn only_what_runs_below_counts() {
        let of = |parent, ticks| Stat { parent, ticks };
        let processes = [
            (1, of(0, 1)),
            (2, of(1, 10)),
            (3, of(2, 100)),
            (4, of(3, 1000)),
            (5, of(1, 10_000)),
        ];
        assert_eq!(below(2, &HashMap::from(processes)), 1100);
        assert_eq!(
            below(9, &HashMap::from([(3, of(4, 1)), (4, of(3, 1))])),
            0,
            "a circle ends"
        );
    }

    #[test]
    fn a_child_that_is_busy_is_seen_also_after_its_end() {
        let mut load = Load::new(std::process::id(), 1);
        assert_eq!(load.share(Duration::ZERO), None);
        // Its own child does the work, and is waited for.
        let script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; sleep 60";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .spawn()
            .expect("a shell");
        let seen = (1..30_000).any(|at| {
            std::thread::sleep(Duration::from_millis(10));
            load.share(Duration::from_secs(at))
                .is_some_and(|share| share > 0.0)
        });
        child.kill().expect("kills");
        child.wait().expect("a child");
        assert!(seen);
    }
}
