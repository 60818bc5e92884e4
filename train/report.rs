//! A run on one page that needs nothing but itself.
//!
//! In: a [`RunReport`] and the curves. Out: one HTML text, without scripts and without anything from elsewhere: the
//! result first, then one repaired bug, how attempts ended, the stages in their order, the curves, and where all of it
//! comes from. It follows the reader's light or dark setting and fits a screen of 360 pixels.
//! Example: a gain of 0.02 with the interval -0.01 to 0.05 is marked `may be chance`.

mod compare;
mod plot;
mod run;
mod sections;
#[cfg(test)]
mod tests;

pub use compare::{Compared, compare};
pub use run::{EvalReport, Evals, FORMAT, GainReport, Gains, Packages, RepairedBug, RunReport};

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

/// Tells a run in HTML.
pub fn render(report: &RunReport, curves: &[Curve]) -> String {
    let sections = [
        sections::result(report),
        sections::repaired(report.repaired.as_ref()),
        sections::endings(report),
        sections::stages(&report.stages),
        plots("Curves", curves),
        sections::provenance(report),
    ];
    page("Repairs of held-out bugs", "", &sections.concat())
}

/// The figures of `curves` under a heading; nothing where there is none.
fn plots(heading: &str, curves: &[Curve]) -> String {
    let plots: String = curves.iter().map(plot::figure).collect();
    if plots.is_empty() {
        return plots;
    }
    format!(
        "<h2>{}</h2>\n<div class=\"plots\">\n{plots}</div>\n",
        escape(heading)
    )
}

/// A whole page; `head` is HTML that its head holds besides.
fn page(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{head}\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

/// One variable a color, so that dark is a matter of a few lines. The series colors differ in lightness as well. On a
/// narrow screen a row of a wide table becomes a block, with the name of the column before each value.
pub(crate) const STYLE: &str = include_str!("report/style.css");

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
        return format!(
            "{}{}",
            if value < 0.0 { "−" } else { "" },
            grouped.join("\u{202f}")
        );
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..6).contains(&magnitude) {
        return format!("{value:.3e}").replace('-', "−");
    }
    let text = format!("{value:.*}", (3 - magnitude).max(0) as usize);
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    text.replace('-', "−")
}

pub(crate) fn escape(text: &str) -> String {
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
