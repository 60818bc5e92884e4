//! The sandbox behind a container engine: Docker, Podman's socket, or an engine elsewhere through `DOCKER_HOST`.
//!
//! In: jobs, from any number of threads. Out: test runs, each in a container of its own that is gone afterwards.
//! Making a container takes most of a second, so a few wait with pytest loaded; a job is given one, and another is made
//! in its place. What is closed, and how: see `harden`. What a job is given: see `files`. How a killed run's containers
//! go: see `reaper`. Tests in JavaScript run in the same containers, where they find Node.js and jest.
//! Example: `Docker::new(DockerOptions { image: None, python, jest: None, workers: 2, limits })?.run(&job)?`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell, mpsc};
use tokio::task::JoinHandle;

use super::{Isolation, Job, Limits, Runner, Sandbox, SandboxError, TestRun};
use crate::environment::jest::{JestEnv, JestPlan};
use crate::environment::python::PythonEnv;
use crate::spec::Work;
use crate::workspace::{CommandRun, Entry};
use container::{BOOTSTRAP, Container};
use dialect::Dialect;
use engine::Engine;
pub use engine::EngineAbout;
use harden::{Made, lifetime_s};

mod container;
mod dialect;
pub(crate) mod engine;
mod files;
mod harden;
mod host;
mod profile;
mod reaper;

/// Between two looks for what killed runs left behind.
const SWEEP: Duration = Duration::from_secs(30);
/// How long an engine may take to come back before a job is given up on.
const RESTART: Duration = Duration::from_secs(30);
/// How long a job waits for a container that others make.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two attempts to make a container, after one that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Trees whose byte code is kept at once.
const COMPILED_TREES: usize = 64;
/// Compiling a tree ends by itself before this.
const COMPILE_S: u64 = 60;

/// How a sandbox is made.
#[derive(Clone, Debug)]
pub struct DockerOptions {
    /// The image, by name or digest; without one the machine's own Python and jest are shown to the containers.
    pub image: Option<String>,
    /// The Python that runs the tests where there is no image.
    pub python: PythonEnv,
    /// The jest that runs those in JavaScript where there is no image; an image has its own.
    pub jest: Option<JestEnv>,
    /// Jobs that run at once, and containers that wait.
    pub workers: usize,
    /// The bounds of every container.
    pub limits: Limits,
}

/// Asks the engine what it is.
///
/// # Errors
///
/// When none answers.
pub fn about_engine() -> Result<EngineAbout, SandboxError> {
    let started = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = started.map_err(|source| SandboxError::Io {
        doing: "starting threads".to_string(),
        source,
    })?;
    runtime.block_on(async { Engine::connect().await?.about().await })
}

/// Runs each job in a container of its own.
pub struct Docker {
    runtime: Option<Runtime>,
    maker: Arc<Maker>,
    /// What makes containers and sweeps; stopped before the last ones are removed.
    tasks: Vec<JoinHandle<()>>,
    ready: Mutex<mpsc::Receiver<Container>>,
    compiled: Mutex<HashMap<PathBuf, Compiled>>,
    isolation: Isolation,
    /// The version of the containers' jest, or why they have none.
    jest: Result<String, String>,
}

/// The byte code of a tree, made by whoever needs it first.
type Compiled = Arc<OnceCell<Vec<u8>>>;

/// Makes containers.
struct Maker {
    engine: Engine,
    image: String,
    binds: Vec<String>,
    python: String,
    jest: JestPlan,
    dialect: Dialect,
    limits: Limits,
    run: String,
    number: AtomicUsize,
}

impl Docker {
    /// Connects, removes what killed runs left behind, and makes the first container, which proves its barriers.
    ///
    /// # Errors
    ///
    /// When no engine answers, the image is missing, a barrier is not up inside of a container, or Python does not start.
    pub fn new(options: DockerOptions) -> Result<Self, SandboxError> {
        let started = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let runtime = started.map_err(|source| SandboxError::Io {
            doing: "starting threads".to_string(),
            source,
        })?;
        let maker = Arc::new(runtime.block_on(Maker::new(&options))?);
        runtime.block_on(reaper::sweep(&maker.engine))?;
        let first = runtime.block_on(maker.make(&options.limits))?;
        let isolation = isolation(&first);
        let jest = first
            .ready
            .jest
            .version_in(options.image.as_deref(), options.jest.as_ref());
        let (sender, ready) = mpsc::channel(1);
        let mut tasks = vec![runtime.spawn(keep_sweeping(maker.engine.clone()))];
        let mut first = Some(first);
        for _ in 0..options.workers.max(1) {
            tasks.push(runtime.spawn(keep_making(maker.clone(), sender.clone(), first.take())));
        }
        Ok(Docker {
            runtime: Some(runtime),
            maker,
            tasks,
            ready: Mutex::new(ready),
            compiled: Mutex::default(),
            isolation,
            jest,
        })
    }

