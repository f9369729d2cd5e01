//! The figures of a run on the page that shows the command.
//!
//! `docs/benchmarks.md` has a place for figures, between two comments, and in it a
//! section for each group that was ever run with `--write-docs`. A run replaces the
//! sections of its groups and leaves the others: each says itself how it was taken.
//! Before them stands every target of theirs, with its figure and verdict. Beside the page lie a plot and the JSON of each group.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Report, Table, plot};
use crate::peer::Result;

const BEGIN: &str = "<!-- figures: written by tandem-bench --write-docs -->\n";
const END: &str = "<!-- end of figures -->\n";

/// How figures were taken.
pub struct Run {
    pub command: String,
    pub machine: String,
    pub load_before: Option<f64>,
    pub records: usize,
    pub rounds: usize,
    pub milliseconds: u64,
}

impl Run {
    pub fn to_json(&self) -> Value {
        json!({
            "command": self.command,
            "machine": self.machine,
            "loadBefore": self.load_before,
            "records": self.records,
            "rounds": self.rounds,
            "millisecondsPerRound": self.milliseconds,
        })
    }

    /// In a sentence.
    pub fn describe(&self) -> String {
        let build = if cfg!(debug_assertions) { "; not a release build" } else { "" };
        format!(
            "{}{build}; {} records, {} rounds of {} ms per line, taking turns; load before {}",
            self.machine,
            self.records,
            self.rounds,
            self.milliseconds,
            self.load_before.map_or_else(|| "unknown".to_owned(), |load| load.to_string())
        )
    }
}

/// A page with figures.
pub struct Page {
    file: PathBuf,
    before: String,
    sections: Vec<(String, String)>,
    after: String,
}

impl Page {
    /// Reads `benchmarks.md` of a folder of documents.
    pub fn read(documents: &Path) -> Result<Self> {
        let file = documents.join("benchmarks.md");
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        Self::parse(file, &text)
    }

    fn parse(file: PathBuf, text: &str) -> Result<Self> {
        let (before, rest) = text.split_once(BEGIN).ok_or("the page has no place for figures")?;
        let (figures, after) = rest.split_once(END).ok_or("the place for figures has no end")?;
        let mut sections = Vec::new();
        for section in figures.split("\n### ").skip(1) {
            let name = section.lines().next().unwrap_or_default();
            sections.push((name.to_owned(), section.trim_end().to_owned()));
        }
        Ok(Self { file, before: before.to_owned(), sections, after: after.to_owned() })
    }

    /// Puts a group's figures in, in place of older ones, and its plot and JSON
    /// beside the page.
    pub fn put(&mut self, report: &Report, run: &Run) -> Result<()> {
        let folder = self.file.with_extension("");
        std::fs::create_dir_all(&folder)?;
        let plot = plot::svg(report.group, &report.measured);
        if let Some(svg) = &plot {
            std::fs::write(folder.join(format!("{}.svg", report.group)), svg)?;
        }
        let all = json!({ "run": run.to_json(), "figures": report.to_json() });
        let json = serde_json::to_string_pretty(&all)? + "\n";
        std::fs::write(folder.join(format!("{}.json", report.group)), json)?;
        self.set(report.group, section(report, run, plot.is_some()));
        Ok(())
    }

    fn set(&mut self, group: &str, section: String) {
        match self.sections.iter_mut().find(|(name, _)| name == group) {
            Some((_, old)) => *old = section,
            None => self.sections.push((group.to_owned(), section)),
        }
    }

    /// Writes the page, its sections in the order of these groups.
    pub fn write(&mut self, order: &[&str]) -> Result<()> {
        let place = |name: &str| order.iter().position(|group| *group == name);
        self.sections.retain(|(name, _)| place(name).is_some());
        self.sections.sort_by_key(|(name, _)| place(name));
        std::fs::write(&self.file, self.to_text())?;
        Ok(())
    }

