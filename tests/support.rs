//! The program as a stranger runs it, and folders that are removed at the end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sandbox::environment::python::PythonEnv;
use train::metrics::{self, Row};

/// A run that hangs is a failure, not a night lost.
const PATIENCE: Duration = Duration::from_secs(180);

/// A small model on small samples: dozens of steps in seconds, several micro-batches in each.
pub const SMALL: &str = r#"
seed = 3

[model]
hidden_size = 64
intermediate_size = 128
num_hidden_layers = 2
num_attention_heads = 4
num_key_value_heads = 2
head_dim = 16
max_position_embeddings = 512

[data]
max_tokens = 400

[sft]
steps = 40
samples_per_step = 16
micro_batch_tokens = 2048
context_weight = 0.3
save_every = 5

[sft.optimizer]
lr = 3e-3
warmup_steps = 4
"#;

/// A folder below the temporary one; its path has no blanks, so that it can stand in a command line.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("train-{name}-{}-{number}", std::process::id()));
        assert!(
            !path.to_string_lossy().contains(char::is_whitespace),
            "a temporary folder without blanks is needed"
        );
        fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.join(name), text).expect("writes");
        self.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What a failed test leaves is worth a look.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        } else {
            eprintln!("left for a look: `{}`", self.0.display());
        }
    }
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn from_output(output: Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    #[track_caller]
    pub fn succeeds(self) -> Said {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    /// Failed as the program fails: exit code 1, an error, a hint, and each of `words` among what was said.
    #[track_caller]
    pub fn refuses(self, words: &[&str]) -> Said {
        assert_eq!(self.code, Some(1), "{}\n{}", self.out, self.err);
        for start in ["error: ", "hint: "] {
            assert!(
                self.err.lines().any(|line| line.starts_with(start)),
                "no line `{start}…` in:\n{}",
                self.err
            );
        }
        for word in words {
            assert!(
                self.err.contains(word),
                "`{word}` is not said in:\n{}",
                self.err
            );
        }
        self
    }

    /// Said its error word by word as `tests/snapshots/NAME.txt` has it, but for paths and numbers.
    #[track_caller]
    pub fn pins(self, name: &str, folder: &Folder) -> Said {
        let from = self.err.find("error: ").unwrap_or(0);
        pin(name, &self.err[from..], folder);
        self
    }
}

/// Compares a text with `tests/snapshots/NAME.txt`, or writes it there where `UPDATE_EXPECT=1`. Paths and numbers differ
/// from machine to machine, so they are `DIR`, `ROOT` and `N`.
#[track_caller]
pub fn pin(name: &str, text: &str, folder: &Folder) {
    let text = text
        .replace(&folder.0.display().to_string(), "DIR")
        .replace(env!("CARGO_MANIFEST_DIR"), "ROOT");
    let mut shown = String::new();
    for letter in text.chars() {
        if !letter.is_ascii_digit() {
            shown.push(letter);
        } else if !shown.ends_with('N') {
            shown.push('N');
        }
    }
    let shown = shown.replace("N.N", "N").replace("Nm Ns", "Ns");
    let file = format!("{}/tests/snapshots/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    expect_test::expect_file![file].assert_eq(&shown);
}

/// The program, started from the folder of this workspace as its README says.
pub fn train() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("XDG_CACHE_HOME", cache())
        .stdin(Stdio::null());
    command
}

/// Runs `train` with the words of `line` to its end.
pub fn run(line: &str) -> Said {
    Said::from_output(
        train()
            .args(line.split_whitespace())
            .output()
            .expect("starts"),
    )
}

/// Starts `train` with the words of `line`; what it says goes to the file `log`.
pub fn start(line: &str, log: &Path) -> Running {
    let file = File::create(log).expect("a log");
    let copy = file.try_clone().expect("a second handle");
    let child = train()
        .args(line.split_whitespace())
        .stdout(copy)
        .stderr(file)
        .spawn()
        .expect("starts");
    Running {
        child,
        log: log.to_path_buf(),
    }
}

/// A run in the background; killed at the end of the test, whatever happens.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Waits until `file` has `count` whole lines.
    #[track_caller]
    pub fn wait_for_lines(&mut self, file: &Path, count: usize) {
        let until = Instant::now() + PATIENCE;
        loop {
            let bytes = fs::read(file).unwrap_or_default();
            if bytes.iter().filter(|byte| **byte == b'\n').count() >= count {
                return;
            }
            let ended = self.child.try_wait().expect("a child");
            let said = || fs::read_to_string(&self.log).unwrap_or_default();
            assert!(
                ended.is_none(),
                "the run ended before it wrote {count} lines:\n{}",
                said()
            );
            assert!(
                Instant::now() < until,
                "no {count} lines after {PATIENCE:?}:\n{}",
                said()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Asks it to end, as `kill` does, and waits until it has.
    #[track_caller]
    pub fn stop(mut self) -> Said {
        let process = nix::unistd::Pid::from_raw(self.child.id().try_into().expect("a process"));
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).expect("signals");
        let code = self.child.wait().expect("a child").code();
        Said {
            code,
            out: String::new(),
            err: fs::read_to_string(&self.log).expect("a log"),
        }
    }

    /// `kill -9`; it must have been alive.
    #[track_caller]
    pub fn kill(mut self) {
        use std::os::unix::process::ExitStatusExt;
        self.child.kill().expect("kills");
        let status = self.child.wait().expect("a child");
        assert_eq!(
            status.signal(),
            Some(9),
            "the run ended by itself before it could be killed: {status}"
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Samples without a sandbox, and the tokenizer and config of a small new model to train on them.
pub struct Small {
    pub tokenizer: PathBuf,
    pub samples: PathBuf,
    pub config: PathBuf,
}

impl Small {
    pub fn make(folder: &Folder) -> Small {
        let (tokenizer, samples) = (folder.join("tokenizer.json"), folder.join("samples"));
        let config = folder.write("small.toml", SMALL);
        let (at, to) = (tokenizer.display(), samples.display());
        run(&format!(
            "data tokenizer --source examples/packages --vocab 400 --out {at}"
        ))
        .succeeds();
        let few = "--samples 64 --per-function 1";
        let config_at = config.display();
        let line = format!(
            "data commits --config {config_at} --source examples/packages --tokenizer {at} {few} --out {to}"
        );
        run(&line).succeeds();
        Small {
            tokenizer,
            samples,
            config,
        }
    }

    /// The command that trains a new model in `out`.
    pub fn sft(&self, out: &Path) -> String {
        let Small {
            tokenizer,
            samples,
            config,
        } = self;
        format!(
            "sft --config {} --tokenizer {} --samples {} --out {}",
            config.display(),
            tokenizer.display(),
            samples.display(),
            out.display()
        )
    }
}

/// What a run measured.
pub fn rows(run: &Path) -> Vec<Row> {
    metrics::read(&run.join("metrics.jsonl")).expect("metrics")
}

/// The checkpoint of `step`.
pub fn checkpoint(run: &Path, step: u64) -> PathBuf {
    train::checkpoint::step_path(run, step)
}

/// Where Python and pytest are kept between test runs.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// Whether there is a Python to run tests with; without a network and a cache there is none, and `promise` is untested.
pub fn python(promise: &str) -> bool {
    static FAULT: OnceLock<Option<String>> = OnceLock::new();
    let prepare = || {
        let made = PythonEnv::prepare(&cache().join("train"), &|line| eprintln!("{line}"));
        made.err().map(|error| error.to_string())
    };
    match FAULT.get_or_init(prepare) {
        None => true,
        Some(error) => {
            eprintln!("SKIPPED, not tested: {promise}: {error}");
            false
        }
    }
}

/// `sh` in namespaces of its own, where mounting needs no rights outside; none, said aloud, where that is forbidden.
pub fn own_mounts(promise: &str) -> Option<Command> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        command
    };
    // Both kinds of mount that the tests make.
    let probe = unshare()
        .arg("mount -t tmpfs tmpfs /mnt && mount --bind /dev/null /etc/passwd")
        .output();
    if probe.as_ref().is_ok_and(|output| output.status.success()) {
        let mut command = unshare();
        command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("XDG_CACHE_HOME", cache())
            .stdin(Stdio::null());
        return Some(command);
    }
    let why = probe.map_or_else(
        |error| error.to_string(),
        |output| Said::from_output(output).err,
    );
    eprintln!(
        "SKIPPED, not tested: {promise}: no mounts of our own here: {}",
        why.trim()
    );
    None
}

/// Hysteresis by tests that need the whole machine: one at a time, so that their times mean something.
pub fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
