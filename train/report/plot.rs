//! One plot as SVG.
//!
//! In: a [`Curve`]. Out: a figure with title, axes, grid, lines, error bars and a legend. Lines differ in color and
//! in dash, so they can be told apart without color. More points than the plot has columns are thinned to the lowest
//! and the highest of each column, so that no spike is lost.

use super::{Curve, Series, escape, number};

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 50.0;
/// Columns that points are thinned to.
const COLUMNS: usize = 400;
/// Up to this many points each gets a mark.
const MARKED: usize = 40;
const DASHES: [&str; 4] = ["", "7 4", "2 3", "9 3 2 3"];
const COLORS: usize = 6;

/// The plot of `curve`; nothing if it has no finite point.
pub fn figure(curve: &Curve) -> String {
    let finite = |&&(x, y): &&(f64, f64)| x.is_finite() && y.is_finite();
    let points = || {
        curve
            .series
            .iter()
            .flat_map(|series| series.points.iter().filter(finite))
    };
    if points().next().is_none() {
        return String::new();
    }
    let bars = curve
        .series
        .iter()
        .flat_map(|series| &series.intervals)
        .flat_map(|&(low, high)| [low, high]);
    let horizontal = match curve.x_names.len() {
        0 => Axis::over(points().map(|point| point.0), LEFT, WIDTH - RIGHT),
        count => Axis {
            low: -0.5,
            high: count as f64 - 0.5,
            from: LEFT,
            to: WIDTH - RIGHT,
        },
    };
    let vertical = Axis::over(
        points().map(|point| point.1).chain(bars),
        HEIGHT - BOTTOM,
        TOP,
    )
    .padded();

    let lines: String = curve
        .series
        .iter()
        .enumerate()
        .map(|(index, series)| line(series, index, &horizontal, &vertical))
        .collect();
    format!(
        "<figure>\n<figcaption>{title}</figcaption>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\" font-size=\"12\">\n\
         {}{lines}</svg>\n{}</figure>\n",
        frame(curve, &horizontal, &vertical),
        legend(curve),
        title = escape(&curve.title),
    )
}

/// Numbers from `low` to `high` on pixels from `from` to `to`.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// The axis that holds all finite `values`; equal values get room on both sides.
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let values = values.filter(|value| value.is_finite());
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if low < high {
            (low, high)
        } else {
            (
                low - low.abs().max(1.0) / 2.0,
                high + high.abs().max(1.0) / 2.0,
            )
        };
        Axis {
            low,
            high,
            from,
            to,
        }
    }

    /// The same with a little air at both ends.
    fn padded(self) -> Self {
        let air = (self.high - self.low) * 0.04;
        Axis {
            low: self.low - air,
            high: self.high + air,
            ..self
        }
    }

    fn pixel(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// About five round numbers: 1, 2 or 5 times a power of ten apart.
    fn ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        let (first, last) = (
            (self.low / step).ceil() as i64,
            (self.high / step).floor() as i64,
        );
        // Rounding keeps 3 × 0.1 from being told as 0.30000000000000004.
        (first..=last)
            .map(|count| count as f64 * step)
            .map(|tick| (tick / power).round() * power)
            .collect()
    }
}

/// Grid, numbers and labels.
fn frame(curve: &Curve, horizontal: &Axis, vertical: &Axis) -> String {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut svg = String::new();
    for tick in vertical.ticks() {
        let y = vertical.pixel(tick);
        svg += &format!(
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"var(--line)\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"var(--faint)\">{}</text>\n",
            LEFT - 8.0,
            y + 4.0,
            number(tick)
        );
    }
    let names: Vec<(f64, String)> = match curve.x_names.is_empty() {
        true => horizontal
            .ticks()
            .into_iter()
            .map(|tick| (tick, number(tick)))
            .collect(),
        false => curve
            .x_names
            .iter()
            .enumerate()
            .map(|(index, name)| (index as f64, escape(name)))
            .collect(),
    };
    for (tick, name) in names {
        let x = horizontal.pixel(tick);
        svg += &format!(
            "<path d=\"M{x:.1} {bottom}v5\" stroke=\"var(--faint)\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"var(--faint)\">{name}</text>\n",
            bottom + 18.0
        );
    }
    let (middle_x, middle_y) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
    svg + &format!(
        "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"var(--faint)\"/>\n\
         <text x=\"{middle_x}\" y=\"{}\" text-anchor=\"middle\" fill=\"var(--text)\">{}</text>\n\
         <text transform=\"translate(14 {middle_y}) rotate(-90)\" text-anchor=\"middle\" \
         fill=\"var(--text)\">{}</text>\n",
        HEIGHT - 10.0,
        escape(&curve.x_label),
        escape(&curve.y_label)
    )
}