    fn to_text(&self) -> String {
        let mut text = format!("{}{BEGIN}", self.before);
        let targets = self.targets();
        if !targets.is_empty() {
            let _ = write!(text, "\n{}", targets.to_markdown());
        }
        for (_, section) in &self.sections {
            let _ = write!(text, "\n### {section}\n");
        }
        if !self.sections.is_empty() {
            text.push('\n');
        }
        text + END + &self.after
    }
}

impl Page {
    /// What the tables of the sections say of targets.
    fn targets(&self) -> Table {
        let mut table = Table::new(&["group", "target", "asked", "figure", ""]);
        for (group, section) in &self.sections {
            for line in section.lines().filter(|line| line.starts_with("| ")) {
                let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
                let [what, figure, unit, target, verdict] = cells[..] else { continue };
                let figure = match target.chars().next() {
                    Some('≥') => format!("{figure} ×"),
                    Some('≤') => format!("{figure} {unit}"),
                    _ => continue,
                };
                table.row([group, what, target, &figure, verdict].map(str::to_owned));
            }
        }
        table
    }
}

/// Without the mark of its heading.
fn section(report: &Report, run: &Run, has_plot: bool) -> String {
    let Report { group, about, .. } = report;
    let mut text = format!("{group}\n\n{}.\n\n", capitalized(about));
    let _ = write!(text, "`{}`: {}.\n\n", run.command, run.describe());
    if has_plot {
        let _ = write!(text, "![{group}](benchmarks/{group}.svg)\n\n");
    }
    let tables = [Table::of_lines(&report.measured), report.ratios(), report.bounds()];
    for table in tables.iter().filter(|table| !table.is_empty()) {
        text += &table.to_markdown();
        text.push('\n');
    }
    for note in &report.notes {
        // Tables of figures in columns keep their shape.
        if note.lines().any(|line| line.starts_with("  ")) {
            let _ = write!(text, "```text\n{}\n```\n\n", note.trim_end());
        } else {
            let _ = write!(text, "{}\n\n", note.trim_end());
        }
    }
    text.trim_end().to_owned()
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let text = format!("# Page\n\n{BEGIN}\n### b\n\nold b\n\n### c\n\nold c\n\n{END}\nend\n");
        Page::parse(PathBuf::new(), &text).unwrap()
    }

    #[test]
    fn what_was_not_run_stays_as_it_is() {
        let page = page();
        let again = Page::parse(PathBuf::new(), &page.to_text()).unwrap();
        assert_eq!(again.to_text(), page.to_text());
        assert!(page.to_text().contains("\n### c\n\nold c\n"), "{}", page.to_text());
    }

    #[test]
    fn sections_are_replaced_and_stand_in_the_order_of_the_groups() {
        let directory = tempfile::tempdir().unwrap();
        let mut page = Page { file: directory.path().join("benchmarks.md"), ..page() };
        let run = Run {
            command: "tandem-bench a".into(),
            machine: "two cores".into(),
            load_before: None,
            records: 1,
            rounds: 1,
            milliseconds: 1,
        };
        for group in ["b", "a"] {
            let report = Report::new(group, "what it does", Vec::new())
                .figure("size", 7.0, "MiB")
                .at_most("wait", 2.0, "s", 1.0);
            page.put(&report, &run).unwrap();
        }
        page.write(&["a", "b"]).unwrap();
        let text = std::fs::read_to_string(directory.path().join("benchmarks.md")).unwrap();
        let (a, b) = (text.find("### a").unwrap(), text.find("### b").unwrap());
        assert!(a < b && !text.contains("old"), "c is no group any more: {text}");
        assert!(text.starts_with("# Page\n") && text.ends_with("\nend\n"));
        assert!(text.contains("| size | 7.00 | MiB |") && text.contains("`tandem-bench a`"));
        assert!(directory.path().join("benchmarks/a.json").exists());
        let target = "| a | wait | ≤ 1 | 2.00 s | **missed** |\n";
        assert!(text.find(target).is_some_and(|at| at < a), "{text}");
        let again = Page::parse(PathBuf::new(), &text).unwrap();
        assert_eq!(again.to_text(), text);
    }
}
