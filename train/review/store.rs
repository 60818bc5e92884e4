//! The one file of a queue: items, drafts, runs of tests, and verdicts that are only ever added.
//!
//! In: what a person does. Out: rows of `queue.sqlite`. A verdict and what it changes are one transaction, on disk before
//! the answer goes out (WAL, `synchronous = FULL`): a server that is killed leaves all of it or nothing.
//! Example: `store.decide(&verdict)?` adds a row to `verdicts`, which no statement can change later, and removes the draft.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use data::{Patch, Task};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::agreement::Pair;

/// The file of a queue.
pub const QUEUE_FILE: &str = "queue.sqlite";
/// The format number of the file; a reader refuses a larger one.
const QUEUE_FORMAT: i64 = 1;

/// The tables. Triggers keep the history as it was written.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, task_id TEXT NOT NULL, repo TEXT NOT NULL, model TEXT NOT NULL,
    root TEXT NOT NULL, task TEXT NOT NULL, patch TEXT NOT NULL, reason TEXT NOT NULL, lines INTEGER NOT NULL,
    added INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS drafts (
    item INTEGER NOT NULL REFERENCES items(id), reviewer TEXT NOT NULL, version INTEGER NOT NULL, files TEXT NOT NULL,
    seconds REAL NOT NULL, keys INTEGER NOT NULL, saved INTEGER NOT NULL, PRIMARY KEY (item, reviewer));
CREATE TABLE IF NOT EXISTS runs (
    item INTEGER NOT NULL REFERENCES items(id), patch TEXT NOT NULL, passes INTEGER NOT NULL, told TEXT NOT NULL,
    at INTEGER NOT NULL, PRIMARY KEY (item, patch));
CREATE TABLE IF NOT EXISTS minimal (
    item INTEGER NOT NULL REFERENCES items(id), patch TEXT NOT NULL, minimal TEXT NOT NULL, PRIMARY KEY (item, patch));
CREATE TABLE IF NOT EXISTS verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, item INTEGER NOT NULL REFERENCES items(id), reviewer TEXT NOT NULL,
    kind TEXT NOT NULL, reason TEXT NOT NULL, patch TEXT NOT NULL, seconds REAL NOT NULL, keys INTEGER NOT NULL,
    at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS current (
    item INTEGER NOT NULL REFERENCES items(id), reviewer TEXT NOT NULL, verdict INTEGER NOT NULL REFERENCES verdicts(id),
    kind TEXT NOT NULL, PRIMARY KEY (item, reviewer));
CREATE TRIGGER IF NOT EXISTS verdicts_stay BEFORE UPDATE ON verdicts BEGIN SELECT RAISE(ABORT, 'verdicts are only added'); END;
CREATE TRIGGER IF NOT EXISTS verdicts_remain BEFORE DELETE ON verdicts BEGIN SELECT RAISE(ABORT, 'verdicts are only added'); END;
";

/// What a person decided about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// The model's patch is right as it is.
    Accept,
    /// The person's own fix.
    Edit,
    /// No patch of this item is worth keeping.
    Reject,
    /// Somebody else's, or later.
    Skip,
    /// The verdict before is taken back.
    Undo,
}

impl VerdictKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            VerdictKind::Accept => "accept",
            VerdictKind::Edit => "edit",
            VerdictKind::Reject => "reject",
            VerdictKind::Skip => "skip",
            VerdictKind::Undo => "undo",
        }
    }

    fn from_name(name: &str) -> Result<Self> {
        use VerdictKind::{Accept, Edit, Reject, Skip, Undo};
        [Accept, Edit, Reject, Skip, Undo]
            .into_iter()
            .find(|kind| kind.name() == name)
            .with_context(|| format!("the queue holds a verdict `{name}`, which is none"))
    }
}

