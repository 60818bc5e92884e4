//! What a run rests on, key by key, so that a resumed run can say what is different now.
//!
//! In: config sections, hashes and names. Out: a flat map, and the lines in which two of them differ.
//! Example: `sft.steps` was `100` and is `200` now.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest value that is told.
const SHOWN: usize = 80;

/// Dotted keys and their values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, Value>);

impl Settings {
    /// The same with `value` below `key`: tables are taken apart.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("settings are plain data");
        self.insert(key, value);
        self
    }

    fn insert(&mut self, key: &str, value: Value) {
        match value {
            Value::Object(table) if !table.is_empty() => {
                for (name, value) in table {
                    self.insert(&format!("{key}.{name}"), value);
                }
            }
            // What is not said has no line of its own.
            Value::Null => {}
            value => {
                self.0.insert(key.to_owned(), value);
            }
        }
    }

    /// Each key whose value is another one in `other`.
    pub fn different_keys(&self, other: &Settings) -> BTreeSet<String> {
        let keys: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        keys.into_iter()
            .filter(|key| self.0.get(*key) != other.0.get(*key))
            .cloned()
            .collect()
    }

    /// The value of `key`, cut where it is long; `None` where it is not set.
    pub fn shown(&self, key: &str) -> Option<String> {
        self.0.get(key).map(|value| shown(Some(value)))
    }

    /// Each key whose value is another one in `now`, with both.
    pub fn differences(&self, now: &Settings) -> Vec<String> {
        let told = |key: &String| {
            format!(
                "`{key}` was {}, is {}",
                shown(self.0.get(key)),
                shown(now.0.get(key))
            )
        };
        self.different_keys(now).iter().map(told).collect()
    }

    /// Refuses to go on with what `what` began when `now` differs.
    ///
    /// # Errors
    ///
    /// Names every key that differs.
    pub fn require_same(&self, now: &Settings, what: &str) -> Result<()> {
        let differences = self.differences(now);
        if differences.is_empty() {
            return Ok(());
        }
        bail!(
            "{what} was begun with other settings\n{}{}",
            differences.join("\n"),
            data::Hint("resume with the settings that began it, or choose another `--out`")
        )
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "not set".into();
    };
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_named_key_by_key() {
        let before = Settings::default()
            .with("sft", json!({"steps": 100, "optimizer": {"lr": 0.1}}))
            .with("seed", 7);
        let now = Settings::default().with(
            "sft",
            json!({"steps": 200, "optimizer": {"lr": 0.1}, "keep": 2}),
        );
        assert_eq!(
            before.differences(&now),
            [
                "`seed` was 7, is not set",
                "`sft.keep` was not set, is 2",
                "`sft.steps` was 100, is 200"
            ]
        );
        let said = before
            .require_same(&now, "`out`")
            .expect_err("is refused")
            .to_string();
        assert!(
            said.starts_with("`out` was begun with other settings\n`seed` was 7"),
            "{said}"
        );
        assert!(before.require_same(&before.clone(), "`out`").is_ok());
    }

    #[test]
    fn a_long_value_is_cut_where_a_letter_ends() {
        assert_eq!(
            shown(Some(&json!("ä".repeat(200)))).chars().count(),
            SHOWN + 1
        );
    }
}
