//! Rows of cells, once for a terminal and once for a page.

use std::fmt::Write;

use crate::measure::Measured;
use crate::statistics::Spread;

pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<_> = cells.into_iter().collect();
        assert_eq!(row.len(), self.header.len(), "a cell for each column");
        self.rows.push(row);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What was measured, line by line. Times are left out where single steps have
    /// none, and so is what no line has.
    pub fn of_lines(lines: &[Measured]) -> Self {
        let mut table = Self::new(&[
            "line",
            "clients",
            "survives",
            "per second",
            "min … max",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "cpu µs",
            "aborted",
            "RSS MiB",
            "disk MiB",
        ]);
        for line in lines {
            let rate = Spread::of(&line.rates);
            let timed = !line.latency.is_empty();
            let time = |q| {
                let micros = line.latency.value_at_quantile(q) as f64 / 1_000.0;
                if timed { thousands(micros) } else { String::new() }
            };
            let mebibytes = |bytes: Option<u64>| {
                bytes.map_or_else(String::new, |bytes| format!("{:.1}", bytes as f64 / 1_048_576.0))
            };
            let cpu = line.cpu_per_step.as_nanos() as f64 / 1_000.0;
            table.row([
                line.label.clone(),
                line.clients.to_string(),
                line.durability.clone(),
                thousands(rate.median),
                format!("{} … {}", thousands(rate.min), thousands(rate.max)),
                time(0.5),
                time(0.99),
                time(0.999),
                if cpu > 0.0 { thousands(cpu) } else { String::new() },
                if line.retries > 0 {
                    format!("{:.2} %", aborted(line) * 100.0)
                } else {
                    String::new()
                },
                mebibytes(line.resident_bytes),
                mebibytes(line.bytes_on_disk),
            ]);
        }
        table.without_empty_columns()
    }

    fn without_empty_columns(mut self) -> Self {
        let kept: Vec<usize> = (0..self.header.len())
            .filter(|&column| self.rows.iter().any(|row| !row[column].is_empty()))
            .collect();
        for row in self.rows.iter_mut().chain([&mut self.header]) {
            *row = kept.iter().map(|&column| std::mem::take(&mut row[column])).collect();
        }
        self
    }

    /// In columns, numbers to the right.
    pub fn to_text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&self.header]);
            cells.map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let mut text = String::new();
        for row in [&self.header].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let (cell, width) = (cell.replace("**", ""), width(column));
                let _ = if self.is_numeric(column) {
                    write!(line, "{cell:>width$}  ")
                } else {
                    write!(line, "{cell:<width$}  ")
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    pub fn to_markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            cells.fold("|".to_owned(), |line, cell| format!("{line} {cell} |")) + "\n"
        };
        let mut text = line(&mut self.header.iter().map(String::as_str));
        let columns = 0..self.header.len();
        text +=
            &line(&mut columns.map(|column| if self.is_numeric(column) { "--:" } else { "---" }));
        for row in &self.rows {
            text += &line(&mut row.iter().map(String::as_str));
        }
        text
    }

    fn is_numeric(&self, column: usize) -> bool {
        let begins = |cell: &String| cell.starts_with(|first: char| first.is_ascii_digit());
        let mut filled = self.rows.iter().map(|row| &row[column]).filter(|cell| !cell.is_empty());
        filled.all(begins)
    }
}

/// The share of attempts that ended in a conflict.
fn aborted(line: &Measured) -> f64 {
    line.retries as f64 / (line.retries + line.latency.len()).max(1) as f64
}

/// With a comma before every three digits, and a decimal when there are few.
fn thousands(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for group in digits.as_bytes()[first..].chunks(3) {
        if !text.is_empty() {
            text.push(',');
        }
        text.extend(group.iter().map(|&digit| char::from(digit)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let written = [0.5, 12.4, 999.0, 1_000.0, 1_234_567.0].map(thousands);
        assert_eq!(written, ["0.50", "12", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_same_rows_stand_in_both_forms() {
        let mut table = Table::new(&["line", "rate", "empty"]);
        table.row(["a".to_owned(), "1".to_owned(), String::new()]);
        table.row(["long".to_owned(), "10".to_owned(), String::new()]);
        let table = table.without_empty_columns();
        assert_eq!(table.to_text(), "line  rate\na        1\nlong    10\n");
        assert_eq!(
            table.to_markdown(),
            "| line | rate |\n| --- | --: |\n| a | 1 |\n| long | 10 |\n"
        );
    }
}
