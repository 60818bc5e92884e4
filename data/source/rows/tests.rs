use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, Encoding};
use ::parquet::file::properties::{WriterProperties, WriterVersion};
use arrow::array::{ArrayRef, RecordBatch, StringArray};

use super::*;

fn file(name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("rows-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).expect("writes");
    path
}

fn ids(path: &Path) -> Vec<String> {
    let rows = read_any(path).expect("reads");
    std::fs::remove_file(path).expect("cleans up");
    rows.iter()
        .map(|row| row["id"].as_str().expect("a text").to_string())
        .collect()
}

#[test]
fn the_three_kinds_of_files_are_told_apart() {
    let column: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let batch = RecordBatch::try_from_iter([("id", column)]).expect("a batch");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("writes");
    writer.close().expect("closes");
    assert_eq!(ids(&file("a.parquet", &bytes)), ["a", "b"]);
    assert_eq!(
        ids(&file("a.jsonl", b"{\"id\": \"a\"}\n{\"id\": \"b\"}\n")),
        ["a", "b"]
    );
    assert_eq!(
        ids(&file("a.json", b" [{\"id\": \"a\"}, {\"id\": \"b\"}]")),
        ["a", "b"]
    );
}

#[test]
fn rows_may_be_gzipped_and_what_is_cut_is_told() {
    let packed = |text: &[u8]| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut writer, text).expect("packs");
        writer.finish().expect("packs")
    };
    let long: String = (0..50_000)
        .map(|n| format!("{{\"id\": \"{n}\"}}\n"))
        .collect();
    assert_eq!(
        ids(&file("a.jsonl.gz", &packed(long.as_bytes()))).len(),
        50_000
    );
    assert_eq!(
        ids(&file(
            "b.json.gz",
            &packed(b"\xef\xbb\xbf[{\"id\": \"a\"}]")
        )),
        ["a"]
    );
    let path = file("cut.jsonl.gz", &packed(long.as_bytes())[..20_000]);
    assert!(
        read_any(&path)
            .expect_err("is cut")
            .to_string()
            .contains("cut.jsonl.gz")
    );
    let path = file(
        "tree.tar.gz",
        &packed(&[&[b'a'; 257][..], b"ustar", &[0; 300]].concat()),
    );
    assert!(
        read_any(&path)
            .expect_err("is no text")
            .to_string()
            .contains("tar archive")
    );
}

#[test]
fn one_object_may_be_laid_out_in_any_way() {
    for (name, text) in [
        ("plain", "{\n\"id\": \"a\"\n}"),
        ("blank", "{ \r\n \"id\": \"a\"}\n"),
        ("begun", "{\"id\":\n \"a\"}"),
        (
            "inner",
            "\u{feff}{\"id\": \"a\", \"b\": {\n  \"c\": 1\n}}\n\n",
        ),
    ] {
        assert_eq!(ids(&file(name, text.as_bytes())), ["a"], "{name}");
    }
    // A first line that is torn does not swallow the others.
    let (good, bad, end) = faults("torn", b"{\"id\":\n{\"id\": 1}\n", &Limits::default());
    assert_eq!((good, bad.len(), end), (vec![2], 1, None));
}

#[test]
fn a_file_of_another_kind_is_told_apart() {
    for (name, bytes, why) in [
        (
            "rows.jsonl.gz",
            &b"\x1f\x8b\x08\0"[..],
            "gzip that cannot be unpacked",
        ),
        ("rows.jsonl.zst", b"\x28\xb5\x2f\xfd", "zstd -d"),
        ("rows.jsonl", b"\xff\xfe{\0", "UTF-16"),
        ("rows.csv", b"instance_id,patch\n", "a table of text"),
    ] {
        let path = file(name, bytes);
        let error = read_any(&path).expect_err(name).to_string();
        assert!(
            error.contains(why) && error.contains(name) && error.contains("\nhint: "),
            "{error}"
        );
        std::fs::remove_file(path).expect("cleans up");
    }
}

#[test]
fn a_broken_file_is_named() {
    for (name, bytes, why) in [
        (
            "cut.parquet",
            &b"PAR1 and then nothing"[..],
            "broken Parquet",
        ),
        ("list.json", b"[1, 2]", "row 1: byte 1: it is no object"),
        ("number.jsonl", b"7\n", "row 1"),
    ] {
        let path = file(name, bytes);
        let error = read_any(&path).expect_err(name).to_string();
        assert!(error.contains(why) && error.contains(name), "{error}");
        std::fs::remove_file(path).expect("cleans up");
    }
}

