use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::tests::{classic, own};
use super::*;
use crate::source::rows::read_any;

fn folder(name: &str, rows: &[Value]) -> (PathBuf, PathBuf) {
    let folder = std::env::temp_dir().join(format!("public-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let path = folder.join("in.jsonl");
    fs::write(&path, text).expect("writes");
    (folder, path)
}

#[test]
fn what_is_written_reads_back_and_the_counts_add_up() {
    let mut bad = classic();
    bad["instance_id"] = "bad".into();
    bad["patch"] = "hello".into();
    let (folder, path) = folder("both", &[classic(), own("a"), bad, classic()]);
    for out in ["out.parquet", "out.jsonl"].map(|name| folder.join(name)) {
        let mut refused = Vec::new();
        let done = import(
            std::slice::from_ref(&path),
            &out,
            &Wanted::default(),
            &mut |row| refused.push(row.clone()),
        )
        .expect("imports");
        assert_eq!((done.read, done.written, done.refused), (4, 2, 2));
        assert_eq!(done.formats.values().sum::<usize>(), 2);
        assert_eq!(
            (refused[0].row, refused[0].instance_id.as_deref()),
            (3, Some("bad"))
        );
        assert!(refused[1].reason.contains("stands in row 1"), "{refused:?}");
        let listed = fs::read_to_string(refused_path(&out)).expect("a list");
        assert_eq!(listed.lines().count(), 2);
        // What was imported is imported again as it is.
        let rows: Vec<TaskRow> = read_any(&out)
            .expect("reads")
            .iter()
            .map(|row| task_row(row, None).expect("a row"))
            .collect();
        let first = task_row(classic().as_object().expect("a row"), None).expect("a row");
        let second = task_row(own("a").as_object().expect("a row"), None).expect("a row");
        assert_eq!(rows, [first, second]);
    }
    fs::remove_dir_all(folder).expect("cleans up");
}

#[test]
fn a_failed_import_leaves_what_was_there() {
    let (folder, path) = folder("failed", &[classic()]);
    let out = folder.join("out.parquet");
    let quiet = &mut |_: &RefusedRow| ();
    import(std::slice::from_ref(&path), &out, &Wanted::default(), quiet).expect("imports");
    let before = fs::read(&out).expect("reads");
    fs::write(&path, "[{}, ").expect("writes");
    assert!(matches!(
        import(std::slice::from_ref(&path), &out, &Wanted::default(), quiet),
        Err(ImportError::Rows(_))
    ));
    fs::write(&path, "{}\n").expect("writes");
    assert!(matches!(
        import(std::slice::from_ref(&path), &out, &Wanted::default(), quiet),
        Err(ImportError::Nothing { read: 1, .. })
    ));
    let other = folder.join("out.csv");
    assert!(matches!(
        import(&[path], &other, &Wanted::default(), quiet),
        Err(ImportError::Ending(_))
    ));
    assert_eq!(fs::read(&out).expect("reads"), before);
    let mut names: Vec<_> = fs::read_dir(&folder)
        .expect("lists")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["in.jsonl", "out.parquet"]);
    fs::remove_dir_all(folder).expect("cleans up");
}

#[test]
fn what_is_odd_is_counted_and_listed_row_by_row() {
    let mut both = classic();
    both["instance_id"] = "both".into();
    both["PASS_TO_PASS"] = json!(["test_a (tests.A)", "t.py::cut[a"]);
    let mut bare = classic();
    bare["instance_id"] = "bare".into();
    bare["problem_statement"] = Value::Null;
    bare["patch"] = "".into();
    let (folder, path) = folder("remarks", &[classic(), both, bare]);
    let out = folder.join("out.jsonl");
    let done = import(&[path], &out, &Wanted::default(), &mut |row| {
        panic!("{row:?}")
    })
    .expect("imports");
    let counts: Vec<_> = done
        .remarks
        .iter()
        .map(|(kind, count)| (*kind, *count))
        .collect();
    let kinds = [
        RemarkKind::InBothLists,
        RemarkKind::CutName,
        RemarkKind::NoStatement,
        RemarkKind::NoGoldPatch,
    ];
    assert_eq!(counts, kinds.map(|kind| (kind, 1)));
    assert_eq!(done.kept.get("environment_setup_commit"), Some(&3));
    let listed = fs::read_to_string(remarks_path(&out)).expect("a list");
    let listed: Vec<RemarkedRow> = listed
        .lines()
        .map(|line| serde_json::from_str(line).expect("a remark"))
        .collect();
    let rows: Vec<_> = listed
        .iter()
        .map(|one| (one.row, one.remark.kind))
        .collect();
    assert_eq!(
        rows,
        [(2, kinds[0]), (2, kinds[1]), (3, kinds[2]), (3, kinds[3])]
    );
    fs::remove_dir_all(folder).expect("cleans up");
}

#[test]
fn no_import_takes_the_place_of_what_it_reads() {
    let (folder, path) = folder("onto", &[classic()]);
    let before = fs::read(&path).expect("reads");
    let link = folder.join("link.jsonl");
    std::os::unix::fs::symlink(&path, &link).expect("links");
    fs::hard_link(&path, folder.join("same.parquet")).expect("links");
    fs::hard_link(&path, folder.join("out.jsonl.refused.jsonl")).expect("links");
    for out in [
        path.clone(),
        link,
        folder.join("same.parquet"),
        folder.join("out.jsonl"),
    ] {
        let error = import(
            std::slice::from_ref(&path),
            &out,
            &Wanted::default(),
            &mut |_| (),
        )
        .expect_err("refused");
        assert!(matches!(error, ImportError::Onto { .. }), "{error}");
    }
    assert_eq!(fs::read(&path).expect("reads"), before);
    fs::remove_dir_all(folder).expect("cleans up");
}

#[test]
fn a_failed_import_leaves_the_list_of_refused_rows_and_a_missing_file_is_named_at_once() {
    let (folder, path) = folder("pair", &[classic(), json!({"x": 1})]);
    let out = folder.join("out.jsonl");
    let one = std::slice::from_ref(&path);
    import(one, &out, &Wanted::default(), &mut |_| ()).expect("imports");
    let pair = || {
        (
            fs::read(&out).expect("reads"),
            fs::read(refused_path(&out)).expect("reads"),
        )
    };
    let before = pair();
    fs::write(&path, "{}\n{}\n").expect("writes");
    import(one, &out, &Wanted::default(), &mut |_| ()).expect_err("nothing is left");
    let wanted = Wanted {
        limit: Some(1),
        ..Wanted::default()
    };
    let missing = import(
        &[path.clone(), folder.join("none.jsonl")],
        &out,
        &wanted,
        &mut |_| (),
    );
    assert!(
        missing
            .expect_err("refused")
            .to_string()
            .contains("none.jsonl")
    );
    assert_eq!(pair(), before);
    fs::remove_dir_all(folder).expect("cleans up");
}

#[test]
fn a_limit_counts_rows_and_a_dry_run_writes_nothing() {
    let (folder, path) = folder("limit", &[classic(), own("a"), own("b")]);
    let out = folder.join("out.jsonl");
    let wanted = Wanted {
        limit: Some(2),
        dry_run: true,
        ..Wanted::default()
    };
    let done = import(&[path.clone(), path.clone()], &out, &wanted, &mut |_| ()).expect("imports");
    assert_eq!((done.read, done.written, done.refused), (2, 2, 0));
    assert_eq!(fs::read_dir(&folder).expect("lists").count(), 1);
    fs::remove_dir_all(folder).expect("cleans up");
}

#[test]
fn what_a_row_names_beside_itself_is_named_from_the_new_file() {
    let mut row = own("a");
    row["files"] = Value::Null;
    row["folder"] = "trees/a".into();
    let (folder, path) = folder("moved", &[row]);
    fs::create_dir_all(folder.join("trees/a")).expect("a folder");
    let import_to = |out: &str| {
        import(
            std::slice::from_ref(&path),
            &folder.join(out),
            &Wanted::default(),
            &mut |_| (),
        )
    };
    import_to("out.jsonl").expect("imports");
    assert_eq!(
        read_any(&folder.join("out.jsonl")).expect("reads")[0]["folder"],
        "trees/a"
    );
    let refused = import_to("deeper/out.jsonl")
        .expect_err("is refused")
        .to_string();
    assert!(
        refused.contains("write the result beside its rows"),
        "{refused}"
    );
    fs::remove_dir_all(folder).expect("cleans up");
}
