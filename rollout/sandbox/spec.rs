//! What the process that runs the tests is told, whichever sandbox it runs in.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;

use super::ablation::Ablation;
use super::workspace::Entry;
use super::{Job, Runner, Select};

/// What the process that becomes the job is told.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    pub nonce: &'a str,
    canaries: (&'a str, &'a str, u32),
    tree: &'a Path,
    changes: &'a [data::FileChange],
    runner: Runner,
    python_path: &'a [String],
    ids: Option<&'a [String]>,
    stop_at_first_failure: bool,
    compared: bool,
    pub memory_bytes: u64,
    disk_bytes: u64,
    pub processes: u64,
    timeout_s: u64,
    /// Whether the tree is compiled instead of tested.
    compile: bool,
    /// Whether the barriers are told instead.
    pub probe: bool,
    /// A program and its arguments, which the process becomes instead of running tests.
    pub command: Option<&'a [String]>,
    /// A command in a work tree, which the process watches over instead of running tests.
    pub workspace: Option<Work<'a>>,
    /// Defences that are off; said only where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ablation: Option<&'a Ablation>,
}

impl<'a> Spec<'a> {
    /// Describes `job`, whose files lie in `tree`.
    pub fn new(job: &'a Job, tree: &'a Path, names: &'a Names, compile: bool) -> Self {
        const MIB: u64 = 1 << 20;
        Spec {
            nonce: &names.nonce,
            canaries: (&names.canaries[0], &names.canaries[1], names.place),
            tree,
            changes: &job.changes,
            runner: job.runner,
            python_path: &job.python_path,
            ids: match &job.select {
                Select::All => None,
                Select::Ids(ids) => Some(ids),
            },
            stop_at_first_failure: job.stop_at_first_failure,
            compared: job.compared,
            memory_bytes: job.limits.memory_mib * MIB,
            disk_bytes: job.limits.disk_mib * MIB,
            processes: job.limits.processes,
            timeout_s: job.limits.timeout_s,
            compile,
            probe: false,
            command: None,
            workspace: None,
            ablation: None,
        }
    }
}

/// A command, and what commands before it left.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Work<'a> {
    pub command: &'a str,
    pub layer: &'a [Entry],
}

/// What only this job and we know.
pub(super) struct Names {
    pub nonce: String,
    pub canaries: [String; 2],
    place: u32,
}

impl Names {
    pub fn draw() -> io::Result<Names> {
        let mut bytes = [0u8; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let canary = |bytes: &[u8]| format!("test_{}", hex(bytes));
        Ok(Names {
            nonce: hex(&bytes[..16]),
            canaries: [canary(&bytes[16..22]), canary(&bytes[22..28])],
            place: u32::from_ne_bytes([0, bytes[29], bytes[30], bytes[31]]),
        })
    }
}
