//! What a run prints, and the same as JSON, as a page and as plots.

mod page;
mod plot;
mod table;

use std::fmt::Write;

use serde_json::{Value, json};

pub use self::page::{Page, Run};
use self::table::Table;
use crate::measure::Measured;
use crate::statistics::Spread;

/// One group's outcome.
pub struct Report {
    pub group: &'static str,
    pub about: &'static str,
    pub measured: Vec<Measured>,
    pub ratios: Vec<Ratio>,
    pub bounds: Vec<Bound>,
    /// Figures that are not rates: bytes per transfer, shares of time.
    pub notes: Vec<String>,
}

/// One line's rate over another's, taken round by round.
pub struct Ratio {
    pub of: String,
    pub over: String,
    pub target: Option<f64>,
    pub spread: Spread,
}

/// A figure that is no rate; with a target it is to stay below that.
pub struct Bound {
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
    pub target: Option<f64>,
}

impl Report {
    pub fn new(group: &'static str, about: &'static str, mut measured: Vec<Measured>) -> Self {
        measured.retain(|line| !line.rates.is_empty()); // Some may have been left out.
        Self { group, about, measured, ratios: Vec::new(), bounds: Vec::new(), notes: Vec::new() }
    }

    /// Compares two lines by label; nothing happens if one was not measured.
    #[must_use]
    pub fn ratio(mut self, of: &str, over: &str, target: Option<f64>) -> Self {
        if let (Some(top), Some(bottom)) = (self.line(of), self.line(over)) {
            let rounds: Vec<f64> =
                top.rates.iter().zip(&bottom.rates).map(|(a, b)| a / b).collect();
            let spread = Spread::of(&rounds);
            self.ratios.push(Ratio { of: of.into(), over: over.into(), target, spread });
        }
        self
    }

    /// The line of this label, if it was measured.
    pub fn line(&self, label: &str) -> Option<&Measured> {
        self.measured.iter().find(|line| line.label == label)
    }

    /// What is at most `target` when all is well.
    #[must_use]
    pub fn at_most(
        mut self,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: f64,
    ) -> Self {
        self.bounds.push(Bound { what: what.into(), value, unit, target: Some(target) });
        self
    }

    /// What is there to be compared.
    #[must_use]
    pub fn figure(mut self, what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        self.bounds.push(Bound { what: what.into(), value, unit, target: None });
        self
    }

    /// What `times` the rate of the line `over` would leave for one step in
    /// processor time, beside what the other lines took of it.
    #[must_use]
    pub fn processor_bound(mut self, times: f64, over: &str, others: &[&str]) -> Self {
        let Some(slower) = self.line(over) else { return self };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let rate = Spread::of(&slower.rates).median;
        let micros = |line: &Measured| line.cpu_per_step.as_nanos() as f64 / 1_000.0;
        let mut note = format!(
            "{times} times {over} is {:.0} per second: {:.0} µs of processor time each, if all {cores} \
             cores do nothing else. {over} took {:.0}",
            rate * times,
            cores as f64 * 1e6 / (rate * times),
            micros(slower),
        );
        for line in others.iter().filter_map(|label| self.line(label)) {
            let most = cores as f64 * 1e6 / micros(line);
            let _ = write!(
                note,
                "; {} {:.0}, with which at most {:.1} times are possible",
                line.label,
                micros(line),
                most / rate
            );
        }
        note.push_str(".\n");
        self.notes.push(note);
        self
    }

    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// As text, for people.
    pub fn to_text(&self) -> String {
        let mut out = format!("\n## {}\n{}\n\n", self.group, self.about);
        let tables = [Table::of_lines(&self.measured), self.ratios(), self.bounds()];
        for table in tables.iter().filter(|table| !table.is_empty()) {
            out.push_str(&table.to_text());
            out.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(out, "{note}");
        }
        out
    }

    fn ratios(&self) -> Table {
        let mut table = Table::new(&["ratio", "median", "min … max", "target", ""]);
        for ratio in &self.ratios {
            let Ratio { of, over, target, spread } = ratio;
            table.row([
                format!("{of} / {over}"),
                significant(spread.median),
                format!("{} … {}", significant(spread.min), significant(spread.max)),
                target.map_or_else(String::new, |target| format!("≥ {target}")),
                verdict(ratio.met()).to_owned(),
            ]);
        }
        table
    }

    fn bounds(&self) -> Table {
        let mut table = Table::new(&["figure", "value", "unit", "target", ""]);
        for bound in &self.bounds {
            let Bound { what, value, unit, target } = bound;
            table.row([
                what.clone(),
                significant(*value),
                (*unit).to_owned(),
                target.map_or_else(String::new, |target| format!("≤ {target}")),
                verdict(bound.met()).to_owned(),
            ]);
        }
        table
    }

    pub fn to_json(&self) -> Value {
        json!({
            "group": self.group,
            "about": self.about,
            "lines": self.measured.iter().map(line_to_json).collect::<Vec<_>>(),
            "ratios": self.ratios.iter().map(Ratio::to_json).collect::<Vec<_>>(),
            "bounds": self.bounds.iter().map(Bound::to_json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

impl Bound {
    fn met(&self) -> Option<bool> {
        self.target.map(|target| self.value <= target)
    }

    fn to_json(&self) -> Value {
        json!({
            "what": self.what,
            "value": self.value,
            "unit": self.unit,
            "target": self.target,
            "met": self.met(),
        })
    }
}

impl Ratio {
    fn met(&self) -> Option<bool> {
        self.target.map(|target| self.spread.median >= target)
    }

    fn to_json(&self) -> Value {
        json!({
            "of": self.of,
            "over": self.over,
            "median": self.spread.median,
            "min": self.spread.min,
            "max": self.spread.max,
            "target": self.target,
            "met": self.met(),
        })
    }
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "",
    }
}

/// To three digits, or more before the point; never in powers of ten.
fn significant(value: f64) -> String {
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = (2 - magnitude).clamp(0, 6) as usize;
    format!("{value:.decimals$}")
}

fn line_to_json(line: &Measured) -> Value {
    let rate = Spread::of(&line.rates);
    json!({
        "line": line.label,
        "clients": line.clients,
        "survives": line.durability,
        "perSecond": { "median": rate.median, "min": rate.min, "max": rate.max, "rounds": line.rates },
        "nanoseconds": {
            "p50": line.latency.value_at_quantile(0.5),
            "p99": line.latency.value_at_quantile(0.99),
            "p99.9": line.latency.value_at_quantile(0.999),
            "max": line.latency.max(),
        },
        "retries": line.retries,
        "residentBytes": line.resident_bytes,
        "bytesOnDisk": line.bytes_on_disk,
        "cpuNanosecondsPerStep": line.cpu_per_step.as_nanos() as u64,
        "ownCpuNanosecondsPerStep": line.own_cpu_per_step.as_nanos() as u64,
    })
}
