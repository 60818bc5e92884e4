//! How far a loop is, and when it will be done.
//!
//! In: a label, a total, and every advance. Out, on standard error: a bar on a terminal; elsewhere a plain line at
//! most every ten seconds, at every tenth of the way, and at the end. Nothing depends on color.
//! Example: `training: 30/200 (15%), 12s elapsed, 1m 08s left, loss 1.234`.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line comes at the latest after this time, if there was an advance.
const PATIENCE: Duration = Duration::from_secs(10);
/// Tenths of the way are told no faster than this, so that a short loop does not flood the log.
const SHORTEST: Duration = Duration::from_millis(500);

/// The progress of one loop.
pub struct Progress {
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines(Lines),
}

impl Progress {
    /// Begins at 0 of `total`.
    pub fn new(label: impl Into<String>, total: u64) -> Self {
        let label = label.into();
        let shown = if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let template = "{prefix} [{bar:30}] {pos}/{len}, {elapsed} elapsed, {eta} left, {msg}";
            let style =
                ProgressStyle::with_template(template).expect("the template is well formed");
            bar.set_style(style.progress_chars("=> "));
            bar.set_prefix(label);
            Shown::Bar(bar)
        } else {
            Shown::Lines(Lines::new(
                label,
                total,
                Box::new(io::stderr()),
                Instant::now(),
            ))
        };
        Progress { shown }
    }

    /// `count` more are done; `note` is what a person wants to see beside it, such as the loss.
    pub fn advance(&mut self, count: u64, note: impl Display) {
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_message(note.to_string());
                bar.inc(count);
            }
            Shown::Lines(lines) => lines.advance(count, &note.to_string(), Instant::now()),
        }
    }

    /// Begins at `done` instead of 0, as a resumed run does; what is left is then reckoned from there.
    pub fn advance_to(&mut self, done: u64) {
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_position(done);
                bar.reset_eta();
            }
            Shown::Lines(lines) => lines.begin_at(done),
        }
    }

    /// Ends the progress where it is; a bar stays visible.
    pub fn finish(self) {
        match self.shown {
            Shown::Bar(bar) => bar.abandon(),
            Shown::Lines(mut lines) => lines.finish(Instant::now()),
        }
    }
}

/// Progress as lines of text.
struct Lines {
    label: String,
    total: u64,
    out: Box<dyn Write + Send>,
    started: Instant,
    first: u64,
    done: u64,
    note: String,
    told_done: u64,
    told_at: Instant,
}

impl Lines {
    fn new(label: String, total: u64, out: Box<dyn Write + Send>, now: Instant) -> Self {
        Lines {
            label,
            total,
            out,
            started: now,
            first: 0,
            done: 0,
            note: String::new(),
            told_done: 0,
            told_at: now,
        }
    }

    fn begin_at(&mut self, done: u64) {
        (self.first, self.done, self.told_done) = (done, done, done);
    }

    fn advance(&mut self, count: u64, note: &str, now: Instant) {
        self.done += count;
        self.note = note.into();
        let since = now.duration_since(self.told_at);
        let tenth = |done: u64| {
            if self.total == 0 {
                0
            } else {
                u128::from(done) * 10 / u128::from(self.total)
            }
        };
        let new_tenth = tenth(self.done) > tenth(self.told_done) && since >= SHORTEST;
        if new_tenth || since >= PATIENCE || self.done == self.total {
            self.tell(now);
        }
    }

    fn finish(&mut self, now: Instant) {
        if self.told_done != self.done {
            self.tell(now);
        }
    }

    fn tell(&mut self, now: Instant) {
        let elapsed = now.duration_since(self.started);
        let percent = (100 * u128::from(self.done))
            .checked_div(u128::from(self.total))
            .unwrap_or(100);
        let mut line = format!(
            "{}: {}/{} ({percent}%), {} elapsed",
            self.label,
            self.done,
            self.total,
            short(elapsed)
        );
        if self.done > self.first && self.done < self.total {
            let left = elapsed.as_secs_f64() / (self.done - self.first) as f64
                * (self.total - self.done) as f64;
            line += &format!(", {} left", short(Duration::from_secs_f64(left.min(1e9))));
        }
        if !self.note.is_empty() {
            line += &format!(", {}", self.note);
        }
        // A closed standard error is no reason to end a run.
        let _ = writeln!(self.out, "{line}");
        (self.told_done, self.told_at) = (self.done, now);
    }
}

/// A duration as a person says it: the two largest units.
fn short(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {hours:02}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines of a loop that takes `step` for each of `count` advances.
    fn lines(total: u64, count: u64, step: Duration) -> Vec<String> {
        let (log, start) = (Log::default(), Instant::now());
        let mut lines = Lines::new("training".into(), total, Box::new(log.clone()), start);
        (1..=count).for_each(|index| lines.advance(1, "loss 1.5", start + step * index as u32));
        lines.finish(start + step * count as u32);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_string).collect()
    }

    #[test]
    fn a_line_tells_what_is_done_and_what_is_left() {
        let lines = lines(200, 30, Duration::from_millis(400));
        assert_eq!(
            lines[0],
            "training: 20/200 (10%), 8s elapsed, 1m 12s left, loss 1.5"
        );
    }

    #[test]
    fn every_tenth_is_told_and_the_end_once() {
        let lines = lines(100, 100, Duration::from_secs(1));
        assert_eq!(lines.len(), 10);
        assert_eq!(
            lines[9],
            "training: 100/100 (100%), 1m 40s elapsed, loss 1.5"
        );
    }

    #[test]
    fn a_slow_loop_is_told_every_ten_seconds() {
        assert_eq!(lines(1_000_000, 30, Duration::from_secs(1)).len(), 3);
    }

    #[test]
    fn a_fast_loop_is_told_once() {
        assert_eq!(lines(1000, 1000, Duration::from_micros(10)).len(), 1);
    }

    #[test]
    fn a_loop_that_stops_early_says_where() {
        let lines = lines(100, 7, Duration::from_millis(1));
        assert_eq!(
            lines,
            ["training: 7/100 (7%), 0s elapsed, 0s left, loss 1.5"]
        );
    }

    #[test]
    fn a_resumed_loop_reckons_from_where_it_began() {
        let (log, start) = (Log::default(), Instant::now());
        let mut lines = Lines::new("training".into(), 100, Box::new(log.clone()), start);
        lines.begin_at(50);
        (1..=10).for_each(|index| lines.advance(1, "", start + Duration::from_secs(index)));
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "training: 60/100 (60%), 10s elapsed, 40s left\n");
    }

    #[test]
    fn an_empty_loop_and_too_many_advances_do_no_harm() {
        assert_eq!(lines(0, 0, Duration::ZERO), Vec::<String>::new());
        assert_eq!(
            lines(2, 3, Duration::from_secs(1)).last().unwrap(),
            "training: 3/2 (150%), 3s elapsed, loss 1.5"
        );
    }

    #[test]
    fn durations_have_at_most_two_units() {
        let told = [5, 65, 3_725, 90_000].map(|seconds| short(Duration::from_secs(seconds)));
        assert_eq!(told, ["5s", "1m 05s", "1h 02m", "1d 01h"]);
    }
}
