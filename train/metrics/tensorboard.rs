//! The numbers of a run as TensorBoard reads them: `tensorboard --logdir RUN`.
//!
//! In: rows of `metrics.jsonl`. Out: one event file in the folder `tensorboard` beside it. The file is written anew when
//! a run is resumed, from the rows that are kept: no step stands twice. Times of rows from before are those of the
//! resumption; TensorBoard needs some.
//! A file is a sequence of TFRecords, each a protobuf message `Event`: length, masked CRC-32C of the length, message,
//! masked CRC-32C of the message (<https://www.tensorflow.org/tutorials/load_data/tfrecord>).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::Row;

const FOLDER: &str = "tensorboard";
/// With this in its name a file is an event file.
const MARK: &str = "events.out.tfevents.";

/// `tensorflow.Event`, as far as it is used here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    /// Of the first event of a file.
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

/// `tensorflow.Summary.Value`.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// An event file that grows with its run.
#[derive(Debug)]
pub(super) struct Events(File);

impl Events {
    /// A new event file beside `metrics`, with the rows that a resumed run keeps; older ones go.
    pub(super) fn begin<'r>(
        metrics: &Path,
        kept: impl IntoIterator<Item = &'r Row>,
    ) -> io::Result<Self> {
        let folder = metrics.with_file_name(FOLDER);
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(MARK) {
                fs::remove_file(entry.path())?;
            }
        }
        let now = now();
        let name = format!("{MARK}{:010}.{}.{}", now as u64, host(), std::process::id());
        let mut events = Events(File::create(folder.join(name))?);
        let version = Some("brain.Event:2".to_owned());
        events.write(&Event {
            wall_time: now,
            step: 0,
            file_version: version,
            summary: None,
        })?;
        kept.into_iter().try_for_each(|row| events.add(row))?;
        Ok(events)
    }

    /// Appends the numbers of a row in one piece.
    pub(super) fn add(&mut self, row: &Row) -> io::Result<()> {
        let value = row.names().filter_map(|name| {
            let simple_value = Some(row.get(name)? as f32);
            Some(Value {
                tag: name.to_owned(),
                simple_value,
            })
        });
        let summary = Some(Summary {
            value: value.collect(),
        });
        self.write(&Event {
            wall_time: now(),
            step: row.step() as i64,
            file_version: None,
            summary,
        })
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        self.0.write_all(&record(&event.encode_to_vec()))
    }
}

/// A message as a TFRecord.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked(&length).to_le_bytes());
    record.extend(message);
    record.extend(masked(message).to_le_bytes());
    record
}

/// The CRC-32C of `bytes`, rotated and moved, as TFRecords keep it.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() {
        "localhost".into()
    } else {
        name.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a file of records; checks every sum.
    fn events(bytes: &[u8]) -> Vec<Event> {
        let mut rest = bytes;
        let mut found = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().expect("8 bytes")) as usize;
            let sum = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("4 bytes"));
            let message = &rest[12..12 + length];
            assert_eq!(
                (sum(8), sum(12 + length)),
                (masked(&rest[..8]), masked(message))
            );
            found.push(Event::decode(message).expect("an event"));
            rest = &rest[16 + length..];
        }
        found
    }

    #[test]
    fn a_record_is_what_tensorboards_own_writer_makes() {
        // `tensorboard.compat.proto.event_pb2.Event(wall_time=1.5, step=3, summary=Summary(value=[Value(tag="loss",
        // simple_value=0.25)]))`, written by `tensorboard.summary.writer.record_writer.RecordWriter` (2.21.0).
        let value = vec![Value {
            tag: "loss".into(),
            simple_value: Some(0.25),
        }];
        let event = Event {
            wall_time: 1.5,
            step: 3,
            file_version: None,
            summary: Some(Summary { value }),
        };
        let hex: String = record(&event.encode_to_vec())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, REFERENCE);
    }

    const REFERENCE: &str =
        "1a00000000000000129bd82d09000000000000f83f10032a0d0a0b0a046c6f7373150000803ed054b255";

    #[test]
    fn a_resumed_run_has_every_step_once() {
        let folder = std::env::temp_dir().join(format!("tensorboard-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let metrics = folder.join("metrics.jsonl");
        let row = |step: u64| {
            Row::new(step)
                .with("loss", 1.0 / step as f64)
                .with("gone", f64::NAN)
        };
        let mut first = Events::begin(&metrics, []).expect("begins");
        (1..=3).for_each(|step| first.add(&row(step)).expect("adds"));
        let mut second = Events::begin(&metrics, &[row(1), row(2)]).expect("begins");
        second.add(&row(3)).expect("adds");

        let files: Vec<_> = fs::read_dir(folder.join(FOLDER))
            .expect("a folder")
            .flatten()
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let events = events(&fs::read(files[0].path()).expect("a file"));
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        let steps: Vec<i64> = events[1..].iter().map(|event| event.step).collect();
        assert_eq!(steps, [1, 2, 3]);
        let values = &events[2].summary.as_ref().expect("values").value;
        assert_eq!(
            values,
            &[Value {
                tag: "loss".into(),
                simple_value: Some(0.5)
            }]
        );
        fs::remove_dir_all(folder).expect("cleans up");
    }
}
