//! One container for one job: made early, used once, killed.
//!
//! In: what it is made of, and later a job. Out: a [`TestRun`]. While it waits it has Python and pytest loaded and none
//! of the code under test. Its barriers are read from the kernel inside, before it is given anything.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    WaitContainerOptionsBuilder,
};
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::engine::{ACT, ASK, Engine, failed};
use super::files::Files;
use super::harden::{Made, body, lifetime_s, longest_s};
use crate::embedded::init::Refused;
use crate::environment::jest::JestFound;
use crate::events::Events;
use crate::overtime::next_look;
use crate::runner::{jest, pytest};
use crate::spec::{Names, Spec, Work};
use crate::tail::Tail;
use crate::workspace::{CommandEnd, CommandRun};
use crate::{End, Job, Runner, SandboxError, TestRun, seccomp};

/// Loads the runner, which comes as text: the image knows nothing of it.
pub(super) const BOOTSTRAP: &str = "import sys, json, types
sys.path[:] = [entry for entry in sys.path if entry]
stream = open(0, 'rb', buffering=0, closefd=False)
size, settings = b'', b''
while not size.endswith(b'\\n'): size += stream.read(1) or sys.exit(0)
while len(settings) < int(size): settings += stream.read(int(size) - len(settings)) or sys.exit(0)
settings = json.loads(settings)
for name, text in settings.pop('modules'):
    sys.modules[name] = module = types.ModuleType(name)
    exec(compile(text, '/run/train/' + name + '.py', 'exec'), module.__dict__)
module.main(settings)
";

/// Python and pytest are there after this, on any machine that is fit for use.
const START: Duration = Duration::from_secs(60);
/// Between the last word of a job and the end of its container.
const GOODBYE: Duration = Duration::from_secs(10);
/// A command's own time limit is kept inside; so much later its container is killed.
const WATCHED: Duration = Duration::from_secs(20);
/// What the runner's exit status says of memory.
const OUT_OF_MEMORY: i64 = 86;

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// What the runner reports before it takes a job.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Ready {
    /// What the kernel says, by name.
    pub status: HashMap<String, String>,
    pub landlock: u32,
    /// What there is of jest.
    pub jest: JestFound,
}

/// A container that waits for its job.
pub(super) struct Container {
    pub id: String,
    pub ready: Ready,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Output,
    exit: JoinHandle<i64>,
    born: Instant,
    lifetime_s: u64,
}

impl Container {
    /// Makes and starts one, and reads from the kernel inside that its barriers are up.
    pub async fn start(
        engine: &Engine,
        name: &str,
        made: &Made<'_>,
    ) -> Result<Container, SandboxError> {
        let (born, lifetime_s) = (Instant::now(), lifetime_s(made.limits));
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let create = engine.api.create_container(Some(options), body(made));
        let id = match engine.call("making a container", ACT, create).await {
            Ok(created) => created.id,
            Err(error) => {
                // It may be there all the same.
                engine.remove(name).await.ok();
                return Err(error);
            }
        };
        match Container::begin(engine, &id, made).await {
            Ok((ready, input, output, exit)) => Ok(Container {
                id,
                ready,
                input,
                output,
                exit,
                born,
                lifetime_s,
            }),
            Err(error) => {
                engine.remove(&id).await.ok();
                Err(error)
            }
        }
    }

    async fn begin(
        engine: &Engine,
        id: &str,
        made: &Made<'_>,
    ) -> Result<
        (
            Ready,
            Pin<Box<dyn AsyncWrite + Send>>,
            Output,
            JoinHandle<i64>,
        ),
        SandboxError,
    > {
        let options = AttachContainerOptionsBuilder::default()
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .stream(true)
            .build();
        let attached = engine
            .call(
                "attaching",
                ACT,
                engine.api.attach_container(id, Some(options)),
            )
            .await?;
        let exit = tokio::spawn(exit_of(engine.clone(), id.to_string()));
        let start = engine
            .api
            .start_container(id, None::<bollard::query_parameters::StartContainerOptions>);
        engine.call("starting a container", ACT, start).await?;
        let (mut input, mut output) = (attached.input, attached.output);
        send(&mut input, &settings(made)).await?;
        let told = tokio::time::timeout(START, ready_line(&mut output)).await;
        let ready =
            told.unwrap_or_else(|_| Err(environment(made, "it said nothing within a minute")))?;
        let ready: Ready =
            serde_json::from_str(&ready).map_err(|error| environment(made, &error.to_string()))?;
        check(&ready)?;
        Ok((ready, input, output, exit))
    }