/// One series: its line with gaps, its marks and its error bars.
fn line(series: &Series, index: usize, horizontal: &Axis, vertical: &Axis) -> String {
    let place = |(x, y): (f64, f64)| (horizontal.pixel(x), vertical.pixel(y));
    let mut svg = String::new();
    for (&(x, y), &(low, high)) in series.points.iter().zip(&series.intervals) {
        if [x, y, low, high].iter().all(|value| value.is_finite()) {
            let ((x, low), high) = (place((x, low)), vertical.pixel(high));
            svg += &format!(
                "<path d=\"M{x:.1} {low:.1}V{high:.1}M{:.1} {low:.1}h10M{:.1} {high:.1}h10\" {} fill=\"none\"/>\n",
                x - 5.0,
                x - 5.0,
                stroke(index, false)
            );
        }
    }
    for part in series
        .points
        .split(|(x, y)| !x.is_finite() || !y.is_finite())
        .filter(|part| !part.is_empty())
    {
        let path: Vec<String> = thinned(part)
            .into_iter()
            .map(place)
            .map(|(x, y)| format!("{x:.1} {y:.1}"))
            .collect();
        svg += &format!(
            "<path d=\"M{}\" {} fill=\"none\"/>\n",
            path.join("L"),
            stroke(index, true)
        );
        if series.points.len() <= MARKED {
            let marks = part.iter().map(|&point| place(point));
            svg.extend(marks.map(|(x, y)| {
                format!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"var(--c{})\"/>\n",
                    index % COLORS
                )
            }));
        }
    }
    svg
}

fn stroke(index: usize, dashed: bool) -> String {
    let dash = DASHES[index % DASHES.len()];
    let dash = if dashed && !dash.is_empty() {
        format!(" stroke-dasharray=\"{dash}\"")
    } else {
        String::new()
    };
    format!(
        "stroke=\"var(--c{})\" stroke-width=\"1.7\" stroke-linejoin=\"round\"{dash}",
        index % COLORS
    )
}

/// At most two points a column: the lowest and the highest, in their order.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 2 * COLUMNS {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for column in points.chunks(points.len().div_ceil(COLUMNS)) {
        let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let (low, high) = (
            column.iter().min_by(by_height),
            column.iter().max_by(by_height),
        );
        let (low, high) = (
            low.expect("chunks are not empty"),
            high.expect("chunks are not empty"),
        );
        kept.extend(if low.0 <= high.0 {
            [*low, *high]
        } else {
            [*high, *low]
        });
    }
    kept
}

/// The names of the series beside a piece of their lines; nothing for a single series without a name.
fn legend(curve: &Curve) -> String {
    let named = curve
        .series
        .iter()
        .enumerate()
        .filter(|(_, series)| !series.name.is_empty());
    let items: String = named
        .map(|(index, series)| {
            format!(
                "<span><svg viewBox=\"0 0 32 12\" aria-hidden=\"true\"><path d=\"M0 6H32\" {}/></svg>{}</span>",
                stroke(index, true),
                escape(&series.name)
            )
        })
        .collect();
    if items.is_empty() {
        items
    } else {
        format!("<div class=\"legend\">{items}</div>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: Vec<(f64, f64)>) -> Curve {
        let series = Series {
            name: "train".into(),
            points,
            intervals: Vec::new(),
        };
        Curve {
            title: "Loss".into(),
            x_label: "step".into(),
            y_label: "nats".into(),
            series: vec![series],
            x_names: Vec::new(),
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let ticks = |low, high| {
            Axis {
                low,
                high,
                from: 0.0,
                to: 1.0,
            }
            .ticks()
            .into_iter()
            .map(number)
            .collect::<Vec<_>>()
        };
        assert_eq!(ticks(0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(ticks(0.0, 290.0), ["0", "100", "200"]);
        assert_eq!(ticks(-0.013, 0.031), ["−0.01", "0", "0.01", "0.02", "0.03"]);
    }

    #[test]
    fn the_corners_of_the_data_lie_inside_the_frame() {
        let svg = figure(&curve(vec![(0.0, 5.0), (10.0, 1.0)]));
        let path = format!("M{:.1} {:.1}L{:.1} {:.1}", LEFT, 20.1, WIDTH - RIGHT, 221.9);
        assert!(svg.contains(&path), "{svg}");
    }

    #[test]
    fn a_gap_in_the_numbers_is_a_gap_in_the_line() {
        let svg = figure(&curve(vec![
            (0.0, 1.0),
            (1.0, 2.0),
            (2.0, f64::NAN),
            (3.0, 1.0),
            (4.0, 2.0),
        ]));
        assert_eq!(
            svg.matches("stroke-linejoin").count(),
            3,
            "two parts and the legend"
        );
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn curves_without_points_leave_nothing() {
        assert_eq!(figure(&curve(Vec::new())), "");
        assert_eq!(figure(&curve(vec![(0.0, f64::INFINITY)])), "");
    }

    #[test]
    fn a_single_or_a_constant_point_is_drawn() {
        for points in [vec![(3.0, 0.0)], vec![(0.0, 7.0), (1.0, 7.0)]] {
            let svg = figure(&curve(points));
            assert!(
                svg.contains("<circle") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
        }
    }

    #[test]
    fn an_error_bar_reaches_from_low_to_high_and_widens_the_axis() {
        let mut curve = curve(vec![(0.0, 0.5), (1.0, 0.6)]);
        curve.series[0].intervals = vec![(0.0, 1.0), (0.5, 0.7)];
        curve.x_names = vec!["base".into(), "trained".into()];
        let svg = figure(&curve);
        assert!(svg.contains("221.9V20.1"), "{svg}");
        assert!(svg.contains(">trained</text>"));
    }

    #[test]
    fn thinning_keeps_every_spike() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|x| (x as f64, 0.0)).collect();
        points[54_321].1 = 9.0;
        let kept = thinned(&points);
        assert!(kept.len() <= 2 * COLUMNS);
        assert!(kept.contains(&(54_321.0, 9.0)));
        assert!(kept.is_sorted_by(|a, b| a.0 <= b.0));
    }
}
