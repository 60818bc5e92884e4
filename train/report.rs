//! A run on one page that needs nothing but itself.
//!
//! In: the report as JSON and the curves. Out: one HTML text with tables and plots, without scripts and without
//! anything from elsewhere; it follows the reader's light or dark setting.
//! Example: `{"gain": {"value": 0.2, "low": 0.05, "high": 0.35}}` becomes a row that says
//! `0.2 [0.05, 0.35], more than chance`.

mod plot;

use rollout::report::Claim;
use serde_json::{Map, Value};

/// One plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// What it shows.
    pub title: String,
    /// The horizontal axis and its unit.
    pub x_label: String,
    /// The vertical axis and its unit.
    pub y_label: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Names for x = 0, 1, 2, … instead of numbers, such as the stages of a run. Empty for a numeric axis.
    pub x_names: Vec<String>,
}

/// One line of a plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// From left to right. A point that is not finite leaves a gap.
    pub points: Vec<(f64, f64)>,
    /// The low and the high end of an error bar for each point; empty for none.
    pub intervals: Vec<(f64, f64)>,
}

/// Tells a run in HTML: the tables of `report`, then `curves` that have points.
pub fn render(report: &Value, curves: &[Curve]) -> String {
    let title = report.get("title").or(report.get("name")).and_then(Value::as_str).unwrap_or("Report");
    let title = escape(title);
    let plots: String = curves.iter().map(plot::figure).collect();
    let heading = "<h2>Curves</h2>\n<div class=\"plots\">";
    let plots = if plots.is_empty() { plots } else { format!("{heading}\n{plots}</div>\n") };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         {}{plots}</body>\n</html>\n",
        tables(report)
    )
}

/// One variable a color, so that dark is a matter of a few lines. The series colors differ in lightness as well.
const STYLE: &str = "
:root { color-scheme: light dark; --page: #fff; --text: #1d2126; --faint: #5c6670; --line: #d5dae0;
  --c0: #0b62a8; --c1: #b8480a; --c2: #1f7a4d; --c3: #8a3d91; --c4: #7a6400; --c5: #333a44; }
@media (prefers-color-scheme: dark) { :root { --page: #15181c; --text: #e6e9ed; --faint: #9aa5b1; --line: #363d46;
  --c0: #6db5f2; --c1: #f29a5c; --c2: #6fd09c; --c3: #d796de; --c4: #d9c24a; --c5: #c3cad3; } }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; }
th, td { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; font-variant-numeric: tabular-nums; }
th { color: var(--faint); font-weight: 500; } .grid .number { text-align: right; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 32rem), 1fr)); gap: 1.5rem; }
figure { margin: 0; } figcaption { font-weight: 600; } svg { width: 100%; height: auto; display: block; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .85rem; color: var(--faint); }
.legend svg { width: 2rem; height: .8rem; display: inline-block; vertical-align: middle; margin-right: .4rem; }
";

// ---- tables ----

/// The report as tables: first its plain values, then one table for each object or list in it.
fn tables(report: &Value) -> String {
    let Value::Object(report) = report else { return section("Report", &cell(report)) };
    let (mut nested, plain): (Vec<_>, Vec<_>) = report.iter().partition(|(_, value)| is_nested(value));
    let plain = plain.into_iter().filter(|(key, _)| *key != "title").map(|(key, value)| (key.clone(), value.clone()));
    let plain: Map<String, Value> = plain.collect();
    // What a reader came for stands first; the rest keeps its order.
    nested.sort_by_key(|(key, _)| ["gain", "eval", "stage"].iter().position(|word| key.contains(word)).unwrap_or(9));
    let mut html = if plain.is_empty() { String::new() } else { section("Summary", &pairs(&plain)) };
    for (key, value) in nested {
        let table = match value {
            Value::Object(object) if object.values().all(Value::is_object) => {
                let rows: Vec<(&str, &Value)> = object.iter().map(|(name, row)| (name.as_str(), row)).collect();
                if rows.iter().all(|(_, row)| !is_nested(row)) { pairs(object) } else { grid(&rows) }
            }
            Value::Object(object) => pairs(object),
            Value::Array(rows) => grid(&rows.iter().map(|row| ("", row)).collect::<Vec<_>>()),
            other => cell(other),
        };
        let mut title = words(key);
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        html += &section(&title, &table);
    }
    html
}

fn section(title: &str, table: &str) -> String {
    format!("<h2>{}</h2>\n<div class=\"wide\">{table}</div>\n", escape(title))
}

