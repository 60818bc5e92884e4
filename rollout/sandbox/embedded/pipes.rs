//! The pipes of one job, and other descriptors that are waited for.
//!
//! In: the reading ends. Out: events and what the code printed, read without waiting for either.

use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{MsgFlags, recvmsg};

use crate::SandboxError;
use crate::events::Events;
use crate::tail::Tail;

/// The reading ends of a job's pipes.
pub(super) struct Pipes {
    events: File,
    stdout: File,
    open: [bool; 2],
    pub output: Tail,
}

impl Pipes {
    pub fn new(events: OwnedFd, output: OwnedFd, kept: Tail) -> Pipes {
        Pipes {
            events: events.into(),
            stdout: output.into(),
            open: [true; 2],
            output: kept,
        }
    }

    /// Waits until something can be read; true when the worker has an answer.
    pub fn wait(&self, control: &OwnedFd, time: Duration) -> Result<bool, SandboxError> {
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
    pub fn drain(&mut self, events: &mut Events) -> Result<(), SandboxError> {
        let mut buffer = [0u8; 1 << 16];
        for turn in 0..2 {
            for _ in 0..64 {
                let file = if turn == 0 {
                    &mut self.events
                } else {
                    &mut self.stdout
                };
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

pub(super) fn memory_file(name: &str) -> io::Result<File> {
    Ok(memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?.into())
}

pub(super) fn failed(doing: &str, source: io::Error) -> SandboxError {
    SandboxError::Io {
        doing: doing.to_string(),
        source,
    }
}

pub(super) fn receive(control: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0u8; 1 << 16];
    let count = {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        recvmsg::<()>(
            control.as_raw_fd(),
            &mut slices,
            None,
            MsgFlags::MSG_CMSG_CLOEXEC,
        )?
        .bytes
    };
    buffer.truncate(count);
    Ok(buffer)
}

/// Which of these can be read (or are closed) before the time is over.
pub(super) fn readable(sources: &[BorrowedFd<'_>], time: Duration) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = sources
        .iter()
        .map(|source| PollFd::new(*source, PollFlags::POLLIN))
        .collect();
    let milliseconds = i32::try_from(time.as_millis() + 1).unwrap_or(i32::MAX);
    let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
    match poll(&mut polled, timeout) {
        Ok(_) => {}
        Err(nix::Error::EINTR) => return Ok(vec![false; sources.len()]),
        Err(error) => return Err(error.into()),
    }
    Ok(polled
        .iter()
        .map(|source| source.any().unwrap_or(false))
        .collect())
}
