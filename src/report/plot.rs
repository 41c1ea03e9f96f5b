//! Curves as inline SVG: lines over two axes with their scales, without a script.

use std::fmt::Write;

use super::xml::escape;

/// The width of a plot, in pixels.
const WIDTH: f64 = 760.0;
/// Its height, in pixels.
const HEIGHT: f64 = 260.0;
/// The room for the scale at its left, in pixels.
const LEFT: f64 = 72.0;
/// The room for the scale under it, in pixels.
const BOTTOM: f64 = 34.0;
/// The room over it and at its right, in pixels.
const MARGIN: f64 = 16.0;
/// Steps of the scale of values.
const STEPS: u32 = 4;

/// One curve.
#[derive(Debug)]
pub(super) struct Curve {
    /// What it shows.
    pub(super) name: String,
    /// Its colour, as CSS has it.
    pub(super) colour: &'static str,
    /// Its points, in order; where there is none, the line breaks.
    pub(super) points: Vec<(f64, Option<f64>)>,
    /// The ends of the interval around each point that has one.
    pub(super) intervals: Vec<(f64, f64, f64)>,
}

/// The plot of some curves: `marks` are those of the horizontal scale, `value` writes a value of the vertical one.
pub(super) fn svg(title: &str, curves: &[Curve], marks: &[(f64, String)], value: impl Fn(f64) -> String) -> String {
    let xs =
        || curves.iter().flat_map(|curve| curve.points.iter().map(|(x, _)| *x)).chain(marks.iter().map(|(x, _)| *x));
    let (first, last) = (xs().fold(f64::INFINITY, f64::min), xs().fold(f64::NEG_INFINITY, f64::max));
    let points = curves.iter().flat_map(|curve| curve.points.iter().filter_map(|(_, y)| *y));
    let ends = curves.iter().flat_map(|curve| curve.intervals.iter().map(|(_, _, high)| *high));
    let top = points.chain(ends).fold(0.0, f64::max);
    let x_of = |x: f64| LEFT + (x - first) / (last - first).max(f64::MIN_POSITIVE) * (WIDTH - LEFT - MARGIN);
    let y_of = |y: f64| HEIGHT - BOTTOM - y / top.max(f64::MIN_POSITIVE) * (HEIGHT - BOTTOM - MARGIN);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n", escape(title));
    let mut put = |text: std::fmt::Arguments<'_>| svg.write_fmt(text).expect("a string takes everything");
    for step in 0..=STEPS {
        let at = top * f64::from(step) / f64::from(STEPS);
        let (y, right, text_x) = (y_of(at), WIDTH - MARGIN, LEFT - 8.0);
        put(format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
        put(format_args!("<text class=\"scale\" x=\"{text_x}\" y=\"{:.1}\">{}</text>\n", y + 4.0, escape(&value(at))));
    }
    for (x, mark) in marks {
        let y = HEIGHT - BOTTOM + 18.0;
        put(format_args!("<text class=\"mark\" x=\"{:.1}\" y=\"{y}\">{}</text>\n", x_of(*x), escape(mark)));
    }
    for curve in curves {
        let colour = curve.colour;
        for (x, low, high) in &curve.intervals {
            let (x, low, high) = (x_of(*x), y_of(*low), y_of(*high));
            put(format_args!("<path stroke=\"{colour}\" class=\"interval\" d=\"M{x:.1} {low:.1}V{high:.1}\"/>"));
        }
        put(format_args!(
            "<path stroke=\"{colour}\" class=\"curve\" d=\"{}\"><title>{}</title></path>\n",
            path(curve, x_of, y_of),
            escape(&curve.name)
        ));
    }
    put(format_args!("</svg>\n<p class=\"legend\">"));
    for curve in curves {
        put(format_args!("<span style=\"color:{}\">■</span> {} &nbsp; ", curve.colour, escape(&curve.name)));
    }
    put(format_args!("</p>\n"));
    svg
}

fn path(curve: &Curve, x_of: impl Fn(f64) -> f64, y_of: impl Fn(f64) -> f64) -> String {
    let (mut path, mut down) = (String::new(), false);
    for (x, y) in &curve.points {
        let Some(y) = y else {
            down = false;
            continue;
        };
        let _ = write!(path, "{}{:.1} {:.1}", if down { 'L' } else { 'M' }, x_of(*x), y_of(*y));
        // A point between two breaks is a dot: a line of no length with round ends.
        if !down {
            path.push_str("h0");
        }
        down = true;
    }
    path
}