    /// True where it will outlive a job of these seconds.
    pub fn is_fit(&self, timeout_s: u64) -> bool {
        let left = Duration::from_secs(self.lifetime_s).saturating_sub(self.born.elapsed());
        !self.exit.is_finished() && left > Duration::from_secs(longest_s(timeout_s)) + GOODBYE
    }

    /// Runs the job, with the byte code of its clean tree where there is some. The container is of no use afterwards,
    /// whatever came of it.
    pub async fn run(
        self,
        engine: &Engine,
        job: &Job,
        compiled: &[u8],
    ) -> Result<TestRun, SandboxError> {
        let mut output = Tail::new(job.limits.output_bytes);
        let run = self
            .work(engine, job, Asked::Test(compiled), |bytes| {
                output.take(bytes)
            })
            .await?;
        run.told(output.text())
    }

    /// Runs a command in a work tree.
    pub async fn command_in(
        self,
        engine: &Engine,
        job: &Job,
        work: Work<'_>,
    ) -> Result<CommandRun, SandboxError> {
        let mut output = CommandRun::kept(&job.limits);
        let asked = Asked::Work(work);
        let mut ended = self
            .work(engine, job, asked, |bytes| output.take(bytes))
            .await?;
        let worked = ended.events.take_worked();
        let run = ended.told(String::new())?;
        Ok(CommandRun::new(
            worked,
            CommandEnd::from_run(&run),
            output,
            run.wall,
        ))
    }

    /// The byte code of the job's tree as it is. Nothing of the tree is run.
    pub async fn compile(self, engine: &Engine, job: &Job) -> Result<Vec<u8>, SandboxError> {
        let mut archive = Vec::new();
        let run = self
            .work(engine, job, Asked::Compile, |bytes| {
                archive.extend_from_slice(bytes)
            })
            .await?
            .told(String::new())?;
        match run.end {
            End::Finished { exit: 0 } => Ok(archive),
            other => Err(SandboxError::Environment(format!(
                "a tree cannot be compiled: {other:?}"
            ))),
        }
    }

    /// Hands the job over and hears it to its end.
    async fn work(
        mut self,
        engine: &Engine,
        job: &Job,
        asked: Asked<'_>,
        mut printed: impl FnMut(&[u8]),
    ) -> Result<Ended, SandboxError> {
        let began = Instant::now();
        let names = Names::draw().map_err(|source| SandboxError::Io {
            doing: "drawing a nonce".to_string(),
            source,
        })?;
        let mut events = Events::new(names.nonce.clone(), names.canaries.clone());
        let message = message(job, &names, asked)?;
        send(&mut self.input, &message).await?;
        // The code's time begins when it has been handed over.
        let watched = if matches!(asked, Asked::Work(_)) {
            WATCHED
        } else {
            Duration::ZERO
        };
        let limit = Duration::from_secs(job.limits.timeout_s) + watched;
        let handed_over = tokio::time::Instant::now();
        let (mut deadline, mut killed, mut cpu) = (handed_over + limit, false, None);
        loop {
            match tokio::time::timeout_at(deadline, self.output.next()).await {
                Ok(Some(Ok(LogOutput::StdOut { message }))) => events.take(&message),
                Ok(Some(Ok(other))) => printed(&other.into_bytes()),
                Ok(Some(Err(error))) => return Err(failed("reading from a container", error)),
                Ok(None) => break,
                Err(_) => {
                    // A run that has told its end is not late, however long its goodbye takes.
                    if events.finished() {
                        break;
                    }
                    cpu = engine.cpu_of(&self.id).await;
                    match next_look(limit, handed_over.elapsed(), cpu) {
                        Some(at) => deadline = handed_over + at,
                        None => {
                            killed = true;
                            break;
                        }
                    }
                }
            }
        }
        if killed {
            self.is_at_work(engine).await?;
        }
        let exit = if killed {
            -9
        } else {
            self.exit_status(engine, events.finished()).await?
        };
        Ok(Ended {
            events,
            killed,
            exit,
            wall: began.elapsed(),
            cpu,
        })
    }

    /// Time is up: the code's fault where its container is at work, and the engine's where nobody can tell.
    async fn is_at_work(&self, engine: &Engine) -> Result<(), SandboxError> {
        let look = engine
            .api
            .inspect_container(&self.id, None::<InspectContainerOptions>);
        let told = engine
            .call("asking for a container whose time is up", ASK, look)
            .await?;
        match told.state.and_then(|state| state.running) {
            Some(true) => Ok(()),
            _ => Err(SandboxError::Engine {
                doing: "running a job".to_string(),
                reason: "its container ended, and the engine did not tell".to_string(),
            }),
        }
    }

