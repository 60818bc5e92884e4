//! The limits of a worker's cgroup, set anew for each job, and the kernel's own count of what it killed for memory.
//!
//! In: the bounds of a job. Out: how often the kernel ran out of that memory, read before the cgroup is removed. An exit
//! status of 137 says nothing: anybody may send that signal.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use super::Group;

/// What the fork server needs beside its job: pages that it shares with nobody, sockets, its own watch.
const SPARE_BYTES: u64 = 16 << 20;
/// The fork server, and a child of its own that ends.
const SPARE_PROCESSES: u64 = 4;
/// The pages of the last job go back within this.
const SETTLE: Duration = Duration::from_secs(2);
const PERIOD_US: u64 = 100_000;

/// What a job may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Memory with the pages of its file systems, which are kept in memory too.
    pub bytes: u64,
    pub processes: u64,
    pub cpus: u64,
}

/// Reads and sets the knobs of a cgroup.
pub(crate) struct Meter {
    group: Group,
    /// What the fork server alone uses.
    base: u64,
    set: Option<Bounds>,
}

impl Meter {
    /// Takes over a cgroup whose fork server is ready and has no job.
    pub fn new(group: Group) -> io::Result<Meter> {
        let mut meter = Meter {
            group,
            base: 0,
            set: None,
        };
        let used = if meter.group.version == 1 {
            "memory.usage_in_bytes"
        } else {
            "memory.current"
        };
        meter.base = meter
            .read("memory", used)?
            .trim()
            .parse()
            .map_err(io::Error::other)?;
        Ok(meter)
    }

    /// Sets the bounds of the next job, where they differ from those of the last.
    pub fn bound(&mut self, bounds: Bounds) -> io::Result<()> {
        if self.set == Some(bounds) {
            return Ok(());
        }
        self.set = None;
        let memory = (self.base + bounds.bytes + SPARE_BYTES).to_string();
        let processes = (bounds.processes + SPARE_PROCESSES).to_string();
        let quota = bounds.cpus * PERIOD_US;
        if self.group.version == 1 {
            // The limit with swap may never be the lower one, so it is written on both sides; not every kernel has it.
            self.write("memory", "memory.memsw.limit_in_bytes", &memory)
                .ok();
            self.settle("memory.limit_in_bytes", &memory)?;
            self.write("memory", "memory.memsw.limit_in_bytes", &memory)
                .ok();
            self.write("pids", "pids.max", &processes)?;
            self.write("cpu", "cpu.cfs_period_us", &PERIOD_US.to_string())?;
            self.write("cpu", "cpu.cfs_quota_us", &quota.to_string())?;
        } else {
            self.write("memory", "memory.max", &memory)?;
            self.write("memory", "memory.swap.max", "0").ok();
            self.write("pids", "pids.max", &processes)?;
            self.write("cpu", "cpu.max", &format!("{quota} {PERIOD_US}"))?;
        }
        self.set = Some(bounds);
        Ok(())
    }

    /// How many processes the kernel has killed in it for want of memory, since it was made.
    pub fn killed_for_memory(&self) -> io::Result<u64> {
        let file = if self.group.version == 1 {
            "memory.oom_control"
        } else {
            "memory.events"
        };
        let text = self.read("memory", file)?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count
            .and_then(|count| count.trim().parse().ok())
            .ok_or_else(|| io::Error::other("no `oom_kill` is counted"))
    }

    /// A limit below what is used is busy until the last job's pages are gone.
    fn settle(&self, file: &str, text: &str) -> io::Result<()> {
        let began = Instant::now();
        loop {
            match self.write("memory", file, text) {
                Err(error)
                    if error.kind() == io::ErrorKind::ResourceBusy && began.elapsed() < SETTLE =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                other => return other,
            }
        }
    }

    fn read(&self, controller: &str, file: &str) -> io::Result<String> {
        let folder = self
            .group
            .folder(controller)
            .ok_or(io::ErrorKind::NotFound)?;
        fs::read_to_string(folder.join(file))
    }

    /// A controller that is not there has nothing to be written to.
    fn write(&self, controller: &str, file: &str, text: &str) -> io::Result<()> {
        let Some(folder) = self.group.folder(controller) else {
            return Ok(());
        };
        let path = folder.join(file);
        if controller == "cpu" && !path.exists() {
            return Ok(());
        }
        fs::write(&path, text)
            .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// The files of a cgroup as an ordinary folder.
    fn meter(version: u8, files: &[(&str, &str)]) -> (Meter, PathBuf) {
        let place = std::env::temp_dir().join(format!("meter-{version}-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        for (name, text) in files {
            fs::write(place.join(name), text).unwrap();
        }
        let folders = ["memory", "pids", "cpu"]
            .map(|name| (name.to_string(), place.clone()))
            .to_vec();
        (Meter::new(Group { version, folders }).unwrap(), place)
    }

    const BOUNDS: Bounds = Bounds {
        bytes: 1 << 30,
        processes: 60,
        cpus: 2,
    };

    #[test]
    fn version_2_is_told_in_its_own_words() {
        let events = "low 0\nhigh 0\nmax 7\noom 1\noom_kill 3\noom_group_kill 0\n";
        let files = [
            ("memory.current", "4096\n"),
            ("memory.events", events),
            ("cpu.max", ""),
        ];
        let (mut meter, place) = meter(2, &files);
        meter.bound(BOUNDS).unwrap();
        let read = |file: &str| fs::read_to_string(place.join(file)).unwrap();
        assert_eq!(
            read("memory.max"),
            ((1u64 << 30) + 4096 + SPARE_BYTES).to_string()
        );
        assert_eq!(
            (read("memory.swap.max").as_str(), read("pids.max").as_str()),
            ("0", "64")
        );
        assert_eq!(read("cpu.max"), "200000 100000");
        assert_eq!(meter.killed_for_memory().unwrap(), 3);
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn version_1_is_told_in_its_own_words() {
        let control = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
        let files = [
            ("memory.usage_in_bytes", "0\n"),
            ("memory.oom_control", control),
            ("cpu.cfs_quota_us", "-1"),
        ];
        let (mut meter, place) = meter(1, &files);
        fs::write(place.join("cpu.cfs_period_us"), "").unwrap();
        meter.bound(BOUNDS).unwrap();
        let read = |file: &str| fs::read_to_string(place.join(file)).unwrap();
        assert_eq!(
            read("memory.limit_in_bytes"),
            ((1u64 << 30) + SPARE_BYTES).to_string()
        );
        assert_eq!(
            (read("pids.max").as_str(), read("cpu.cfs_quota_us").as_str()),
            ("64", "200000")
        );
        assert_eq!(meter.killed_for_memory().unwrap(), 2);
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn without_a_count_nothing_is_believed() {
        let (meter, place) = meter(3, &[("memory.current", "0"), ("memory.events", "oom 1\n")]);
        assert!(meter.killed_for_memory().is_err());
        fs::remove_dir_all(place).unwrap();
    }
}