#[test]
fn a_list_of_tests_may_be_a_text() {
    #[derive(Deserialize)]
    struct Tests(#[serde(deserialize_with = "names")] Vec<String>);
    let read = |text: &str| serde_json::from_str::<Tests>(text).map(|tests| tests.0);
    assert_eq!(read(r#"["a", "b"]"#).expect("reads"), ["a", "b"]);
    assert_eq!(read(r#""[\"a\"]""#).expect("reads"), ["a"]);
    assert!(read("null").expect("reads").is_empty());
    assert!(read(r#""a, b""#).is_err());
    // Python's notation, in which quotes of the other kind need no escape.
    assert_eq!(read(r#""[\"a's\", 'b']""#).expect("reads"), ["a's", "b"]);
}

fn faults(name: &str, bytes: &[u8], limits: &Limits) -> (Vec<usize>, Vec<String>, Option<String>) {
    let path = file(name, bytes);
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let end = each_row(&path, limits, &mut |found| {
        match found.value {
            Ok(_) => good.push(found.row),
            Err(fault) => bad.push(format!("{}: {}", found.row, fault.reason)),
        }
        Ok(())
    });
    std::fs::remove_file(path).expect("cleans up");
    (good, bad, end.err().map(|error| error.to_string()))
}

#[test]
fn a_bad_row_is_told_with_its_byte_and_the_others_are_read() {
    let text = b"{\"a\": 1}\n{\"a\": NaN}\n\n{\"a\": 1, \"a\": 2}\n{\"a\": 2}\n7\n";
    let (good, bad, end) = faults("mixed.jsonl", text, &Limits::default());
    assert_eq!((good, end), (vec![1, 5], None));
    assert_eq!(bad.len(), 3);
    assert!(bad[0].starts_with("2: byte 15: "), "{bad:?}");
    assert!(
        bad[1].starts_with("4: byte ") && bad[1].contains("the key `a` stands twice"),
        "{bad:?}"
    );
    assert_eq!(bad[2], "6: byte 47: it is no object with named columns");

    let (good, bad, end) = faults(
        "mixed.json",
        b"[{\"a\": \"],[\\\"\"}, {\"a\": }, 7,\n {}]\n",
        &Limits::default(),
    );
    assert_eq!((good, end), (vec![1, 4], None));
    assert!(
        bad[0].starts_with("2: byte 23: ") && bad[1].starts_with("3: byte 26: it is no object"),
        "{bad:?}"
    );
}

#[test]
fn an_object_may_stand_on_many_lines() {
    let limits = Limits::default();
    assert_eq!(
        faults(
            "lines.json",
            b"{\n  \"a\": {\n    \"b\": 1\n  }\n}\n",
            &limits
        ),
        (vec![1], vec![], None)
    );
    let (good, bad, end) = faults("twice.json", b"{\n  \"a\": 1,\n  \"a\": 2\n}", &limits);
    assert_eq!((good.len(), bad.len(), end), (0, 1, None));
    assert!(bad[0].contains("stands twice"), "{bad:?}");
    assert_eq!(
        faults(
            "long.json",
            b"{\n}\n",
            &Limits {
                row_bytes: 3,
                ..limits
            }
        )
        .1
        .len(),
        1
    );
}

#[test]
fn a_list_is_one_list_and_whole() {
    let limits = Limits::default();
    assert_eq!(
        faults("empty.json", b" [ ] ", &limits),
        (vec![], vec![], None)
    );
    assert_eq!(
        faults("mark.json", b"\xef\xbb\xbf[{}]", &limits),
        (vec![1], vec![], None)
    );
    assert_eq!(faults("comma.json", b"[{},]", &limits).1.len(), 1);
    for (bytes, why) in [
        (&b"[{}"[..], "without `]`"),
        (b"[{}] x", "besides one list"),
        (b"[{\"a\": \"]", "without `]`"),
    ] {
        let (_, _, end) = faults("cut.json", bytes, &limits);
        assert!(
            end.as_deref().is_some_and(|end| end.contains(why)),
            "{end:?}"
        );
    }
}

#[test]
fn long_rows_and_many_rows_cost_no_memory() {
    let limits = Limits {
        row_bytes: 100,
        rows: 3,
        ..Limits::default()
    };
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(1_000_000));
    let (good, bad, end) = faults(
        "long.jsonl",
        format!("{{}}\n{long}\n{{}}\n").as_bytes(),
        &limits,
    );
    assert_eq!((good, bad.len(), end), (vec![1, 3], 1, None));
    let (good, bad, end) = faults(
        "long.json",
        format!("[{{}}, {long}, {{}}]").as_bytes(),
        &limits,
    );
    assert_eq!((good, bad.len(), end), (vec![1, 3], 1, None));
    let (_, _, end) = faults("many.jsonl", "{}\n".repeat(4).as_bytes(), &limits);
    assert!(end.is_some_and(|end| end.contains("more than 3 rows")));
    let (_, _, end) = faults(
        "large.jsonl",
        "{}\n".repeat(4).as_bytes(),
        &Limits { bytes: 4, ..limits },
    );
    assert!(end.is_some_and(|end| end.contains("the limit is 4")));
}

/// One text that stands in every row.
fn repeated(text: &str, rows: usize) -> Vec<u8> {
    let column: ArrayRef = Arc::new(StringArray::from(vec![text; rows]));
    let batch = RecordBatch::try_from_iter([("id", column)]).expect("a batch");
    let mut bytes = Vec::new();
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(Default::default()));
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build()))
        .expect("a writer");
    writer.write(&batch).expect("writes");
    writer.close().expect("closes");
    bytes
}

#[test]
fn parquet_that_grows_beyond_measure_is_refused() {
    let bytes = repeated(&"x".repeat(1 << 20), 200);
    assert!(bytes.len() < 100_000, "{}", bytes.len());
    let (good, _, end) = faults(
        "bomb.parquet",
        &bytes,
        &Limits {
            free_bytes: 64 << 20,
            expansion: 256,
            ..Limits::default()
        },
    );
    assert!(good.len() < 70, "{}", good.len());
    assert!(end.is_some_and(|end| end.contains("become more than 67108864 bytes")));
    let (good, _, end) = faults(
        "row.parquet",
        &bytes,
        &Limits {
            row_bytes: 1000,
            ..Limits::default()
        },
    );
    assert!(good.is_empty() && end.is_some_and(|end| end.contains("row 1 is longer")));
    let few = repeated("x", 5);
    let (good, _, end) = faults(
        "few.parquet",
        &few,
        &Limits {
            rows: 3,
            ..Limits::default()
        },
    );
    assert!(good.len() == 3 && end.is_some_and(|end| end.contains("more than 3 rows")));
}

fn written(columns: Vec<(&str, ArrayRef)>, properties: WriterProperties) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    );
    let batch = batch.expect("a batch");
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("writes");
    writer.close().expect("closes");
    bytes
}

#[test]
fn every_codec_and_every_encoding_is_read() {
    let id: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..3000).map(|n| format!("a-{n:05}")),
    ));
    let number: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(0..3000));
    let columns = || vec![("id", id.clone()), ("number", number.clone())];
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(Default::default()),
    ];
    let mut files = Vec::new();
    for codec in codecs {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            files.push(
                WriterProperties::builder()
                    .set_compression(codec)
                    .set_writer_version(version)
                    .build(),
            );
        }
    }
    for text in [
        Encoding::PLAIN,
        Encoding::DELTA_LENGTH_BYTE_ARRAY,
        Encoding::DELTA_BYTE_ARRAY,
    ] {
        for number in [
            Encoding::PLAIN,
            Encoding::DELTA_BINARY_PACKED,
            Encoding::BYTE_STREAM_SPLIT,
        ] {
            let properties = WriterProperties::builder().set_dictionary_enabled(false);
            let properties = properties
                .set_column_encoding("id".into(), text)
                .set_column_encoding("number".into(), number);
            files.push(properties.build());
        }
    }
    for properties in files {
        let path = file("codec.parquet", &written(columns(), properties.clone()));
        let rows = read_any(&path).unwrap_or_else(|error| panic!("{properties:?}: {error}"));
        assert_eq!(rows.len(), 3000);
        let last = serde_json::json!({"id": "a-02999", "number": 2999});
        assert_eq!(Value::Object(rows[2999].clone()), last, "{properties:?}");
        std::fs::remove_file(path).expect("cleans up");
    }
}