    /// The exit status; an error where somebody else ended the container.
    async fn exit_status(&mut self, engine: &Engine, finished: bool) -> Result<i64, SandboxError> {
        let exit = tokio::time::timeout(GOODBYE, &mut self.exit).await;
        let exit = exit.ok().and_then(Result::ok).filter(|exit| *exit >= 0);
        if finished {
            return Ok(exit.unwrap_or(0));
        }
        let actions = engine.actions(&self.id).await?;
        if actions.iter().any(|action| action == "oom") {
            return Ok(OUT_OF_MEMORY);
        }
        let reason = match exit {
            _ if actions.iter().any(|action| action == "kill") => "it was killed from outside",
            None => "the engine lost it",
            // Our runner ends with no such status.
            Some(exit) if exit > OUT_OF_MEMORY && actions.is_empty() => {
                return Err(SandboxError::Engine {
                    doing: "running a job".to_string(),
                    reason: no_log(),
                });
            }
            Some(exit) => return Ok(exit),
        };
        Err(SandboxError::Engine {
            doing: "running a job".to_string(),
            reason: reason.to_string(),
        })
    }
}

/// Whether it was the job or somebody else, nobody can say.
fn no_log() -> String {
    format!(
        "its container was killed, and the engine keeps no log of events that says by whom{}",
        data::Aside(
            "for Podman, `events_logger = \"file\"` in the section `[engine]` of `containers.conf`"
        )
    )
}

/// A job that was heard to its end.
struct Ended {
    events: Events,
    killed: bool,
    exit: i64,
    wall: Duration,
    /// As it was at the last look.
    cpu: Option<Duration>,
}

impl Ended {
    fn told(self, output: String) -> Result<TestRun, SandboxError> {
        let refused = |Refused { barrier, reason }| SandboxError::Barrier { barrier, reason };
        let run = self
            .events
            .into_run(self.killed, self.exit as i32, output, self.wall)
            .map_err(refused)?;
        let run = TestRun {
            cpu: self.cpu.filter(|_| self.killed),
            ..run
        };
        Ok(if self.exit == OUT_OF_MEMORY {
            TestRun {
                end: End::OutOfMemory,
                ..run
            }
        } else {
            run
        })
    }
}

/// Waits for a container's end; a negative number where the engine does not tell.
async fn exit_of(engine: Engine, id: String) -> i64 {
    let options = WaitContainerOptionsBuilder::default()
        .condition("next-exit")
        .build();
    let mut ends = engine.api.wait_container(&id, Some(options));
    match ends.next().await {
        Some(Ok(end)) => end.status_code,
        Some(Err(Error::DockerContainerWaitError { code, .. })) => code,
        _ => -1,
    }
}

/// Reads until the runner says that it is ready. Nothing of anybody else runs before that.
async fn ready_line(output: &mut Output) -> Result<String, SandboxError> {
    let (mut line, mut said) = (Vec::new(), Tail::new(4096));
    while let Some(part) = output.next().await {
        match part.map_err(|error| failed("starting a container", error))? {
            LogOutput::StdOut { message } => line.extend_from_slice(&message),
            other => said.take(&other.into_bytes()),
        }
        if let Some(ready) = line
            .strip_prefix(b"ready ")
            .and_then(|rest| rest.strip_suffix(b"\n"))
        {
            return Ok(String::from_utf8_lossy(ready).into_owned());
        }
        if let Some(refused) = line
            .strip_prefix(b"refused ")
            .and_then(|rest| rest.strip_suffix(b"\n"))
        {
            let Refused { barrier, reason } = serde_json::from_slice(refused)
                .unwrap_or_else(|_| Refused::new("start", String::from_utf8_lossy(refused)));
            return Err(SandboxError::Barrier { barrier, reason });
        }
    }
    Err(SandboxError::Environment(format!(
        "the test runner did not start inside of the container; it said:\n{}{}",
        said.text(),
        data::Hint(
            "the image needs `timeout` of coreutils and a Python 3.9 or newer that imports pytest"
        )
    )))
}

fn environment(made: &Made<'_>, said: &str) -> SandboxError {
    SandboxError::Environment(format!(
        "the test runner did not start in the image `{}`: {said}",
        made.image
    ))
}