    /// The version of the jest that runs tests in JavaScript; none where nobody does.
    pub fn jest_version(&self) -> Option<&str> {
        self.jest.as_deref().ok()
    }

    /// A container that is fit for the job: one that waits, or a new one where none comes or the job has other bounds.
    async fn take(&self, job: &Job) -> Result<Container, SandboxError> {
        if !self.maker.fits(&job.limits) {
            return self.maker.make(&job.limits).await;
        }
        let waiting = async {
            let mut ready = self.ready.lock().await;
            while let Some(container) = ready.recv().await {
                if container.is_fit(job.limits.timeout_s) {
                    return Some(container);
                }
                self.maker.engine.remove(&container.id).await.ok();
            }
            None
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Some(container)) => Ok(container),
            // Whoever makes them has a reason, which a try of our own will tell.
            _ => self.maker.make(&job.limits).await,
        }
    }

    /// How long a job waits for its container, and how long that takes to be gone after the verdict: for measuring.
    #[doc(hidden)]
    pub fn phases(&self, job: &Job) -> Result<[Duration; 2], SandboxError> {
        let closed = || SandboxError::Environment("the sandbox is being closed".to_string());
        self.runtime.as_ref().ok_or_else(closed)?.block_on(async {
            let (engine, began) = (&self.maker.engine, Instant::now());
            let container = self.take(job).await?;
            let (ready, id) = (began.elapsed(), container.id.clone());
            container.run(engine, job, &[]).await?;
            let began = Instant::now();
            engine.remove(&id).await?;
            while engine.holds(&id).await? {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok([ready, began.elapsed()])
        })
    }

    async fn run_once(&self, job: &Job) -> Result<TestRun, SandboxError> {
        // Only Python has byte code that is kept.
        let compiled = match job.runner {
            Runner::Pytest => Some(self.compiled(&job.tree).await),
            Runner::Jest => None,
        };
        let code = compiled
            .as_ref()
            .and_then(|compiled| compiled.get())
            .map_or(&[] as &[u8], Vec::as_slice);
        let container = self.take(job).await?;
        let (engine, id) = (self.maker.engine.clone(), container.id.clone());
        let run = container.run(&engine, job, code).await;
        // Nobody waits for the end of what is killed.
        tokio::spawn(async move { engine.remove(&id).await.ok() });
        run
    }

    /// The byte code of a tree, made in a container of its own. Without it every job compiles its tests anew, which is
    /// slower and no less right.
    async fn compiled(&self, tree: &Path) -> Compiled {
        let cell = {
            let mut known = self.compiled.lock().await;
            if known.len() >= COMPILED_TREES && !known.contains_key(tree) {
                known.clear();
            }
            known.entry(tree.to_path_buf()).or_default().clone()
        };
        let make = || async {
            let job = Job::whole(
                tree,
                Limits {
                    timeout_s: COMPILE_S,
                    ..self.maker.limits.clone()
                },
            );
            let container = self.take(&job).await?;
            let (engine, id) = (self.maker.engine.clone(), container.id.clone());
            let made = container.compile(&engine, &job).await;
            tokio::spawn(async move { engine.remove(&id).await.ok() });
            made
        };
        cell.get_or_try_init(make).await.ok();
        cell
    }
}

impl Sandbox for Docker {
    fn run(&self, job: &Job) -> Result<TestRun, SandboxError> {
        if let (Runner::Jest, Err(missing)) = (job.runner, &self.jest) {
            return Err(SandboxError::Environment(missing.clone()));
        }
        let gone = || SandboxError::Environment("the sandbox is being closed".to_string());
        self.runtime.as_ref().ok_or_else(gone)?.block_on(async {
            let run = self.run_once(job).await;
            if matches!(run, Err(SandboxError::Engine { .. })) {
                // Whoever tries again finds an engine that answers, if one comes back.
                self.maker.engine.await_answer(RESTART).await;
            }
            run
        })
    }

