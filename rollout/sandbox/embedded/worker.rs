//! One fork server and the talk with it.
//!
//! In: a [`Job`]. Out: a [`TestRun`], with every process of the job gone.
//! The job travels in a memory file that only the forked child reads; results come back over a pipe of their own, and
//! what the code prints over another. The byte code of a tree is made by a job of its own and kept in a memory file.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair,
};

use super::cgroup::{Bounds, Group, Meter};
use super::init::{ARGUMENT, CONTROL, InitConfig, Refused};
use super::outside;
use super::pipes::{Pipes, failed, memory_file, readable, receive};
use super::sys;
use crate::ablation::Ablation;
use crate::cpu;
use crate::events::Events;
use crate::overtime::next_look;
use crate::spec::{Names, Spec, Work};
use crate::tail::Tail;
use crate::workspace::{CommandEnd, CommandRun};
use crate::{End, Job, Limits, SandboxError, TestRun};

/// Starting Python and importing pytest takes less than this on any machine that is fit for use.
const START: Duration = Duration::from_secs(60);
/// Between the order to kill a job and the end of its last process.
const GRACE: Duration = Duration::from_secs(10);
const MIB: u64 = 1 << 20;
/// A command's own time limit is kept inside; so much later the whole job is killed.
const WATCHED: Duration = Duration::from_secs(20);
/// CPUs that a job may keep busy; its CPU time has the same factor over its wall time.
const CPUS: u64 = 4;
/// Compiling a tree ends by itself before this, and a probe has little to do.
const OWN_WORK_S: u64 = 30;
/// Between two looks at what the kernel killed for memory.
const LOOK: Duration = Duration::from_millis(100);

