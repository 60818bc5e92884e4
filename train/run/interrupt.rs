//! Ctrl-C, TERM and HUP: the first signal asks a run to finish its step and to save, the second ends it at once.
//!
//! In: signals. Out: [`Interrupt::asked`], and an [`Interrupted`] error that says what is kept and how to go on.
//! Example: `train sft` that is told to end at step 30 of 200 saves `step-000030`, prints the command that goes on, and
//! ends with exit code 130.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Whether somebody asked this process to end.
#[derive(Debug, Default)]
pub struct Interrupt(AtomicBool);

/// A signal is sent to the process, so this is the one thing that all of it shares.
static ASKED: Interrupt = Interrupt(AtomicBool::new(false));

/// Whether a signal came since [`Interrupt::listen`]: what failed since then may have failed because of it.
pub fn came() -> bool {
    ASKED.asked()
}

/// A run ended because of a signal, and can go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped by a signal; {kept}{}", data::Hint(format_args!("`{}` goes on", .command)))]
pub struct Interrupted {
    /// What is on disk, e.g. `30 of 200 steps are saved in work/sft`.
    pub kept: String,
    /// The command that goes on.
    pub command: String,
}

impl Interrupt {
    /// Listens from here on. A second call listens no second time.
    ///
    /// # Errors
    ///
    /// When signals cannot be handled, e.g. because another handler is there.
    pub fn listen() -> Result<&'static Interrupt> {
        static LISTENING: OnceLock<Result<(), ctrlc::Error>> = OnceLock::new();
        let heard = || {
            if ASKED.0.swap(true, Ordering::SeqCst) {
                eprintln!("stopped at once; what was saved before is kept");
                std::process::exit(i32::from(crate::exit_code::INTERRUPTED));
            }
            eprintln!(
                "stopping: what runs is finished and saved first; a second signal ends it at once"
            );
        };
        match LISTENING.get_or_init(|| ctrlc::set_handler(heard)) {
            Ok(()) => Ok(&ASKED),
            Err(error) => Err(anyhow::anyhow!("{error}")).context("cannot listen for Ctrl-C"),
        }
    }

    /// True once a signal came.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits for so long, or until a signal comes.
    pub fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.asked() && Instant::now() < end {
            std::thread::sleep(
                Duration::from_millis(50).min(end.saturating_duration_since(Instant::now())),
            );
        }
    }

    /// What a signal does.
    pub fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Ends the work here when a signal came; `kept` says what is on disk.
    ///
    /// # Errors
    ///
    /// [`Interrupted`], then.
    pub fn check(&self, kept: impl FnOnce() -> String) -> Result<()> {
        if self.asked() {
            Err(Interrupted::new(kept()).into())
        } else {
            Ok(())
        }
    }
}

impl Interrupted {
    /// With the command of this process, and `--resume`.
    pub fn new(kept: String) -> Self {
        Interrupted {
            kept,
            command: resuming(std::env::args()),
        }
    }

    /// With the command of this process as it is: nothing is there that could be resumed.
    pub fn anew(kept: String) -> Self {
        let words: Vec<String> = std::env::args().map(|word| quoted(&word)).collect();
        Interrupted {
            kept,
            command: words.join(" "),
        }
    }
}

/// A command line that goes on, as a shell reads it.
fn resuming(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.map(|word| quoted(&word)).collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".into());
    }
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./=:,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_goes_on_can_be_pasted() {
        let words = |words: &[&str]| resuming(words.iter().map(ToString::to_string));
        assert_eq!(
            words(&["train", "sft", "--out", "a b"]),
            "train sft --out 'a b' --resume"
        );
        assert_eq!(
            words(&["train", "sft", "--resume", "--set", "x='y'"]),
            r"train sft --resume --set 'x='\''y'\'''"
        );
    }

    #[test]
    fn nothing_ends_before_somebody_asks() {
        let interrupt = Interrupt::default();
        assert!(interrupt.check(|| unreachable!()).is_ok());
        interrupt.ask();
        let error = interrupt
            .check(|| "2 of 3 packages are kept".into())
            .expect_err("was asked");
        let said = error
            .downcast_ref::<Interrupted>()
            .expect("a signal")
            .to_string();
        assert!(
            said.contains("2 of 3 packages are kept") && said.ends_with("--resume` goes on"),
            "{said}"
        );
    }
}
