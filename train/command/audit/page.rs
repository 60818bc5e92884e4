//! The audit as one page of HTML, without scripts and without anything from elsewhere.
//!
//! In: what was counted, the samples that are shown, and those that stand out. Out: the page. The ground of a token says
//! whose it is; what is trained is bold and underlined.

use std::fmt::Write as _;

use data::Sample;

use super::counts::Counts;
use super::extremes::{Extremes, Outlier};
use super::judge::Judge;
use super::show;
use crate::report::{STYLE, escape};

/// Tokens of a sample that are shown.
const SHOWN: usize = 2000;
const OWN_STYLE: &str =
    ".t { padding: .05rem 0; border-radius: .15rem; } .t.learned { font-weight: 700; text-decoration: underline;
  text-underline-offset: .2em; } .t.special { outline: 1px solid var(--faint); } .r-system { background: #8a3d9133; }
  .r-user { background: #0b62a833; } .r-assistant { background: #1f7a4d33; } .r-tool { background: #b8480a33; }
  .r-none { background: none; } pre span.t { display: inline; min-height: 0; } .bar { fill: var(--c0); }";

/// Draws the page.
pub(super) fn page(
    name: &str,
    samples: &[Sample],
    counts: &Counts,
    extremes: &Extremes,
    judge: &Judge,
) -> String {
    let mut body = format!(
        "<h1>Samples of {}</h1>\n<pre>{}</pre>\n",
        escape(name),
        escape(&counts.table(judge))
    );
    let _ = write!(body, "<h2>Lengths</h2>\n{}", histogram(extremes));
    let _ = write!(body, "<h2>Trained, by role</h2>\n{}", shares(counts));
    body.push_str("<h2>Samples</h2>\n<p class=\"note\">The ground of a token says whose it is: ");
    for role in ["system", "user", "assistant", "tool"] {
        let _ = write!(body, "<span class=\"t r-{role}\">{role}</span> ");
    }
    body.push_str(
        "– <span class=\"t learned\">what is trained</span> is bold and underlined.</p>\n",
    );
    for (number, sample) in samples.iter().enumerate() {
        let _ = write!(
            body,
            "{}",
            shown(&format!("sample {}", number + 1), sample, judge, true)
        );
    }
    let several = |body: &mut String, title: &str, outliers: &[Outlier], unit: &str| {
        let _ = writeln!(body, "<h2>{title}</h2>");
        for outlier in outliers {
            let about = format!("sample {}: {:.2} {unit}", outlier.number, outlier.measure);
            body.push_str(&shown(&about, &outlier.sample, judge, false));
        }
    };
    several(&mut body, "Ten longest", &extremes.longest, "tokens");
    several(
        &mut body,
        "Ten strangest",
        &extremes.strangest,
        "bytes a token",
    );
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Audit</title>\n<style>{STYLE}\n{OWN_STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

/// A bar for each span of lengths.
fn histogram(extremes: &Extremes) -> String {
    let bins = extremes.histogram();
    let most = bins
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(1)
        .max(1) as f64;
    let height = 22 * bins.len() + 4;
    let mut svg = format!(
        "<svg viewBox=\"0 0 640 {height}\" role=\"img\" aria-label=\"lengths\" font-size=\"12\">\n"
    );
    for (row, (longest, count)) in bins.iter().enumerate() {
        let (y, width) = (22 * row, 440.0 * *count as f64 / most);
        let _ = writeln!(
            svg,
            "<text x=\"88\" y=\"{}\" text-anchor=\"end\" fill=\"currentColor\">≤ {longest}</text>\
             <rect class=\"bar\" x=\"96\" y=\"{}\" width=\"{width:.1}\" height=\"16\"/>\
             <text x=\"{:.1}\" y=\"{}\" fill=\"currentColor\">{count}</text>",
            y + 15,
            y + 3,
            102.0 + width,
            y + 15
        );
    }
    svg + "</svg>\n"
}

fn shares(counts: &Counts) -> String {
    let mut table =
        String::from("<table><thead><tr><th>role<th>tokens<th>trained<th>share</thead><tbody>\n");
    for (role, (tokens, trained)) in &counts.roles {
        let share = 100.0 * *trained as f64 / (*tokens).max(1) as f64;
        let _ = writeln!(
            table,
            "<tr><th>{role}<td>{tokens}<td>{trained}<td>{share:.1} %</tr>"
        );
    }
    table + "</tbody></table>\n"
}

fn shown(about: &str, sample: &Sample, judge: &Judge, open: bool) -> String {
    let trained = sample.mask.iter().filter(|trained| **trained).count();
    let open = if open { " open" } else { "" };
    let mut text = format!(
        "<details{open}><summary>{about}: <code>{}</code>, {} tokens, {trained} trained</summary>\n<pre>",
        escape(&sample.origin),
        sample.tokens.len()
    );
    let specials: Vec<u32> = judge
        .tokenizer
        .specials()
        .iter()
        .map(|(_, id)| *id)
        .collect();
    let roles = judge.roles_of(sample);
    for ((id, learned), role) in sample
        .tokens
        .iter()
        .zip(&sample.mask)
        .zip(roles)
        .take(SHOWN)
    {
        let piece = judge.tokenizer.piece(*id).filter(|_| judge.knows(*id));
        let piece = piece.map_or_else(|| format!("?{id}"), |piece| readable(&piece));
        let role = match show::name(role) {
            "-" => "none",
            name => name,
        };
        let learned = if *learned { " learned" } else { "" };
        let special = if specials.contains(id) {
            " special"
        } else {
            ""
        };
        let _ = write!(
            text,
            "<span class=\"t r-{role}{learned}{special}\">{}</span>",
            escape(&piece)
        );
    }
    let more = sample.tokens.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!("\n… and {more} tokens more")
    } else {
        String::new()
    };
    text + &more + "</pre></details>\n"
}

/// The bytes of a token as a person reads them: part of a letter as escapes.
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text
            .chars()
            .map(|letter| {
                if letter.is_control() && !"\n\t".contains(letter) {
                    '\u{fffd}'
                } else {
                    letter
                }
            })
            .collect(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}
