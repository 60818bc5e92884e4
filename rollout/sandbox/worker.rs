//! One fork server and the talk with it.
//!
//! In: a [`Job`]. Out: a [`TestRun`], with every process of the job gone.
//! The job travels in a memory file that only the forked child reads; results come back over a pipe of their own, and
//! what the code prints over another. The byte code of a tree is made by a job of its own and kept in a memory file.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair};
use serde::Serialize;

use super::events::Events;
use super::init::{ARGUMENT, CONTROL, InitConfig, Refused};
use super::tail::Tail;
use super::{End, Job, Limits, SandboxError, Select, TestRun};

/// Starting Python and importing pytest takes less than this on any machine that is fit for use.
const START: Duration = Duration::from_secs(60);
/// Between the order to kill a job and the end of its last process.
const GRACE: Duration = Duration::from_secs(10);

/// What the forked child is told.
#[derive(Serialize)]
struct Spec<'a> {
    nonce: &'a str,
    canaries: (&'a str, &'a str, u32),
    tree: &'a Path,
    changes: &'a [data::FileChange],
    python_path: &'a [String],
    ids: Option<&'a [String]>,
    stop_at_first_failure: bool,
    memory_bytes: u64,
    disk_bytes: u64,
    processes: u64,
    timeout_s: u64,
    /// Whether the tree is compiled instead of tested.
    compile: bool,
}

/// What the fork server says when every process of a job is gone.
struct Done {
    /// Exit status or, when negative, the signal.
    status: i32,
    /// True where it killed the job for its memory.
    out_of_memory: bool,
}

/// A fork server that waits for jobs.
pub(crate) struct Worker {
    child: Child,
    control: OwnedFd,
}