/// A task and what a model answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its number in the queue; 0 for one that is not in it yet.
    pub id: i64,
    /// The task.
    pub task: Task,
    /// The folder that the task's tree lies below.
    pub root: String,
    /// Who answered.
    pub model: String,
    /// The diff that was answered, whether or not it is a patch.
    pub patch: String,
    /// Why a person should look.
    pub reason: String,
}

/// Files as a person left them: their text, or none where the file is deleted.
pub type Files = BTreeMap<String, Option<String>>;

/// What a person wrote so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Grows by one with each time that it is saved; 0 where nothing is.
    pub version: i64,
    /// The files.
    pub files: Files,
    /// Seconds that were spent on the item.
    #[serde(default)]
    pub seconds: f64,
    /// Keys that were pressed.
    #[serde(default)]
    pub keys: i64,
}

/// A row of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Its number; 0 for one that is not stored yet.
    pub id: i64,
    /// The item.
    pub item: i64,
    /// Who decided.
    pub reviewer: String,
    /// What.
    pub kind: VerdictKind,
    /// Why, in the person's words; may be empty.
    pub reason: String,
    /// The patch that was accepted or written; empty for the other kinds.
    pub patch: String,
    /// Seconds from the first look to the verdict.
    pub seconds: f64,
    /// Keys that were pressed.
    pub keys: i64,
    /// Seconds since 1970.
    pub at: i64,
}

/// A row of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The item.
    pub id: i64,
    /// The task.
    pub task: String,
    /// Its package.
    pub repo: String,
    /// Lines that the model's patch changes.
    pub lines: i64,
    /// The reviewer's verdict.
    pub kind: Option<String>,
    /// Whether the reviewer has a draft.
    pub draft: bool,
}

/// How far a reviewer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Items in all.
    pub total: i64,
    /// With a verdict, skipped ones included.
    pub done: i64,
    /// Skipped.
    pub skipped: i64,
}

/// What the list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Everything.
    #[default]
    All,
    /// Without a verdict of the reviewer.
    Open,
    /// With one.
    Done,
    /// Skipped.
    Skipped,
    /// With a draft.
    Draft,
}

impl Filter {
    fn condition(self) -> &'static str {
        match self {
            Filter::All => "1",
            Filter::Open => "c.kind IS NULL",
            Filter::Done => "c.kind IS NOT NULL AND c.kind <> 'skip'",
            Filter::Skipped => "c.kind = 'skip'",
            Filter::Draft => "d.item IS NOT NULL",
        }
    }
}

/// A draft was saved by somebody else in between.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("this draft was changed elsewhere")]
pub struct Conflict(pub Draft);

/// The file of a queue, open.
pub struct Store(Mutex<Connection>);

