//! What a run measured, one JSON line a step.
//!
//! In: numbers for every step. Out: `metrics.jsonl`, and beside it the same for TensorBoard. A run that was killed and resumed leaves the same file as one
//! that was not, but for the clock: the names in [`is_wall_clock`] are the only ones that may differ.
//! Example: `{"step":7,"grad_norm":0.5,"loss":1.25,"timing_s/step":0.8}`. A number that is not finite is written as
//! `null`, so that every line stays JSON and the gap stays visible.

pub mod names;
mod tensorboard;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use self::tensorboard::Events;
use data::file::{FileError, read_text, write_whole};
use serde_json::{Map, Value};

/// What was measured at one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    step: u64,
    values: BTreeMap<String, Value>,
}

impl Row {
    /// A row without values.
    pub fn new(step: u64) -> Self {
        Row {
            step,
            values: BTreeMap::new(),
        }
    }

    /// The same row with `value` under `name`; the last value of a name counts. `f32` and `f64` that are not finite
    /// become `null`.
    ///
    /// # Panics
    ///
    /// When `name` is `step`, which every row already has.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// As [`Row::with`], in place.
    ///
    /// # Panics
    ///
    /// As [`Row::with`].
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let name = name.into();
        assert_ne!(name, "step", "a row has its step already");
        self.values.insert(name, value.into());
    }

    /// The step.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The number under `name`, if there is one.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).and_then(Value::as_f64)
    }

    /// The names of the values, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The row without what the clock measured: equal for equal runs.
    pub fn deterministic(&self) -> Row {
        let values = self.values.iter().filter(|(name, _)| !is_wall_clock(name));
        Row {
            step: self.step,
            values: values
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }

    /// One line of JSON without its end: the step first, then the values by name.
    pub fn to_line(&self) -> String {
        let values = self
            .values
            .iter()
            .map(|(name, value)| format!(",{}:{value}", Value::from(name.as_str())));
        format!("{{\"step\":{}{}}}", self.step, values.collect::<String>())
    }

    fn from_line(line: &str) -> Result<Self, String> {
        let mut values: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| error.to_string())?;
        let step = values
            .remove("step")
            .and_then(|step| step.as_u64())
            .ok_or("it has no whole number `step`")?;
        Ok(Row {
            step,
            values: values.into_iter().collect(),
        })
    }
}

/// Whether `name` depends on the clock: `timing_s/…`, `perf/…` and `time`.
pub fn is_wall_clock(name: &str) -> bool {
    name == "time" || name.starts_with("timing_s/") || name.starts_with("perf/")
}

/// Metrics cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line that is no row, though it is not the last.
    #[error("`{path}`, line {line}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// Appends rows to a file.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
    events: Events,
}

impl Metrics {
    /// Opens `path` for a run that has `done` steps behind it. Rows of later steps, from a run that was killed after
    /// its last checkpoint, are dropped, as is a last line that was torn. With nothing done the file begins anew.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, or a line before the last is no row.
    pub fn open(path: &Path, done: u64) -> Result<Self, MetricsError> {
        let mut kept = if done > 0 && path.exists() {
            parse(path)?
        } else {
            Vec::new()
        };
        kept.retain(|(row, _)| row.step <= done);
        let text: String = kept.iter().flat_map(|(_, line)| [line, "\n"]).collect();
        write_whole(path, text.as_bytes())?;
        let events = Events::begin(path, kept.iter().map(|(row, _)| row));
        let events = events.map_err(|error| FileError::new("write the events of", path, error))?;
        let file = OpenOptions::new().append(true).open(path);
        let file = file.map_err(|error| FileError::new("append to", path, error))?;
        Ok(Metrics {
            path: path.to_path_buf(),
            file,
            events,
        })
    }

