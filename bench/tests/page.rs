//! A run writes its figures into the page: the repository's own, so that its place
//! for figures is still there.

#![expect(clippy::disallowed_methods, reason = "reads what a run has written")]

use std::path::Path;
use std::process::Command;

#[test]
fn a_run_writes_its_groups_into_the_page_with_a_plot_and_json_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("benchmarks.md");
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let original = std::fs::read_to_string(original).unwrap();
    std::fs::write(&page, &original).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_tandem-bench"))
        .args(["index-cost", "scaling", "--smoke", "--directory"])
        .arg(directory.path())
        .arg(format!("--write-docs={}", directory.path().display()))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

    let text = std::fs::read_to_string(&page).unwrap();
    let (before, figures) = text.split_once("<!-- figures").unwrap();
    let (figures, after) = figures.split_once("<!-- end of figures -->").unwrap();
    assert!(original.starts_with(before) && original.ends_with(after), "the rest is as it was");
    for group in ["index-cost", "scaling"] {
        assert!(figures.contains(&format!("\n### {group}\n")), "{figures}");
        let file = |extension| directory.path().join(format!("benchmarks/{group}.{extension}"));
        assert!(file("json").exists());
        // A plot needs a step that ended in time.
        let shown = figures.contains(&format!("![{group}](benchmarks/{group}.svg)"));
        assert_eq!(file("svg").exists(), shown);
    }
    assert!(
        figures.contains("| sqlite OFF, 8 indexes | 1 | process kill: WAL, OFF |"),
        "{figures}"
    );
    assert!(figures.contains("tandem: each further index on a write |"), "{figures}");
    assert!(figures.contains("--write-docs="), "the page shows the command");
}