impl Store {
    /// Opens the queue in a folder, or begins one.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written, or holds another thing under the queue's name.
    pub fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
        let path = folder.join(QUEUE_FILE);
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.execute_batch(TABLES)?;
            Ok(connection)
        };
        let connection = open().with_context(|| {
            format!(
                "cannot open the queue `{}`{}",
                path.display(),
                data::Hint("name a folder of your own with `--queue`")
            )
        })?;
        let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if format > QUEUE_FORMAT {
            bail!(
                "`{}` has the format {format}, and this program reads {QUEUE_FORMAT}{}",
                path.display(),
                data::Hint("use the program that wrote it, or a newer one")
            );
        }
        connection.pragma_update(None, "user_version", QUEUE_FORMAT)?;
        Ok(Store(Mutex::new(connection)))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that panicked was rolled back.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds items, all or none; those that are there already stay as they are. Returns how many are new.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn add(&self, items: &[Item]) -> Result<usize> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let mut added = 0;
        for item in items {
            let key = [&item.root, &item.task.id, &item.model, &item.patch].map(String::as_str);
            let key = blake3::hash(key.join("\0").as_bytes()).to_hex().to_string();
            let lines = Patch::parse(&item.patch).map_or(0, |patch| data::triplet::size(&patch));
            added += transaction.execute(
                "INSERT OR IGNORE INTO items (key, task_id, repo, model, root, task, patch, reason, lines, added)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    key,
                    item.task.id,
                    item.task.repo,
                    item.model,
                    item.root,
                    serde_json::to_string(&item.task)?,
                    item.patch,
                    item.reason,
                    lines as i64,
                    now()
                ],
            )?;
        }
        transaction.commit()?;
        Ok(added)
    }

    /// An item; none where there is no such number.
    ///
    /// # Errors
    ///
    /// When its row cannot be read.
    pub fn item(&self, id: i64) -> Result<Option<Item>> {
        let connection = self.lock();
        let sql = "SELECT task, root, model, patch, reason FROM items WHERE id = ?1";
        let read = |row: &Row| {
            let [task, root, model, patch, reason] = texts(row)?;
            Ok((task, root, model, patch, reason))
        };
        let found = connection.query_row(sql, [id], read).optional()?;
        let Some((task, root, model, patch, reason)) = found else {
            return Ok(None);
        };
        let task = serde_json::from_str(&task)
            .with_context(|| format!("item {id} of the queue holds no task"))?;
        Ok(Some(Item {
            id,
            task,
            root,
            model,
            patch,
            reason,
        }))
    }

    /// A window of the list as `reviewer` sees it, and how long the whole list is.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn list(
        &self,
        reviewer: &str,
        (filter, search): (Filter, &str),
        (offset, limit): (i64, i64),
    ) -> Result<(i64, Vec<Listed>)> {
        let from = format!(
            "FROM items i LEFT JOIN current c ON c.item = i.id AND c.reviewer = ?1
             LEFT JOIN drafts d ON d.item = i.id AND d.reviewer = ?1
             WHERE {} AND (?2 = '' OR instr(lower(i.task_id || ' ' || i.repo || ' ' || i.reason), lower(?2)) > 0)",
            filter.condition()
        );
        let connection = self.lock();
        let total = connection.query_row(
            &format!("SELECT count(*) {from}"),
            params![reviewer, search],
            |row| row.get(0),
        )?;
        let sql = format!(
            "SELECT i.id, i.task_id, i.repo, i.lines, c.kind, d.item IS NOT NULL {from} ORDER BY i.id LIMIT ?3 OFFSET ?4"
        );
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map(params![reviewer, search, limit, offset], |row| {
            Ok(Listed {
                id: row.get(0)?,
                task: row.get(1)?,
                repo: row.get(2)?,
                lines: row.get(3)?,
                kind: row.get(4)?,
                draft: row.get(5)?,
            })
        })?;
        Ok((total, rows.collect::<rusqlite::Result<_>>()?))
    }

    /// The first item after `after` without a verdict of `reviewer`, and from the start where there is none behind.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn next_open(&self, reviewer: &str, after: i64) -> Result<Option<i64>> {
        let connection = self.lock();
        let sql =
            "SELECT i.id FROM items i LEFT JOIN current c ON c.item = i.id AND c.reviewer = ?1
                   WHERE c.kind IS NULL AND i.id <> ?2 ORDER BY i.id <= ?2, i.id LIMIT 1";
        Ok(connection
            .query_row(sql, params![reviewer, after], |row| row.get(0))
            .optional()?)
    }

    /// How far `reviewer` is.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn progress(&self, reviewer: &str) -> Result<Progress> {
        let sql = "SELECT (SELECT count(*) FROM items), count(*), coalesce(sum(kind = 'skip'), 0)
                   FROM current WHERE reviewer = ?1";
        Ok(self.lock().query_row(sql, [reviewer], |row| {
            Ok(Progress {
                total: row.get(0)?,
                done: row.get(1)?,
                skipped: row.get(2)?,
            })
        })?)
    }

    /// What `reviewer` wrote so far about an item.
    ///
    /// # Errors
    ///
    /// When the row cannot be read.
    pub fn draft(&self, item: i64, reviewer: &str) -> Result<Option<Draft>> {
        draft_of(&self.lock(), item, reviewer)
    }

    /// Saves a draft that was made on top of `draft.version`, and returns its new version.
    ///
    /// # Errors
    ///
    /// [`Conflict`], with what is there, where another tab saved one in between.
    pub fn save_draft(&self, item: i64, reviewer: &str, draft: &Draft) -> Result<i64> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let there = draft_of(&transaction, item, reviewer)?.unwrap_or_default();
        if there.version != draft.version {
            return Err(Conflict(there).into());
        }
        let version = draft.version + 1;
        transaction.execute(
            "INSERT OR REPLACE INTO drafts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                item,
                reviewer,
                version,
                serde_json::to_string(&draft.files)?,
                draft.seconds,
                draft.keys,
                now()
            ],
        )?;
        transaction.commit()?;
        Ok(version)
    }

    /// Keeps what the tests said about a patch, by the hash of its text.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn keep_run(&self, item: i64, patch: &str, passes: bool, told: &str) -> Result<()> {
        self.lock().execute(
            "INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5)",
            params![item, hash(patch), passes, told, now()],
        )?;
        Ok(())
    }

    /// What the tests said about exactly this patch: whether they pass, and the words.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn run(&self, item: i64, patch: &str) -> Result<Option<(bool, String)>> {
        let sql = "SELECT passes, told FROM runs WHERE item = ?1 AND patch = ?2";
        Ok(self
            .lock()
            .query_row(sql, params![item, hash(patch)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?)
    }

    /// Keeps the 1-minimal part of a patch.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn keep_minimal(&self, item: i64, patch: &str, minimal: &str) -> Result<()> {
        self.lock().execute(
            "INSERT OR REPLACE INTO minimal VALUES (?1, ?2, ?3)",
            params![item, hash(patch), minimal],
        )?;
        Ok(())
    }

    /// The 1-minimal part of a patch, where it was searched for.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn minimal(&self, item: i64, patch: &str) -> Result<Option<String>> {
        let sql = "SELECT minimal FROM minimal WHERE item = ?1 AND patch = ?2";
        Ok(self
            .lock()
            .query_row(sql, params![item, hash(patch)], |row| row.get(0))
            .optional()?)
    }

    /// Adds a verdict to the history and makes it the reviewer's current one; [`VerdictKind::Undo`] makes the item open
    /// again. The draft stays: it is what the person wrote.
    ///
    /// # Errors
    ///
    /// When the disk is full; then nothing changed.
    pub fn decide(&self, verdict: &Verdict) -> Result<i64> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let Verdict {
            item,
            reviewer,
            kind,
            reason,
            patch,
            seconds,
            keys,
            ..
        } = verdict;
        transaction.execute(
            "INSERT INTO verdicts (item, reviewer, kind, reason, patch, seconds, keys, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                item,
                reviewer,
                kind.name(),
                reason,
                patch,
                seconds,
                keys,
                now()
            ],
        )?;
        let id = transaction.last_insert_rowid();
        if *kind == VerdictKind::Undo {
            transaction.execute(
                "DELETE FROM current WHERE item = ?1 AND reviewer = ?2",
                params![item, reviewer],
            )?;
        } else {
            transaction.execute(
                "INSERT OR REPLACE INTO current VALUES (?1, ?2, ?3, ?4)",
                params![item, reviewer, id, kind.name()],
            )?;
        }
        transaction.commit()?;
        Ok(id)
    }

    /// The item of the reviewer's latest verdict that still stands; none where there is none.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn latest(&self, reviewer: &str) -> Result<Option<i64>> {
        let sql = "SELECT item FROM current WHERE reviewer = ?1 ORDER BY verdict DESC LIMIT 1";
        Ok(self
            .lock()
            .query_row(sql, [reviewer], |row| row.get(0))
            .optional()?)
    }

    /// The reviewer's current verdict about an item.
    ///
    /// # Errors
    ///
    /// When the row cannot be read.
    pub fn current(&self, item: i64, reviewer: &str) -> Result<Option<Verdict>> {
        let all = self.verdicts(
            "JOIN current c ON c.verdict = v.id WHERE c.item = ?1",
            [item],
        )?;
        Ok(all.into_iter().find(|one| one.reviewer == reviewer))
    }

    /// Everything that was ever decided about an item, in its order.
    ///
    /// # Errors
    ///
    /// When a row cannot be read.
    pub fn history(&self, item: i64) -> Result<Vec<Verdict>> {
        self.verdicts("WHERE v.item = ?1", [item])
    }

    /// Every verdict that stands, in the order of items and of time.
    ///
    /// # Errors
    ///
    /// When a row cannot be read.
    pub fn standing(&self) -> Result<Vec<Verdict>> {
        self.verdicts("JOIN current c ON c.verdict = v.id", [])
    }

    fn verdicts<P: rusqlite::Params>(&self, which: &str, values: P) -> Result<Vec<Verdict>> {
        let sql = format!(
            "SELECT v.id, v.item, v.reviewer, v.kind, v.reason, v.patch, v.seconds, v.keys, v.at
             FROM verdicts v {which} ORDER BY v.item, v.id"
        );
        let connection = self.lock();
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map(values, |row| {
            let kind: String = row.get(3)?;
            Ok((
                kind,
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
                row.get(7)?,
                row.get(8)?,
            ))
        })?;
        rows.map(|row| {
            let (kind, id, item, reviewer, reason, patch, seconds, keys, at): Columns = row?;
            Ok(Verdict {
                id,
                item,
                reviewer,
                kind: VerdictKind::from_name(&kind)?,
                reason,
                patch,
                seconds,
                keys,
                at,
            })
        })
        .collect()
    }

    /// Items that two reviewers decided, with both verdicts; skipped ones are no verdict.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn pairs(&self) -> Result<Vec<Pair>> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT a.reviewer, b.reviewer, a.kind, b.kind FROM current a JOIN current b
             ON a.item = b.item AND a.reviewer < b.reviewer WHERE a.kind <> 'skip' AND b.kind <> 'skip'
             ORDER BY a.reviewer, b.reviewer, a.item",
        )?;
        let rows = statement.query_map([], |row| {
            let [one, other, ones, others] = texts(row)?;
            Ok(Pair {
                reviewers: (one, other),
                kinds: (ones, others),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// The columns of a verdict, its kind first.
type Columns = (String, i64, i64, String, String, String, f64, i64, i64);

fn draft_of(connection: &Connection, item: i64, reviewer: &str) -> Result<Option<Draft>> {
    let sql = "SELECT version, files, seconds, keys FROM drafts WHERE item = ?1 AND reviewer = ?2";
    let read = |row: &Row| {
        Ok((
            row.get(0)?,
            row.get::<_, String>(1)?,
            row.get(2)?,
            row.get(3)?,
        ))
    };
    let found = connection
        .query_row(sql, params![item, reviewer], read)
        .optional()?;
    found
        .map(|(version, files, seconds, keys)| {
            Ok(Draft {
                version,
                files: serde_json::from_str(&files)
                    .context("a draft of the queue holds no files")?,
                seconds,
                keys,
            })
        })
        .transpose()
}

/// The first columns of a row, all of them text.
fn texts<const N: usize>(row: &Row) -> rusqlite::Result<[String; N]> {
    let mut all = std::array::from_fn(|_| String::new());
    for (at, one) in all.iter_mut().enumerate() {
        *one = row.get(at)?;
    }
    Ok(all)
}

/// What a patch is known by.
pub fn hash(patch: &str) -> String {
    blake3::hash(patch.as_bytes()).to_hex().to_string()
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}