/// What the kernel has to say inside of a container, by barrier.
const PROMISED: [(&str, &str, &str); 9] = [
    ("capabilities", "CapEff", "0000000000000000"),
    ("capabilities", "CapBnd", "0000000000000000"),
    ("no-new-privs", "NoNewPrivs", "1"),
    ("seccomp", "Seccomp", "2"),
    ("nobody", "user", "65534"),
    ("read-only-root", "root", "read-only"),
    ("net-ns", "network", "lo"),
    ("cgroup-memory", "memory", "limited"),
    ("cgroup-pids", "pids", "limited"),
];

/// What the kernel says is what counts, not what the engine was asked for.
fn check(ready: &Ready) -> Result<(), SandboxError> {
    for (barrier, name, value) in PROMISED {
        let found = ready.status.get(name).map_or("", String::as_str).trim();
        if found != value {
            let ignored = data::Aside(
                "the engine ignores this limit; run it as root, or on a machine with cgroups of version 2",
            );
            let hint = if barrier.starts_with("cgroup") {
                ignored.to_string()
            } else {
                String::new()
            };
            return Err(SandboxError::Barrier {
                barrier: barrier.to_string(),
                reason: format!(
                    "inside of a container `{name}` is `{found}` instead of `{value}`{hint}"
                ),
            });
        }
    }
    Ok(())
}

impl Ready {
    /// The barriers that were found up.
    pub fn barriers(&self) -> Vec<String> {
        let mut barriers: Vec<String> = PROMISED
            .iter()
            .map(|(barrier, ..)| (*barrier).to_string())
            .collect();
        barriers.dedup();
        barriers.push(format!("landlock-{}", self.landlock));
        barriers
    }
}

/// The runner and what it needs to know before any job.
fn settings(made: &Made<'_>) -> Vec<u8> {
    let modules: Vec<_> = pytest::MODULES
        .iter()
        .filter(|(name, _)| *name != "zygote")
        .collect();
    let memory_bytes = made.limits.memory_mib << 20;
    let settings = json!({
        "modules": modules, "seccomp": seccomp::filter_hex(), "memory_bytes": memory_bytes, "jest": made.jest,
    });
    let settings = settings.to_string();
    format!("{}\n{settings}", settings.len()).into_bytes()
}

/// What a container is for.
#[derive(Clone, Copy)]
enum Asked<'a> {
    /// Tests, with the byte code of the clean tree.
    Test(&'a [u8]),
    Compile,
    /// A command in a work tree.
    Work(Work<'a>),
}

/// The job: its spec with the files' list in it, then the files, then their byte code.
fn message(job: &Job, names: &Names, asked: Asked<'_>) -> Result<Vec<u8>, SandboxError> {
    let files = Files::from_tree(&job.tree, &job.changes)?;
    let told = |error: serde_json::Error| SandboxError::Io {
        doing: "describing a job".into(),
        source: error.into(),
    };
    let compile = matches!(asked, Asked::Compile);
    let mut spec = Spec::new(job, &job.tree, names, compile);
    if let Asked::Work(work) = asked {
        spec.workspace = Some(work);
    }
    let mut spec = serde_json::to_value(spec).map_err(told)?;
    spec["tree"] = Value::Array(files.list);
    // The files are written already; what is asked is where code under test lies.
    let changed = job.changes.iter();
    spec["changes"] = changed
        .map(|one| json!({"path": one.path, "content": one.content.as_ref().map(|_| "")}))
        .collect();
    // Our own files in JavaScript travel with the jobs that need them.
    spec["hook"] = match job.runner {
        Runner::Pytest => json!([]),
        Runner::Jest => json!(jest::FILES),
    };
    // Counted over all containers of this user: the engine bounds this one.
    spec["processes"] = json!(job.limits.processes * 64);
    let spec = spec.to_string();
    let compiled = match asked {
        Asked::Test(compiled) => compiled,
        Asked::Compile | Asked::Work(_) => &[],
    };
    let mut message = format!(
        "{} {} {}\n{spec}",
        spec.len(),
        files.bytes.len(),
        compiled.len()
    )
    .into_bytes();
    message.extend(files.bytes);
    message.extend(compiled);
    Ok(message)
}

async fn send(
    input: &mut Pin<Box<dyn AsyncWrite + Send>>,
    bytes: &[u8],
) -> Result<(), SandboxError> {
    let sent = async {
        input.write_all(bytes).await?;
        input.flush().await
    };
    let told = |source| SandboxError::Io {
        doing: "handing a job to a container".to_string(),
        source,
    };
    tokio::time::timeout(ASK.max(START), sent)
        .await
        .map_err(|_| told(std::io::ErrorKind::TimedOut.into()))?
        .map_err(told)
}
