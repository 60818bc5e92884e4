//! `train data import`: rows of public data sets in one form.

use anyhow::{Context as _, Result};
use data::source::public::{
    GRADING_COLUMNS, Imported, RefusedRow, Wanted, import, refused_path, remarks_path,
};

use super::ImportArgs;
use crate::terminal::plain;

/// Refused rows that are told at the terminal; the file has them all.
const TOLD: usize = 20;

/// `train data import`
///
/// # Errors
///
/// When a file cannot be read to its end, no row is left, or the result cannot be written.
pub(super) fn import_rows(args: &ImportArgs) -> Result<Imported> {
    let wanted = Wanted {
        format: args.from.format(),
        limit: args.limit,
        dry_run: args.dry_run,
    };
    let mut refused = 0;
    let mut told = |row: &RefusedRow| {
        refused += 1;
        if refused <= TOLD {
            let id = row
                .instance_id
                .as_deref()
                .map(|id| format!(" `{}`", id.escape_debug()))
                .unwrap_or_default();
            let reason = row.reason.lines().next().unwrap_or_default();
            eprintln!(
                "{}",
                plain(&format!(
                    "refused: `{}`, row {}{id}: {reason}",
                    row.file.display(),
                    row.row
                ))
            );
        }
    };
    let done =
        import(&args.input, &args.out, &wanted, &mut told).context("while importing rows")?;
    if refused > TOLD {
        eprintln!("refused: {} more rows", refused - TOLD);
    }
    tell_kept(&done);
    tell_remarks(&done, args);
    let Imported {
        read,
        written,
        refused,
        ..
    } = &done;
    let to = if args.dry_run {
        "nothing was written".into()
    } else {
        format!("`{}`", args.out.display())
    };
    eprintln!("{read} rows read, {written} written, {refused} refused: {to}");
    if *refused > 0 && !args.dry_run {
        eprintln!(
            "every refused row and its reason: `{}`",
            refused_path(&args.out).display()
        );
    }
    println!(
        "{}",
        serde_json::to_string(&done).context("a summary is JSON")?
    );
    Ok(done)
}

/// Which columns change how other programs grade, and how they count here.
fn tell_kept(done: &Imported) {
    for (column, counts) in GRADING_COLUMNS {
        if let Some(rows) = done.kept.get(column) {
            eprintln!("kept: `{column}` of {rows} rows: {counts}");
        }
    }
}

/// What is odd about rows that are written all the same.
fn tell_remarks(done: &Imported, args: &ImportArgs) {
    for (kind, rows) in &done.remarks {
        eprintln!("remark: {rows} of {} rows {}", done.written, kind.of_rows());
    }
    if !done.remarks.is_empty() && !args.dry_run {
        eprintln!(
            "every remark with its row: `{}`",
            remarks_path(&args.out).display()
        );
    }
}