    /// Appends what was measured at `step`: `values` that equal runs share, and `clock` that they do not.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    ///
    /// # Panics
    ///
    /// When a name of `values` is one of [`is_wall_clock`], or one of `clock` is not: a comparison of two runs would
    /// then fail or be blind.
    pub fn write(
        &mut self,
        step: u64,
        values: &[(&str, f64)],
        clock: &[(&str, f64)],
    ) -> Result<(), MetricsError> {
        assert!(
            values.iter().all(|(name, _)| !is_wall_clock(name)),
            "the clock stands among the values: {values:?}"
        );
        assert!(
            clock.iter().all(|(name, _)| is_wall_clock(name)),
            "no name of the clock: {clock:?}"
        );
        let row = values
            .iter()
            .chain(clock)
            .fold(Row::new(step), |row, &(name, value)| row.with(name, value));
        self.write_row(&row)
    }

    /// Appends `row` in one piece; a reader sees it at once.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn write_row(&mut self, row: &Row) -> Result<(), MetricsError> {
        // One call and no buffer: what is torn by a kill is at most the last line.
        let line = row.to_line() + "\n";
        let written = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.events.add(row));
        Ok(written.map_err(|error| FileError::new("append to", &self.path, error))?)
    }

    /// Waits until every row is on the disk. To be called before a checkpoint is saved: its resume relies on them,
    /// even after a power cut.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn sync(&mut self) -> Result<(), MetricsError> {
        Ok(self
            .file
            .sync_all()
            .map_err(|error| FileError::new("write", &self.path, error))?)
    }
}

/// The rows of a file; a torn last line is left out.
///
/// # Errors
///
/// When the file cannot be read, or a line before the last is no row.
pub fn read(path: &Path) -> Result<Vec<Row>, MetricsError> {
    Ok(parse(path)?.into_iter().map(|(row, _)| row).collect())
}

/// The points of `name` over the steps, for a plot. Rows without it, or with `null`, leave no point.
pub fn series(rows: &[Row], name: &str) -> Vec<(f64, f64)> {
    rows.iter()
        .filter_map(|row| Some((row.step as f64, row.get(name)?)))
        .collect()
}

fn parse(path: &Path) -> Result<Vec<(Row, String)>, MetricsError> {
    let text = match read_text(path) {
        Ok(text) => text,
        // A line torn inside a character is no UTF-8; names are ASCII, so nothing else is lost.
        Err(error) if error.source.kind() == std::io::ErrorKind::InvalidData => {
            let bytes = std::fs::read(path).map_err(|error| FileError::new("read", path, error))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Err(error) => return Err(error.into()),
    };
    let mut rows = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let Some(line) = line.strip_suffix('\n') else {
            break;
        };
        match Row::from_line(line) {
            Ok(row) => rows.push((row, line.to_string())),
            Err(what) => {
                return Err(MetricsError::Line {
                    path: path.to_path_buf(),
                    line: index + 1,
                    what,
                });
            }
        }
    }
    Ok(rows)
}

