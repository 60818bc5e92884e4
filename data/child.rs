//! This program, started again to do one thing that may go wrong: it can panic, hang, or ask for all memory there is,
//! and ends nobody else.
//!
//! In: a hidden first argument, numbers after it, and standard input. Out: lines on standard output, or frames (a length
//! of eight bytes, then as many bytes), each no longer than was agreed. The child has no environment and limits on
//! memory, time and files.
//! A program whose `main` does not begin with [`main_if_asked`] is refused, unless it says with [`in_this_process`] that it
//! reads nothing of unknown origin.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, sync_channel};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, setrlimit};

use crate::{source, template};

/// Lines or frames that wait for the parent.
const WAITING: usize = 2;
/// What the pipe between the two holds.
const PIPE_BYTES: i32 = 1 << 20;

/// The program that can be started again, or why there is none; nothing where this process does it itself.
static PROGRAM: OnceLock<Result<Option<PathBuf>, String>> = OnceLock::new();

/// Becomes a child when the first argument asks for it, and never returns then. The first line of every `main` that
/// reads rows or chat templates of unknown origin.
pub fn main_if_asked() {
    let mut arguments = std::env::args().skip(1);
    let serve: fn(&[u64]) -> io::Result<()> = match arguments.next().as_deref() {
        Some(source::rows::CHILD_ARGUMENT) => source::rows::serve,
        Some(template::CHILD_ARGUMENT) => template::serve,
        _ => {
            let program = std::env::current_exe().map(Some);
            let _ = PROGRAM.set(
                program.map_err(|error| format!("this program cannot be found again: {error}")),
            );
            return;
        }
    };
    let numbers: Vec<u64> = arguments.filter_map(|number| number.parse().ok()).collect();
    std::process::exit(if serve(&numbers).is_ok() { 0 } else { 1 });
}

/// Has this process do itself what children are there for. Only for tests, which read what they have written: a file that
/// is made to do harm ends the process, or takes all of its memory.
pub fn in_this_process() {
    let _ = PROGRAM.set(Ok(None));
}

/// The program that can be started again; none where this process does the work.
///
/// # Errors
///
/// When neither was decided: nothing of unknown origin is read by accident where it can do harm.
pub(crate) fn program() -> io::Result<Option<&'static Path>> {
    let undecided = "its `main` does not begin with `data::child::main_if_asked`";
    match PROGRAM.get() {
        Some(Ok(program)) => Ok(program.as_deref()),
        Some(Err(why)) => Err(io::Error::other(why.as_str())),
        None if cfg!(test) => Ok(None),
        None => Err(io::Error::other(undecided)),
    }
}

/// In the child: what it may use from here on. Nobody reads standard error, so a panic says nothing.
pub(crate) fn limit(memory: u64, seconds: Option<u64>) -> io::Result<()> {
    setrlimit(Resource::RLIMIT_AS, memory, memory)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    if let Some(seconds) = seconds {
        setrlimit(Resource::RLIMIT_CPU, seconds, seconds)?;
    }
    std::panic::set_hook(Box::new(|_| ()));
    Ok(())
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied())
        .unwrap_or("it did not say why")
}

/// A child that never outlives its use.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    /// Its lines or frames, read by a thread so that silence can be noticed. The last one is missing where it has no end.
    pub(crate) lines: Receiver<Vec<u8>>,
}

/// Reads one line or frame, no longer than agreed; none where there is no whole one.
type ReadOne = fn(&mut BufReader<ChildStdout>, usize) -> Option<Vec<u8>>;

impl Child {
    /// Starts `program` with `argument` and `numbers`; it answers with lines.
    pub(crate) fn start(
        program: &Path,
        argument: &str,
        numbers: &[u64],
        input: Stdio,
        longest_line: usize,
    ) -> io::Result<Child> {
        Child::spawn(program, argument, numbers, input, (line, longest_line))
    }

    /// As [`Child::start`]; it answers with frames, see [`write_frame`].
    pub(crate) fn start_framed(
        program: &Path,
        argument: &str,
        numbers: &[u64],
        input: Stdio,
        longest_frame: usize,
    ) -> io::Result<Child> {
        Child::spawn(program, argument, numbers, input, (frame, longest_frame))
    }

    fn spawn(
        program: &Path,
        argument: &str,
        numbers: &[u64],
        input: Stdio,
        (one, longest): (ReadOne, usize),
    ) -> io::Result<Child> {
        let mut process = Command::new(program)
            .arg(argument)
            .args(numbers.iter().map(u64::to_string))
            .env_clear()
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is meant for the parent, which may go on. Without it a child has nobody to write to, and its limits.
            .process_group(0)
            .spawn()?;
        let lines = answers_of(&mut process, one, longest);
        Ok(Child { process, lines })
    }

    /// Where it reads, when it was started with a pipe.
    pub(crate) fn input(&mut self) -> io::Result<&mut ChildStdin> {
        self.process
            .stdin
            .as_mut()
            .ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// How it ended without a last word.
    pub(crate) fn end(&mut self) -> String {
        match self.process.wait() {
            Ok(status) => match status.signal() {
                Some(nix::libc::SIGXCPU) => "the time limit".to_string(),
                Some(nix::libc::SIGABRT) => "its end, most likely for want of memory".to_string(),
                Some(signal) => format!("its end by signal {signal}"),
                None => format!("its end with code {}", status.code().unwrap_or_default()),
            },
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes a frame, as [`Child::start_framed`] expects it.
pub(crate) fn write_frame(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)?;
    out.flush()
}

fn answers_of(
    process: &mut std::process::Child,
    one: ReadOne,
    longest: usize,
) -> Receiver<Vec<u8>> {
    let (sender, answers) = sync_channel(WAITING);
    if let Some(out) = process.stdout.take() {
        // Fewer, longer turns of writer and reader; where the system refuses, the usual size works as well.
        let _ = fcntl(&out, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        std::thread::spawn(move || {
            let mut out = BufReader::with_capacity(1 << 18, out);
            while let Some(answer) = one(&mut out, longest) {
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
    }
    answers
}

/// A line, without its end.
fn line(out: &mut BufReader<ChildStdout>, longest: usize) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    out.take(longest as u64 + 2)
        .read_until(b'\n', &mut line)
        .ok()?;
    (line.pop() == Some(b'\n')).then_some(line)
}

fn frame(out: &mut BufReader<ChildStdout>, longest: usize) -> Option<Vec<u8>> {
    let mut length = [0; 8];
    out.read_exact(&mut length).ok()?;
    let length = usize::try_from(u64::from_le_bytes(length))
        .ok()
        .filter(|length| *length <= longest)?;
    let mut frame = Vec::with_capacity(length);
    let read = out.take(length as u64).read_to_end(&mut frame).ok()?;
    (read == length).then_some(frame)
}