impl Worker {
    /// Starts one. Must be called from a thread that lives as long as the worker: the kernel kills the worker with it.
    pub fn start(program: &Path, config: &InitConfig) -> Result<Worker, SandboxError> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|error| failed("making a socket pair", error.into()))?;
        let log = memory_file("sandbox-log").map_err(|error| failed("making a memory file", error))?;
        let stdio = || log.try_clone().map(Stdio::from).map_err(|error| failed("copying a descriptor", error));
        let mut command = Command::new(program);
        command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(stdio()?).stderr(stdio()?).env_clear();
        let theirs_raw = theirs.as_raw_fd();
        let parent = std::process::id() as libc::pid_t;
        // SAFETY: only calls that are safe after `fork`, on plain integers.
        unsafe {
            command.pre_exec(move || {
                libc::setsid();
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 || libc::getppid() != parent {
                    return Err(io::Error::last_os_error());
                }
                if theirs_raw == CONTROL {
                    libc::fcntl(CONTROL, libc::F_SETFD, 0);
                } else if libc::dup2(theirs_raw, CONTROL) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let mut child = command.spawn().map_err(|error| failed("starting `sandbox-init`", error))?;
        drop(theirs);
        let text = serde_json::to_vec(config).map_err(|error| failed("describing a worker", error.into()))?;
        let told = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&text));
        let worker = Worker { child, control: ours };
        told.map_err(|error| failed("describing a worker", error))?;
        worker.expect_ready(log)?;
        Ok(worker)
    }

    fn expect_ready(&self, mut log: File) -> Result<(), SandboxError> {
        let message = match readable(&[self.control.as_fd()], START) {
            Ok(ready) if ready[0] => receive(&self.control).map_err(|error| failed("starting a worker", error))?,
            Ok(_) => Vec::new(),
            Err(error) => return Err(failed("starting a worker", error)),
        };
        if message.starts_with(b"ready ") {
            return Ok(());
        }
        if let Some(refused) = message.strip_prefix(b"refused ")
            && let Ok(Refused { barrier, reason }) = serde_json::from_slice(refused)
        {
            return Err(SandboxError::Barrier { barrier, reason });
        }
        let mut text = String::new();
        io::Seek::rewind(&mut log).and_then(|()| log.read_to_string(&mut text)).ok();
        let tail: Vec<&str> = text.lines().rev().take(12).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Err(SandboxError::Environment(format!(
            "the test runner did not start inside of the sandbox; it said:\n{}",
            tail.join("\n")
        )))
    }

    /// Runs one job, with the byte code of its clean tree where there is some. After an error the worker must not be
    /// used again.
    pub fn run(&mut self, job: &Job, compiled: Option<&File>) -> Result<TestRun, SandboxError> {
        self.work(job, compiled, false)
    }

    /// The byte code of a clean tree, for the jobs on it. Nothing of the tree is run.
    pub fn compile(&mut self, tree: &Path) -> Result<File, SandboxError> {
        let told = |error| failed("compiling a tree", error);
        let file = memory_file("compiled").map_err(told)?;
        let job = Job {
            tree: tree.to_path_buf(),
            changes: Vec::new(),
            python_path: Vec::new(),
            select: Select::All,
            stop_at_first_failure: true,
            limits: Limits::default(),
        };
        let run = self.work(&job, Some(&file), true)?;
        if run.end != (End::Finished { exit: 0 }) {
            return Err(told(io::Error::other(run.output)));
        }
        // Whoever is given it can only read it.
        let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(|error| told(error.into()))?;
        Ok(file)
    }

    fn work(&mut self, job: &Job, compiled: Option<&File>, compile: bool) -> Result<TestRun, SandboxError> {
        let began = Instant::now();
        let names = Names::draw().map_err(|error| failed("drawing a nonce", error))?;
        let mut events = Events::new(names.nonce.clone(), names.canaries.clone());
        let (event_pipe, output_pipe) = self.send(job, &names, compiled, compile)?;
        let mut pipes = Pipes::new(event_pipe, output_pipe, job.limits.output_bytes)?;
        let mut deadline = began + Duration::from_secs(job.limits.timeout_s);
        let mut killed = false;
        let mut done = None;
        while done.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && killed {
                return Err(failed("killing a job", io::ErrorKind::TimedOut.into()));
            }
            if left.is_zero() {
                // A run that has told its end is not late, however long its goodbye takes.
                killed = !events.finished();
                self.order_kill()?;
                deadline = Instant::now() + GRACE;
                if !killed {
                    done = Some(self.expect_done(deadline)?);
                }
                continue;
            }
            if pipes.wait(&self.control, left)? {
                done = Some(self.read_done()?);
            }
            pipes.drain(&mut events)?;
        }
        // Every process that could write is gone, so what the pipes still hold is all there will ever be.
        pipes.drain(&mut events)?;
        let Done { status, out_of_memory } = done.unwrap_or(Done { status: -1, out_of_memory: false });
        let run = events
            .into_run(killed, status, pipes.output.text(), began.elapsed())
            .map_err(|Refused { barrier, reason }| SandboxError::Barrier { barrier, reason })?;
        Ok(if out_of_memory { TestRun { end: End::OutOfMemory, ..run } } else { run })
    }

    /// Hands over the job and returns the reading ends of its pipes.
    fn send(
        &self,
        job: &Job,
        names: &Names,
        compiled: Option<&File>,
        compile: bool,
    ) -> Result<(OwnedFd, OwnedFd), SandboxError> {
        let tree = job.tree.canonicalize().map_err(|error| {
            SandboxError::Environment(format!("the source tree `{}` cannot be opened: {error}", job.tree.display()))
        })?;
        const MIB: u64 = 1 << 20;
        let spec = Spec {
            nonce: &names.nonce,
            canaries: (&names.canaries[0], &names.canaries[1], names.place),
            tree: &tree,
            changes: &job.changes,
            python_path: &job.python_path,
            ids: match &job.select {
                Select::All => None,
                Select::Ids(ids) => Some(ids),
            },
            stop_at_first_failure: job.stop_at_first_failure,
            memory_bytes: job.limits.memory_mib * MIB,
            disk_bytes: job.limits.disk_mib * MIB,
            processes: job.limits.processes,
            timeout_s: job.limits.timeout_s,
            compile,
        };
        let text = serde_json::to_vec(&spec).map_err(|error| failed("describing a job", error.into()))?;
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
            let mut descriptors = vec![file.as_raw_fd(), event_end.as_raw_fd(), output_end.as_raw_fd()];
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
        match sendmsg::<()>(self.control.as_raw_fd(), &message, &[], MsgFlags::MSG_NOSIGNAL, None) {
            Ok(_) => Ok(()),
            Err(error) => Err(failed("killing a job", error.into())),
        }
    }

    fn expect_done(&self, deadline: Instant) -> Result<Done, SandboxError> {
        let left = deadline.saturating_duration_since(Instant::now());
        match readable(&[self.control.as_fd()], left) {
            Ok(ready) if ready[0] => self.read_done(),
            Ok(_) => Err(failed("killing a job", io::ErrorKind::TimedOut.into())),
            Err(error) => Err(failed("waiting for a job", error)),
        }
    }

    fn read_done(&self) -> Result<Done, SandboxError> {
        let message = receive(&self.control).map_err(|error| failed("waiting for a job", error))?;
        let text = String::from_utf8_lossy(&message);
        let parse = |told: &str| {
            let (status, rest) = told.split_once(' ').unwrap_or((told, ""));
            Some(Done { status: status.trim().parse().ok()?, out_of_memory: rest == "memory" })
        };
        text.strip_prefix("done ")
            .and_then(parse)
            .ok_or_else(|| failed("waiting for a job", io::Error::other("the worker is gone")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What only this job and we know.
struct Names {
    nonce: String,
    canaries: [String; 2],
    place: u32,
}

impl Names {
    fn draw() -> io::Result<Names> {
        let mut bytes = [0u8; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let canary = |bytes: &[u8]| format!("test_{}", hex(bytes));
        Ok(Names {
            nonce: hex(&bytes[..16]),
            canaries: [canary(&bytes[16..22]), canary(&bytes[22..28])],
            place: u32::from_ne_bytes([0, bytes[29], bytes[30], bytes[31]]),
        })
    }
}

/// The reading ends of a job's pipes.
struct Pipes {
    events: File,
    stdout: File,
    open: [bool; 2],
    output: Tail,
}

impl Pipes {
    fn new(events: OwnedFd, output: OwnedFd, keep: usize) -> Result<Pipes, SandboxError> {
        Ok(Pipes { events: events.into(), stdout: output.into(), open: [true; 2], output: Tail::new(keep) })
    }

    /// Waits until something can be read; true when the worker has an answer.
    fn wait(&self, control: &OwnedFd, time: Duration) -> Result<bool, SandboxError> {
        let mut sources = vec![control.as_fd()];
        for (file, open) in [&self.events, &self.stdout].into_iter().zip(self.open) {
            if open {
                sources.push(file.as_fd());
            }
        }
        let ready = readable(&sources, time).map_err(|error| failed("waiting for a job", error))?;
        Ok(ready[0])
    }

    /// Reads what is there, without waiting, and not for ever: a flood is read in turns.
    fn drain(&mut self, events: &mut Events) -> Result<(), SandboxError> {
        let mut buffer = [0u8; 1 << 16];
        for turn in 0..2 {
            for _ in 0..64 {
                let file = if turn == 0 { &mut self.events } else { &mut self.stdout };
                match file.read(&mut buffer) {
                    Ok(0) => {
                        self.open[turn] = false;
                        break;
                    }
                    Ok(count) if turn == 0 => events.take(&buffer[..count]),
                    Ok(count) => self.output.take(&buffer[..count]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(failed("reading from a job", error)),
                }
            }
        }
        Ok(())
    }
}

fn memory_file(name: &str) -> io::Result<File> {
    Ok(memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?.into())
}

fn failed(doing: &str, source: io::Error) -> SandboxError {
    SandboxError::Io { doing: doing.to_string(), source }
}

fn receive(control: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0u8; 1 << 16];
    let count = {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        recvmsg::<()>(control.as_raw_fd(), &mut slices, None, MsgFlags::MSG_CMSG_CLOEXEC)?.bytes
    };
    buffer.truncate(count);
    Ok(buffer)
}

/// Which of these can be read (or are closed) before the time is over.
fn readable(sources: &[std::os::fd::BorrowedFd<'_>], time: Duration) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = sources.iter().map(|source| PollFd::new(*source, PollFlags::POLLIN)).collect();
    let milliseconds = i32::try_from(time.as_millis() + 1).unwrap_or(i32::MAX);
    let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
    match poll(&mut polled, timeout) {
        Ok(_) => {}
        Err(nix::Error::EINTR) => return Ok(vec![false; sources.len()]),
        Err(error) => return Err(error.into()),
    }
    Ok(polled.iter().map(|source| source.any().unwrap_or(false)).collect())
}