/// Stops a run whose loss or gradient is no longer a number. `section` is the part of the config that is to be changed.
///
/// # Errors
///
/// When one of them is not finite.
pub fn check_finite(
    section: &str,
    step: u64,
    loss: f64,
    norm: f32,
    out: &Path,
) -> anyhow::Result<()> {
    if loss.is_finite() && norm.is_finite() {
        return Ok(());
    }
    anyhow::bail!(
        "the loss is {loss} and the gradient norm {norm} at step {step}{}",
        data::Hint(format_args!(
            "lower `{section}.optimizer.lr`; the newest checkpoint in `{}` is good",
            out.display()
        ))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct TestFile(PathBuf);

    impl TestFile {
        fn new(name: &str) -> Self {
            TestFile(
                std::env::temp_dir().join(format!("metrics-{name}-{}.jsonl", std::process::id())),
            )
        }
        fn text(&self) -> String {
            fs::read_to_string(&self.0).unwrap()
        }
    }

    impl Drop for TestFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn row(step: u64) -> Row {
        Row::new(step)
            .with("loss", 1.0 / (step + 1) as f64)
            .with("timing_s/step", 0.5)
    }

    #[test]
    fn a_row_is_one_line_with_the_step_first() {
        let row = Row::new(7)
            .with("loss", 1.25)
            .with("grad_norm", 0.5f32)
            .with("samples", 3)
            .with("kl", f32::NAN);
        assert_eq!(
            row.to_line(),
            r#"{"step":7,"grad_norm":0.5,"kl":null,"loss":1.25,"samples":3}"#
        );
        assert_eq!(Row::from_line(&row.to_line()).unwrap(), row);
    }

    #[test]
    fn a_resumed_run_leaves_the_file_of_an_uninterrupted_one() {
        let (whole, resumed) = (TestFile::new("whole"), TestFile::new("resumed"));
        let mut metrics = Metrics::open(&whole.0, 0).unwrap();
        (1..=6).for_each(|step| metrics.write_row(&row(step)).unwrap());

        let mut metrics = Metrics::open(&resumed.0, 0).unwrap();
        (1..=4).for_each(|step| metrics.write_row(&row(step)).unwrap());
        // Killed in the middle of a line; the checkpoint is from after step 3.
        fs::write(&resumed.0, resumed.text() + r#"{"step":5,"lo"#).unwrap();
        let mut metrics = Metrics::open(&resumed.0, 3).unwrap();
        (4..=6).for_each(|step| metrics.write_row(&row(step)).unwrap());
        metrics.sync().unwrap();

        assert_eq!(resumed.text(), whole.text());
    }

    #[test]
    fn a_new_run_does_not_keep_the_rows_of_an_old_one() {
        let file = TestFile::new("new");
        Metrics::open(&file.0, 0)
            .unwrap()
            .write_row(&row(1))
            .unwrap();
        Metrics::open(&file.0, 0).unwrap();
        assert_eq!(file.text(), "");
    }

    #[test]
    fn values_and_clock_share_a_line_and_can_be_told_apart() {
        let file = TestFile::new("apart");
        let mut metrics = Metrics::open(&file.0, 0).unwrap();
        metrics
            .write(
                1,
                &[("loss", 1.5), ("kl", f64::INFINITY)],
                &[("timing_s/step", 0.25)],
            )
            .unwrap();
        assert_eq!(
            file.text(),
            "{\"step\":1,\"kl\":null,\"loss\":1.5,\"timing_s/step\":0.25}\n"
        );
        assert_eq!(
            read(&file.0).unwrap()[0].deterministic().to_line(),
            r#"{"step":1,"kl":null,"loss":1.5}"#
        );
    }

    #[test]
    #[should_panic(expected = "the clock stands among the values")]
    fn the_clock_cannot_slip_among_the_values() {
        let file = TestFile::new("slip");
        let _ = Metrics::open(&file.0, 0)
            .unwrap()
            .write(1, &[("perf/tokens_per_s", 1.0)], &[]);
    }

    #[test]
    fn only_the_clock_is_left_out_of_the_deterministic_part() {
        let row = row(1)
            .with("perf/tokens_per_s", 10.0)
            .with("time", 1.7e9)
            .with("timing", 1)
            .with("reward/mean", 0.5);
        assert_eq!(
            row.deterministic().names().collect::<Vec<_>>(),
            ["loss", "reward/mean", "timing"]
        );
    }

    #[test]
    fn a_broken_line_before_the_last_is_named() {
        let file = TestFile::new("broken");
        fs::write(&file.0, "{\"step\":0}\n{\"loss\":1}\n{\"step\":2}\n").unwrap();
        let error = read(&file.0).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "`{}`, line 2: it has no whole number `step`",
                file.0.display()
            )
        );
    }

    #[test]
    fn a_series_skips_steps_without_the_value() {
        let rows = [
            row(0),
            Row::new(1).with("loss", f64::INFINITY),
            Row::new(2),
            row(3),
        ];
        assert_eq!(series(&rows, "loss"), [(0.0, 1.0), (3.0, 0.25)]);
    }
}
