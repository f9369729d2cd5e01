//! `docs/isolation.md` is what a run says, and every script has its test.

use tandem_tests::{library, matrix};

#[test]
fn g4_the_published_matrix_is_what_a_run_observes() {
    let observed = matrix::document().unwrap_or_else(|story| panic!("{story}"));
    let path = matrix::document_path();
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == observed,
        "docs/isolation.md is out of date: run `cargo run -p tandem-tests --bin isolation-matrix`"
    );
}

#[test]
fn the_sixteen_cases_and_the_extras_are_all_there() {
    let cases: Vec<_> = library().into_iter().filter_map(|script| script.case).collect();
    for number in 1..=16 {
        assert!(cases.contains(&number.to_string()), "case {number} has no script");
    }
    for extra in 1..=9 {
        let name = format!("E{extra}");
        assert!(cases.iter().any(|case| case.starts_with(&name)), "{name} has no script");
    }
}

#[test]
fn every_script_is_named_by_a_test() {
    let tests = [
        include_str!("isolation_published_cases.rs"),
        include_str!("isolation_extra_cases.rs"),
        include_str!("isolation_locks.rs"),
    ]
    .concat();
    for script in library() {
        let call = format!("script_named(\"{}\")", script.name);
        assert!(tests.contains(&call), "{} is played by no test of its own", script.name);
    }
}
