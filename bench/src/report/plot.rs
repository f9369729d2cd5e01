//! A group's rates as a picture: a dot for the median of each line, and a stroke
//! from the slowest round to the fastest.
//!
//! The axis is logarithmic, because a raw file and a store with 64 clients differ by
//! orders of magnitude; so there are dots and no bars, whose length would say
//! nothing.

use std::fmt::Write;

use crate::measure::Measured;
use crate::statistics::Spread;

const WIDTH: f64 = 900.0;
const ROW: f64 = 24.0;
const TOP: f64 = 44.0;
/// Where the axis begins and ends.
const LEFT: f64 = 420.0;
const RIGHT: f64 = 800.0;

const OURS: &str = "#0b6e4f";
const THEIRS: &str = "#6b7280";

/// Nothing if there is no rate to show.
pub fn svg(group: &str, lines: &[Measured]) -> Option<String> {
    let rates: Vec<Spread> = lines.iter().map(|line| Spread::of(&line.rates)).collect();
    let known = || rates.iter().filter(|rate| rate.min > 0.0);
    let least = known().map(|rate| rate.min).min_by(f64::total_cmp)?;
    let most = known().map(|rate| rate.max).max_by(f64::total_cmp)?;
    // Whole decades; what is a power of ten but for a rounding is one.
    let first = (least.log10() + 1e-9).floor();
    let last = (most.log10() - 1e-9).ceil().max(first + 1.0);
    let x = |rate: f64| LEFT + (rate.log10() - first) / (last - first) * (RIGHT - LEFT);

    let height = TOP + ROW * lines.len() as f64 + 12.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{group}: steps per second</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"18\" font-weight=\"bold\">{group}</text>\n\
         <text x=\"{LEFT}\" y=\"18\" fill=\"{THEIRS}\">per second, logarithmic: median, slowest to \
         fastest round</text>\n"
    );
    for decade in first as i32..=last as i32 {
        let (at, bottom) = (x(10_f64.powi(decade)), height - 8.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#e5e7eb\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"{THEIRS}\">{}</text>",
            TOP - 8.0,
            power_of_ten(decade)
        );
    }
    for (number, (line, rate)) in lines.iter().zip(&rates).enumerate() {
        let middle = TOP + ROW * (number as f64 + 0.5);
        let color = if line.label.starts_with("tandem") { OURS } else { THEIRS };
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{:.1}\" fill=\"{color}\">{}<tspan fill=\"#9ca3af\" font-size=\"10\"> \
             {} × · {}</tspan></text>",
            middle + 4.0,
            escape(&line.label),
            line.clients,
            escape(&line.durability),
        );
        if rate.min <= 0.0 {
            continue;
        }
        let _ = writeln!(
            svg,
            "<path d=\"M{:.1} {middle:.1}H{:.1}\" stroke=\"{color}\" stroke-width=\"2\"/>\
             <circle cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"4\" fill=\"{color}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{:.0}</text>",
            x(rate.min),
            x(rate.max),
            x(rate.median),
            x(rate.max) + 9.0,
            middle + 4.0,
            rate.median
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn power_of_ten(power: i32) -> String {
    match power {
        ..3 => format!("{}", 10_f64.powi(power)),
        3..6 => format!("{}k", 10_f64.powi(power - 3)),
        _ => format!("{}M", 10_f64.powi(power - 6)),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_dot_where_its_rate_is() {
        let measured = |label: &str, rates: &[f64]| {
            let mut line = Measured::new(label, 1, "power cut: <all>").unwrap();
            line.rates = rates.to_vec();
            line
        };
        let lines = [measured("tandem", &[10.0, 100.0, 1_000.0]), measured("raw", &[1_000.0])];
        let svg = svg("group", &lines).unwrap();
        // From 10 to 1,000 there are two decades, and 100 is in their middle.
        let middle = format!("cx=\"{:.1}\"", (LEFT + RIGHT) / 2.0);
        assert!(svg.contains(&middle) && svg.contains(&format!("cx=\"{RIGHT:.1}\"")), "{svg}");
        assert!(svg.contains("power cut: &lt;all&gt;"));
        assert!(super::svg("group", &[]).is_none());
    }
}