    fn command_in(
        &self,
        job: &Job,
        command: &str,
        layer: &[Entry],
    ) -> Result<CommandRun, SandboxError> {
        let gone = || SandboxError::Environment("the sandbox is being closed".to_string());
        self.runtime.as_ref().ok_or_else(gone)?.block_on(async {
            let container = self.take(job).await?;
            let (engine, id) = (self.maker.engine.clone(), container.id.clone());
            let run = container
                .command_in(&engine, job, Work { command, layer })
                .await;
            tokio::spawn(async move { engine.remove(&id).await.ok() });
            run
        })
    }

    fn isolation(&self) -> Isolation {
        self.isolation.clone()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let engine = self.maker.engine.clone();
        let run = format!("{}={}", reaper::RUN, self.maker.run);
        let tasks = std::mem::take(&mut self.tasks);
        let all = async {
            for task in tasks {
                task.abort();
                task.await.ok();
            }
            loop {
                let left = engine.ours(&run).await?;
                if left.is_empty() {
                    return Ok::<(), SandboxError>(());
                }
                for (id, _) in left {
                    engine.remove(&id).await?;
                }
            }
        };
        self.ready.get_mut().close();
        // What an engine does not remove now is swept by the next run, or ends by itself.
        runtime.block_on(async { tokio::time::timeout(engine::ACT, all).await.ok() });
        runtime.shutdown_background();
    }
}

impl Maker {
    async fn new(options: &DockerOptions) -> Result<Maker, SandboxError> {
        let engine = Engine::connect().await?;
        let (image, binds, python, jest) = match &options.image {
            Some(name) => (
                host::digest(&engine, name).await?,
                Vec::new(),
                "python3".to_string(),
                JestPlan::usual(),
            ),
            None => {
                let (python, jest) = (&options.python, options.jest.as_ref());
                let shown = [
                    python.folders().to_vec(),
                    jest.map(JestEnv::binds).unwrap_or_default(),
                ]
                .concat();
                let host = host::prepare(&engine, &shown).await?;
                (
                    host.image,
                    host.binds,
                    python.program().display().to_string(),
                    JestPlan::shown(jest),
                )
            }
        };
        let run = format!("{}-{}", std::process::id(), nanoseconds_now());
        let (limits, number) = (options.limits.clone(), AtomicUsize::new(0));
        let dialect = if engine.is_podman().await? {
            Dialect::podman()
        } else {
            Ok(Dialect::docker())
        };
        let dialect = dialect.map_err(|source| SandboxError::Io {
            doing: "writing the seccomp profile".to_string(),
            source,
        })?;
        Ok(Maker {
            engine,
            image,
            binds,
            python,
            jest,
            dialect,
            limits,
            run,
            number,
        })
    }

    async fn make(&self, limits: &Limits) -> Result<Container, SandboxError> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let made = Made {
            image: &self.image,
            binds: &self.binds,
            python: &self.python,
            bootstrap: BOOTSTRAP,
            jest: &self.jest,
            dialect: &self.dialect,
            limits,
            labels: reaper::labels(&self.run, seconds_now() + lifetime_s(limits)),
        };
        Container::start(&self.engine, &format!("train-{}-{number}", self.run), &made).await
    }

    /// True where the containers that wait have the bounds of a job.
    fn fits(&self, limits: &Limits) -> bool {
        let of = |limits: &Limits| (limits.memory_mib, limits.disk_mib, limits.processes);
        of(&self.limits) == of(limits)
    }
}

/// Makes one container after the other, as fast as they are taken.
async fn keep_making(
    maker: Arc<Maker>,
    ready: mpsc::Sender<Container>,
    mut first: Option<Container>,
) {
    loop {
        let made = match first.take() {
            Some(container) => Ok(container),
            None => maker.make(&maker.limits).await,
        };
        match made {
            Ok(container) => {
                if ready.send(container).await.is_err() {
                    return;
                }
            }
            Err(_) => {
                maker.engine.await_answer(RESTART).await;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn keep_sweeping(engine: Engine) {
    loop {
        tokio::time::sleep(SWEEP).await;
        // An engine that does not answer is told by the jobs.
        reaper::sweep(&engine).await.ok();
    }
}

/// What the kernel said inside of the first container; every other one has to say the same.
fn isolation(first: &Container) -> Isolation {
    Isolation {
        sandbox: "docker".to_string(),
        barriers: first.ready.barriers(),
    }
}

fn seconds_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn nanoseconds_now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos()
}