/// Objects that are no interval, and lists that hold objects, deserve a table of their own.
fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(_) => interval(value).is_none(),
        Value::Array(items) => items.iter().any(Value::is_object),
        _ => false,
    }
}

/// A table of names and values; deeper objects become longer names.
fn pairs(object: &Map<String, Value>) -> String {
    let mut rows = Vec::new();
    flatten("", object, &mut rows);
    let rows = rows.into_iter().map(|(name, value)| {
        format!("<tr><th scope=\"row\">{}</th>{}</tr>\n", escape(&words(&name)), judged_cell(&name, value))
    });
    format!("<table>\n{}</table>", rows.collect::<String>())
}

fn flatten<'a>(prefix: &str, object: &'a Map<String, Value>, rows: &mut Vec<(String, &'a Value)>) {
    for (key, value) in object {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix} / {key}") };
        match value {
            Value::Object(inner) if interval(value).is_none() => flatten(&name, inner, rows),
            _ => rows.push((name, value)),
        }
    }
}

/// A table with one row an item; the columns are the keys of all items in the order of their first appearance, those
/// that hold text before those that hold numbers.
fn grid(items: &[(&str, &Value)]) -> String {
    let mut rows: Vec<(&str, Vec<(String, &Value)>)> = Vec::new();
    for (name, item) in items {
        let mut cells = Vec::new();
        match item {
            Value::Object(object) if interval(item).is_none() => flatten("", object, &mut cells),
            other => cells.push(("value".to_string(), *other)),
        }
        rows.push((name, cells));
    }
    let mut columns: Vec<&str> = Vec::new();
    for (column, _) in rows.iter().flat_map(|(_, cells)| cells) {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    let is_text =
        |column: &str| rows.iter().flat_map(|(_, cells)| cells).any(|(key, value)| key == column && value.is_string());
    columns.sort_by_key(|column| !is_text(column));
    let named = rows.iter().any(|(name, _)| !name.is_empty());
    let corner = if named { "<td></td>" } else { "" };
    let head: String = columns.iter().map(|column| heading(column, is_text(column))).collect();
    let body: String = rows
        .iter()
        .map(|(name, cells)| {
            let head = if named { format!("<th scope=\"row\">{}</th>", escape(&words(name))) } else { String::new() };
            let cells = columns.iter().map(|column| match cells.iter().find(|(key, _)| key == column) {
                Some((key, value)) => judged_cell(&format!("{name} {key}"), value),
                None => "<td></td>".into(),
            });
            format!("<tr>{head}{}</tr>\n", cells.collect::<String>())
        })
        .collect();
    format!("<table class=\"grid\">\n<tr>{corner}{head}</tr>\n{body}</table>")
}

/// The head of a column, aligned with what stands below it.
fn heading(column: &str, is_text: bool) -> String {
    let class = if is_text { "" } else { " class=\"number\"" };
    format!("<th scope=\"col\"{class}>{}</th>", escape(&words(column)))
}

/// As [`cell`]; a gain with an interval is judged as well, since only one that excludes 0 may be claimed.
fn judged_cell(name: &str, value: &Value) -> String {
    let verdict = match interval(value) {
        Some((_, low, high)) if name.to_lowercase().contains("gain") => format!(", {}", Claim::of(low, high)),
        _ => String::new(),
    };
    let class = if value.is_number() || interval(value).is_some() { " class=\"number\"" } else { "" };
    format!("<td{class}>{}{verdict}</td>", cell(value))
}

fn cell(value: &Value) -> String {
    if let Some((value, low, high)) = interval(value) {
        return format!("{} [{}, {}]", number(value), number(low), number(high));
    }
    match value {
        Value::Null => "–".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(exact) => exact.as_f64().map_or_else(|| exact.to_string(), number),
        Value::String(text) => escape(text),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(_) => escape(&value.to_string()),
    }
}

/// Value, low and high end of an object that tells an interval, in one of the usual spellings.
fn interval(value: &Value) -> Option<(f64, f64, f64)> {
    let object = value.as_object()?;
    let first = |keys: &[&str]| keys.iter().find_map(|key| object.get(*key)).and_then(Value::as_f64);
    let middle = first(&["value", "mean", "estimate"])?;
    let pair = object.get("interval").or(object.get("ci")).and_then(Value::as_array);
    match pair.map(Vec::as_slice) {
        Some([low, high]) => Some((middle, low.as_f64()?, high.as_f64()?)),
        _ => Some((middle, first(&["low", "lower"])?, first(&["high", "upper"])?)),
    }
}

/// A key as words, with the unit of its ending in parentheses.
fn words(key: &str) -> String {
    let endings =
        [("_seconds", "s"), ("_s", "s"), ("_ms", "ms"), ("_mib", "MiB"), ("_bytes", "bytes"), ("_percent", "%")];
    let unit = endings.iter().find(|(ending, _)| key.ends_with(ending) && key.len() > ending.len() + 3);
    let (stem, unit) = match unit {
        // `tokens_per_s` is a rate and keeps its name.
        Some((ending, unit)) if !key.trim_end_matches(ending).ends_with("_per") => {
            (key.trim_end_matches(ending), format!(" ({unit})"))
        }
        _ => (key, String::new()),
    };
    stem.replace('_', " ") + &unit
}

/// Four digits that count; whole numbers whole, with thin spaces between thousands.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    if value.fract() == 0.0 && value.abs() < 1e15 {
        let digits = format!("{}", value.abs());
        let grouped: Vec<&str> = digits
            .as_bytes()
            .rchunks(3)
            .rev()
            .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
            .collect();
        return format!("{}{}", if value < 0.0 { "−" } else { "" }, grouped.join("\u{202f}"));
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..6).contains(&magnitude) {
        return format!("{value:.3e}").replace('-', "−");
    }
    let text = format!("{value:.*}", (3 - magnitude).max(0) as usize);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.replace('-', "−")
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_needs_nothing_from_elsewhere_and_runs_nothing() {
        let curve = Curve {
            title: "Loss".into(),
            series: vec![Series { points: vec![(0.0, 1.0), (1.0, 0.5)], ..Default::default() }],
            ..Default::default()
        };
        let page = render(&json!({"name": "run", "seconds": 3}), &[curve]);
        for foreign in ["http", "src=", "href=", "url(", "<script", "@import"] {
            assert!(!page.contains(foreign), "the page holds `{foreign}`");
        }
    }

    #[test]
    fn text_from_a_run_cannot_become_markup() {
        let evil = "<script>alert(\"1\")</script>";
        let named = Series { name: evil.into(), points: vec![(0.0, 1.0)], ..Default::default() };
        let curve = Curve {
            title: evil.into(),
            x_label: evil.into(),
            y_label: evil.into(),
            series: vec![named],
            x_names: vec![evil.into()],
        };
        let page = render(
            &json!({"title": evil, evil: evil, "stages": [{evil: evil}], "deep": {"x": {evil: [evil]}}}),
            &[curve],
        );
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"));
    }

    #[test]
    fn a_gain_is_claimed_only_when_its_interval_excludes_zero() {
        let gain = |low: f64| judged_cell("gain", &json!({"value": 0.2, "low": low, "high": 0.35}));
        assert_eq!(gain(0.05), "<td class=\"number\">0.2 [0.05, 0.35], more than chance</td>");
        assert_eq!(gain(-0.05), "<td class=\"number\">0.2 [−0.05, 0.35], may be chance</td>");
    }

    #[test]
    fn an_interval_may_be_a_pair() {
        assert_eq!(cell(&json!({"mean": 0.5, "interval": [0.25, 0.75]})), "0.5 [0.25, 0.75]");
        assert_eq!(interval(&json!({"mean": 0.5})), None);
    }

    #[test]
    fn a_list_of_objects_becomes_a_table_with_a_column_for_every_key() {
        let rows = [json!({"stage": "sft", "wall_s": 1.5}), json!({"stage": "rl", "tokens": 2000})];
        let table = grid(&rows.iter().map(|row| ("", row)).collect::<Vec<_>>());
        let head = "<tr><th scope=\"col\">stage</th><th scope=\"col\" class=\"number\">wall (s)</th>\
                    <th scope=\"col\" class=\"number\">tokens</th></tr>";
        assert!(table.contains(head), "{table}");
        assert!(table.contains("<tr><td>rl</td><td></td><td class=\"number\">2\u{202f}000</td></tr>"), "{table}");
    }

    #[test]
    fn numbers_have_four_digits_that_count() {
        let told = [0.123456, 12.0, 1234567.0, 1234.5678, -0.5, 0.00001234, f64::NAN, 99999.6].map(number);
        assert_eq!(told, ["0.1235", "12", "1\u{202f}234\u{202f}567", "1235", "−0.5", "1.234e−5", "–", "100000"]);
    }

    #[test]
    fn units_come_from_the_ends_of_keys() {
        assert_eq!(
            ["wall_seconds", "tokens_per_s", "peak_mib", "pass@1"].map(words),
            ["wall (s)", "tokens per s", "peak (MiB)", "pass@1"]
        );
    }
}