/// What is done with the tree.
#[derive(Clone, Copy)]
enum Task<'a> {
    Test,
    Compile,
    /// What the kernel says about the barriers, printed as JSON. Nothing of the tree is read.
    Probe,
    Command(&'a [String]),
    /// A command in a work tree.
    Work(Work<'a>),
    /// Tests, with defences off.
    Ablation(&'a Ablation),
}

/// What the fork server says when every process of a job is gone.
struct Done {
    /// Exit status or, when negative, the signal.
    status: i32,
    /// True where it killed the job for its memory.
    out_of_memory: bool,
}

/// A job that was heard to its end.
struct Heard {
    events: Events,
    output: Tail,
    late: bool,
    status: i32,
    out_of_memory: bool,
    wall: Duration,
    cpu: Option<Duration>,
}

impl Heard {
    fn into_run(self, output: String) -> Result<TestRun, SandboxError> {
        let run = self
            .events
            .into_run(self.late, self.status, output, self.wall)
            .map_err(|Refused { barrier, reason }| SandboxError::Barrier { barrier, reason })?;
        let end = if self.out_of_memory {
            End::OutOfMemory
        } else {
            run.end
        };
        Ok(TestRun {
            end,
            cpu: self.cpu,
            ..run
        })
    }
}

/// Why a job was killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Late,
    /// It has told its end, but its goodbye takes too long.
    Goodbye,
    Memory,
}

/// A fork server that waits for jobs.
pub(crate) struct Worker {
    child: Child,
    /// Its end tells `sandbox-init` to clean up; so does ours, however it comes about.
    lifeline: Option<ChildStdin>,
    control: OwnedFd,
    /// The cgroup, or why there is none.
    group: Result<Group, String>,
    meter: Option<Meter>,
    barriers: Vec<String>,
    /// It was told to kill a job and did not answer.
    hung: bool,
}

impl Worker {
    /// Starts one, and proves its barriers.
    pub fn start(program: &Path, config: &InitConfig) -> Result<Worker, SandboxError> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(|error| failed("making a socket pair", error.into()))?;
        let log =
            memory_file("sandbox-log").map_err(|error| failed("making a memory file", error))?;
        let stdio = || {
            log.try_clone()
                .map(Stdio::from)
                .map_err(|error| failed("copying a descriptor", error))
        };
        let mut command = Command::new(program);
        command
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(stdio()?)
            .stderr(stdio()?)
            .env_clear();
        sys::hand_over(&mut command, theirs.as_raw_fd(), CONTROL);
        let mut child = command
            .spawn()
            .map_err(|error| failed("starting `sandbox-init`", error))?;
        drop(theirs);
        let lifeline = child.stdin.take();
        let group = Err("the worker did not start".to_string());
        let mut worker = Worker {
            child,
            lifeline,
            control: ours,
            group,
            meter: None,
            barriers: Vec::new(),
            hung: false,
        };
        let mut text = serde_json::to_vec(config)
            .map_err(|error| failed("describing a worker", error.into()))?;
        text.push(b'\n');
        let told = worker
            .lifeline
            .as_mut()
            .map_or(Ok(()), |lifeline| lifeline.write_all(&text));
        told.map_err(|error| failed("describing a worker", error))?;
        worker.expect_ready(log)?;
        if let Ok(group) = &worker.group {
            let meter =
                Meter::new(group.clone()).map_err(|error| failed("reading a cgroup", error))?;
            worker.meter = Some(meter);
        }
        worker.barriers = worker.probe()?;
        Ok(worker)
    }

    fn expect_ready(&mut self, mut log: File) -> Result<(), SandboxError> {
        let deadline = Instant::now() + START;
        while let Some(message) = self.next_message(deadline)? {
            if let Some(group) = message.strip_prefix(b"group ") {
                self.group = serde_json::from_slice(group)
                    .map_err(|error| failed("reading a cgroup", error.into()))?;
            } else if message.starts_with(b"ready ") {
                return Ok(());
            } else if let Some(refused) = message.strip_prefix(b"refused ")
                && let Ok(Refused { barrier, reason }) = serde_json::from_slice(refused)
            {
                return Err(outside::refused(barrier, reason));
            } else {
                break;
            }
        }
        let mut text = String::new();
        io::Seek::rewind(&mut log)
            .and_then(|()| log.read_to_string(&mut text))
            .ok();
        let tail: Vec<&str> = text.lines().rev().take(12).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Err(SandboxError::Environment(format!(
            "the test runner did not start inside of the sandbox; it said:\n{}",
            tail.join("\n")
        )))
    }

    /// What a worker that starts says next; none where it says nothing or has ended.
    fn next_message(&self, deadline: Instant) -> Result<Option<Vec<u8>>, SandboxError> {
        let told = |error| failed("starting a worker", error);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if readable(&[self.control.as_fd()], left).map_err(told)?[0] {
                let message = receive(&self.control).map_err(told)?;
                return Ok(Some(message).filter(|message| !message.is_empty()));
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// The barriers around its jobs, as the kernel told them.
    pub fn barriers(&self) -> &[String] {
        &self.barriers
    }

    /// Why its jobs are in no cgroup, where they are not.
    pub fn no_cgroup(&self) -> Option<&str> {
        self.group.as_ref().err().map(String::as_str)
    }

    /// Whether the fork server has ended or answers no more, which no job can bring about.
    pub fn is_gone(&mut self) -> bool {
        self.hung || !matches!(self.child.try_wait(), Ok(None)) || self.order_kill().is_err()
    }

    /// A job that asks the kernel what stands around it.
    fn probe(&mut self) -> Result<Vec<String>, SandboxError> {
        let run = self.work(&whole(Path::new("/usr")), None, Task::Probe)?;
        let told = |error: String| {
            failed(
                "asking for the barriers of a worker",
                io::Error::other(error),
            )
        };
        if run.end != (End::Finished { exit: 0 }) {
            return Err(told(run.output));
        }
        serde_json::from_str(&run.output).map_err(|error| told(format!("{error}: {}", run.output)))
    }

    /// Runs one job, with the byte code of its clean tree where there is some. After an error the worker must not be
    /// used again.
    pub fn run(
        &mut self,
        job: &Job,
        compiled: Option<&File>,
        ablation: &Ablation,
    ) -> Result<TestRun, SandboxError> {
        match ablation.is_whole() {
            true => self.work(job, compiled, Task::Test),
            false => self.work(job, None, Task::Ablation(ablation)),
        }
    }

    /// Runs a program instead of tests; it ends with its own exit status.
    pub fn command(&mut self, job: &Job, words: &[String]) -> Result<TestRun, SandboxError> {
        let run = self.work(job, None, Task::Command(words))?;
        Ok(match run.end {
            End::Died { exit } => TestRun {
                end: End::Finished { exit },
                ..run
            },
            _ => run,
        })
    }

    /// The byte code of a clean tree, for the jobs on it. Nothing of the tree is run.
    pub fn compile(&mut self, tree: &Path) -> Result<File, SandboxError> {
        let told = |error| failed("compiling a tree", error);
        let file = memory_file("compiled").map_err(told)?;
        let run = self.work(&whole(tree), Some(&file), Task::Compile)?;
        if run.end != (End::Finished { exit: 0 }) {
            return Err(told(io::Error::other(run.output)));
        }
        // Whoever is given it can only read it.
        let seals = SealFlag::F_SEAL_WRITE
            | SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(|error| told(error.into()))?;
        Ok(file)
    }

    fn work(
        &mut self,
        job: &Job,
        compiled: Option<&File>,
        task: Task<'_>,
    ) -> Result<TestRun, SandboxError> {
        let kept = Tail::new(job.limits.output_bytes);
        let mut heard = self.hear(job, compiled, task, kept)?;
        let output = heard.output.text();
        heard.into_run(output)
    }

    /// Runs a command in a work tree.
    pub fn command_in(&mut self, job: &Job, work: Work<'_>) -> Result<CommandRun, SandboxError> {
        // The process that watches over the command knows its time, and needs some to look at what it left.
        let mut heard = self.hear(job, None, Task::Work(work), CommandRun::kept(&job.limits))?;
        let (worked, output) = (heard.events.take_worked(), heard.output);
        heard.output = Tail::new(0);
        let run = heard.into_run(String::new())?;
        Ok(CommandRun::new(
            worked,
            CommandEnd::from_run(&run),
            output,
            run.wall,
        ))
    }

    /// Hears a job to its end.
    fn hear(
        &mut self,
        job: &Job,
        compiled: Option<&File>,
        task: Task<'_>,
        kept: Tail,
    ) -> Result<Heard, SandboxError> {
        let began = Instant::now();
        let names = Names::draw().map_err(|error| failed("drawing a nonce", error))?;
        let mut events = Events::new(names.nonce.clone(), names.canaries.clone());
        if let Task::Ablation(ablation) = task {
            events.weaken(ablation);
        }
        let counted = self.bound(&job.limits)?;
        let (event_pipe, output_pipe) = self.send(job, &names, compiled, task)?;
        let mut pipes = Pipes::new(event_pipe, output_pipe, kept);
        let watched = if matches!(task, Task::Work(_)) {
            WATCHED
        } else {
            Duration::ZERO
        };
        let limit = Duration::from_secs(job.limits.timeout_s) + watched;
        let (mut deadline, mut look) = (began + limit, began + LOOK);
        let (mut order, mut cpu) = (None, None);
        let done = loop {
            let now = Instant::now();
            if now >= deadline && order.is_none() && !events.finished() {
                cpu = self.cpu_of_job();
                if let Some(at) = next_look(limit, now - began, cpu) {
                    deadline = began + at;
                }
            }
            let kill = if now >= deadline {
                // A run that has told its end is not late, however long its goodbye takes.
                Some(if events.finished() {
                    Order::Goodbye
                } else {
                    Order::Late
                })
            } else if order.is_none() && now >= look {
                look = now + LOOK;
                (self.killed_for_memory()? > counted).then_some(Order::Memory)
            } else {
                None
            };
            if kill.is_some() {
                if order.is_some() {
                    self.hung = true;
                    return Err(failed("killing a job", io::ErrorKind::TimedOut.into()));
                }
                order = kill;
                self.order_kill()?;
                deadline = now + GRACE;
            }
            let until = if order.is_none() && self.meter.is_some() {
                deadline.min(look)
            } else {
                deadline
            };
            let ready = pipes.wait(&self.control, until.saturating_duration_since(now))?;
            pipes.drain(&mut events)?;
            if ready {
                break self.read_done()?;
            }
        };
        // Every process that could write is gone, so what the pipes still hold is all there will ever be.
        pipes.drain(&mut events)?;
        let out_of_memory = done.out_of_memory || self.killed_for_memory()? > counted;
        Ok(Heard {
            events,
            output: pipes.output,
            late: order == Some(Order::Late),
            status: done.status,
            out_of_memory,
            wall: began.elapsed(),
            cpu: cpu.filter(|_| order == Some(Order::Late)),
        })
    }

    /// What the processes of the job used of the CPU: those below the fork server, which is all that `sandbox-init` has.
    fn cpu_of_job(&self) -> Option<Duration> {
        cpu::only_child(self.child.id()).map(cpu::cpu_below)
    }

    /// Sets the limits of the cgroup, and returns what was killed for memory so far.
    fn bound(&mut self, limits: &Limits) -> Result<u64, SandboxError> {
        if let Some(meter) = &mut self.meter {
            // What lies in the job's file systems lies in memory, and is not what it is killed for.
            let bytes = (limits.memory_mib + limits.disk_mib) * MIB;
            let bounds = Bounds {
                bytes,
                processes: limits.processes,
                cpus: CPUS,
            };
            meter
                .bound(bounds)
                .map_err(|error| failed("setting the limits of a cgroup", error))?;
        }
        self.killed_for_memory()
    }

    fn killed_for_memory(&self) -> Result<u64, SandboxError> {
        let count = self.meter.as_ref().map_or(Ok(0), Meter::killed_for_memory);
        count.map_err(|error| failed("reading a cgroup", error))
    }

    /// Hands over the job and returns the reading ends of its pipes.
    fn send(
        &self,
        job: &Job,
        names: &Names,
        compiled: Option<&File>,
        task: Task<'_>,
    ) -> Result<(OwnedFd, OwnedFd), SandboxError> {
        let tree = job.tree.canonicalize().map_err(|error| {
            SandboxError::Environment(format!(
                "the source tree `{}` cannot be opened: {error}",
                job.tree.display()
            ))
        })?;
        let mut spec = Spec::new(job, &tree, names, matches!(task, Task::Compile));
        spec.probe = matches!(task, Task::Probe);
        if let Task::Command(words) = task {
            spec.command = Some(words);
        }
        if let Task::Ablation(ablation) = task {
            spec.ablation = Some(ablation);
        }
        if let Task::Work(work) = task {
            spec.workspace = Some(work);
        }
        let text =
            serde_json::to_vec(&spec).map_err(|error| failed("describing a job", error.into()))?;
        let hand_over = || -> io::Result<(OwnedFd, OwnedFd)> {
            let mut file = memory_file("job")?;
            file.write_all(&text)?;
            io::Seek::rewind(&mut file)?;
            let (events, event_end) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
            let (output, output_end) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
            for end in [&events, &output] {
                fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            }
            let message = format!("job {}", spec.memory_bytes);
            let mut descriptors = vec![
                file.as_raw_fd(),
                event_end.as_raw_fd(),
                output_end.as_raw_fd(),
            ];
            descriptors.extend(compiled.map(AsRawFd::as_raw_fd));
            sendmsg::<()>(
                self.control.as_raw_fd(),
                &[IoSlice::new(message.as_bytes())],
                &[ControlMessage::ScmRights(&descriptors)],
                MsgFlags::MSG_NOSIGNAL,
                None,
            )?;
            Ok((events, output))
        };
        hand_over().map_err(|error| failed("handing a job to a worker", error))
    }

    fn order_kill(&self) -> Result<(), SandboxError> {
        let message = [IoSlice::new(b"kill")];
        match sendmsg::<()>(
            self.control.as_raw_fd(),
            &message,
            &[],
            MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Ok(_) => Ok(()),
            Err(error) => Err(failed("killing a job", error.into())),
        }
    }

    fn read_done(&self) -> Result<Done, SandboxError> {
        let message = receive(&self.control).map_err(|error| failed("waiting for a job", error))?;
        let text = String::from_utf8_lossy(&message);
        let parse = |told: &str| {
            let (status, rest) = told.split_once(' ').unwrap_or((told, ""));
            Some(Done {
                status: status.trim().parse().ok()?,
                out_of_memory: rest == "memory",
            })
        };
        text.strip_prefix("done ")
            .and_then(parse)
            .ok_or_else(|| failed("waiting for a job", io::Error::other("the worker is gone")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.lifeline = None;
        let began = Instant::now();
        while began.elapsed() < GRACE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.child.kill().ok();
        self.child.wait().ok();
        // Nothing is left of it, unless somebody killed `sandbox-init`.
        self.group.iter().for_each(Group::remove);
    }
}

/// A job over a tree as it is.
fn whole(tree: &Path) -> Job {
    Job::whole(
        tree,
        Limits {
            timeout_s: OWN_WORK_S,
            ..Limits::default()
        },
    )
}