#[test]
fn nested_and_large_types_become_what_json_lines_would_hold() {
    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array,
        Int32Array, LargeStringArray, ListArray, MapBuilder, StringBuilder, StructArray,
        TimestampMillisecondArray, UInt64Array,
    };
    use arrow::datatypes::{DataType, Field, Int32Type};
    let field = |name: &str, kind: DataType| Arc::new(Field::new(name, kind, true));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("y")]));
    let parts: ArrayRef = Arc::new(StructArray::from(vec![(
        field("name", DataType::Utf8),
        texts,
    )]));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 1]);
    let list = ListArray::try_new(
        field("item", parts.data_type().clone()),
        offsets,
        parts,
        None,
    )
    .expect("a list");
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("k");
    map.values().append_value("v");
    map.append(true).expect("appends");
    map.append(true).expect("appends");
    let words = DictionaryArray::<Int32Type>::try_new(
        Int32Array::from(vec![1, 0]),
        Arc::new(StringArray::from(vec!["b", "c"])),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("list", Arc::new(list)),
        ("map", Arc::new(map.finish())),
        ("words", Arc::new(words.expect("words"))),
        ("large", Arc::new(LargeStringArray::from(vec!["é", "\n\""]))),
        (
            "bytes",
            Arc::new(BinaryArray::from_vec(vec![b"text", b"\xff\xfe"])),
        ),
        (
            "time",
            Arc::new(
                TimestampMillisecondArray::from(vec![1_553_053_578_000, 0]).with_timezone("UTC"),
            ),
        ),
        ("day", Arc::new(Date32Array::from(vec![17_975, 0]))),
        (
            "money",
            Arc::new(
                Decimal128Array::from(vec![12_345, -5])
                    .with_precision_and_scale(9, 2)
                    .expect("a decimal"),
            ),
        ),
        ("float", Arc::new(Float64Array::from(vec![1.5, f64::NAN]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("count", Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
    ];
    let path = file(
        "nested.parquet",
        &written(columns, WriterProperties::default()),
    );
    let rows = read_any(&path).expect("reads");
    std::fs::remove_file(path).expect("cleans up");
    let first = serde_json::json!({
        "list": [{"name": "x"}, {"name": null}], "map": {"k": "v"}, "words": "c", "large": "é", "bytes": "text",
        "time": "2019-03-20T03:46:18Z", "day": "2019-03-20", "money": "123.45", "float": 1.5, "flag": true,
        "count": u64::MAX,
    });
    let second = serde_json::json!({
        "list": [{"name": "y"}], "map": {}, "words": "b", "large": "\n\"", "bytes": "//4=", "time": "1970-01-01T00:00:00Z",
        "day": "1970-01-01", "money": "-0.05", "float": null, "flag": null, "count": 0,
    });
    assert_eq!(
        rows.into_iter().map(Value::Object).collect::<Vec<_>>(),
        [first, second]
    );
}

#[test]
fn more_than_a_million_rows_are_read_in_small_batches() {
    let count = 1_100_000;
    let id: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(0..count));
    let path = file(
        "many.parquet",
        &written(vec![("id", id)], WriterProperties::default()),
    );
    let (mut read, mut last) = (0, Value::Null);
    let limits = Limits::default();
    each_place(&path, &limits, &mut |place| {
        read += 1;
        assert_eq!(place.row, read);
        if let Ok(Cells::Batch(batch, row)) = place.cells {
            assert!(batch.rows() <= 1024);
            last = batch.value(0, row).expect("a number");
        }
        Ok(())
    })
    .expect("reads");
    std::fs::remove_file(path).expect("cleans up");
    assert_eq!((read as i64, last), (count, Value::from(count - 1)));
}

#[test]
fn long_texts_are_told_in_parts_of_a_few_megabytes() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 20); 20]));
    let path = file(
        "long.parquet",
        &written(vec![("id", texts)], WriterProperties::default()),
    );
    let mut most = 0;
    each_place(&path, &Limits::default(), &mut |place| {
        if let Ok(Cells::Batch(batch, row)) = place.cells {
            most = most.max(batch.rows());
            assert_eq!(batch.text(0, row).map(str::len), Some(1 << 20));
        }
        Ok(())
    })
    .expect("reads");
    std::fs::remove_file(path).expect("cleans up");
    assert!((1..5).contains(&most), "{most}");
}

#[test]
fn a_file_that_was_cut_or_never_fetched_says_so() {
    let whole = repeated("x", 5);
    for (name, bytes, why) in [
        (
            "cut.parquet",
            &whole[..whole.len() - 9],
            "the end is missing",
        ),
        ("late.parquet", &whole[9..], "the beginning is missing"),
        (
            "pointer.parquet",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 12\n",
            "Git LFS: the file itself (12 bytes)",
        ),
        ("page.json", b"<!DOCTYPE html>\n", "a page of HTML"),
        ("empty.jsonl", b"", "it is empty"),
    ] {
        let path = file(name, bytes);
        let error = read_any(&path).expect_err(name).to_string();
        assert!(
            error.contains(why) && error.contains(name) && error.contains("\nhint: "),
            "{error}"
        );
        std::fs::remove_file(path).expect("cleans up");
    }
}

#[test]
fn a_folder_a_device_or_a_pipe_is_no_file() {
    let pipe = std::env::temp_dir().join(format!("rows-{}-pipe", std::process::id()));
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .expect("starts");
    assert!(made.success());
    for path in [&std::env::temp_dir(), Path::new("/dev/zero"), &pipe] {
        let error = read_any(path).expect_err("is refused").to_string();
        assert!(error.contains("it is no file"), "{error}");
    }
    std::fs::remove_file(pipe).expect("cleans up");
}
