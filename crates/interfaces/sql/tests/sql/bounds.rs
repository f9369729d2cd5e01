//! Statements that take too long or are too deep.

use serde_json::json;
use tandem::Code;
use tandem_sql::{Session, SessionOptions};

use crate::both::Both;
use crate::support::refused;

#[test]
fn a_statement_that_runs_for_too_long_is_undone() {
    let both = Both::filled();
    let options =
        SessionOptions { statement_time: Some(std::time::Duration::ZERO), ..Default::default() };
    let hurried = Session::with_options(&both.store, options).unwrap();
    for sql in ["INSERT INTO t (id) VALUES (7), (8)", "UPDATE t SET d = 9", "DELETE FROM t"] {
        let error = refused(&hurried, sql);
        assert_eq!(
            (error.code(), error.detail("limit")),
            (Code::Timeout, Some(&json!("statementTime")))
        );
        both.compare(sql);
    }
    both.is_clean();
}

#[test]
fn statements_that_are_too_deep_are_refused() {
    let both = Both::filled();
    let chain = |term: &str, operator: &str, count: usize| vec![term; count].join(operator);
    for (sql, words) in [
        (
            format!("DELETE FROM t WHERE {}", chain("id = 9", " OR ", 100_000)),
            "Expression tree is too large (maximum depth 1000)",
        ),
        (
            format!("UPDATE t SET b = {}", chain("b", " || ", 100_000)),
            "Expression tree is too large (maximum depth 1000)",
        ),
        (
            format!("INSERT INTO t (id) {}", chain("SELECT 9", " UNION ALL ", 100_000)),
            "too many terms in compound SELECT",
        ),
        (
            format!("UPDATE t SET d = {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
            "The statement is nested too deeply",
        ),
        (
            format!("UPDATE t SET d = {}1", "- ".repeat(10_000)),
            "Expression tree is too large (maximum depth 1000)",
        ),
    ] {
        let error = refused(&both.session, &sql);
        assert_eq!((error.code(), error.message()), (Code::SqlError, words), "{:.60}", sql);
    }
    both.run(&format!("UPDATE t SET d = {} WHERE id = 1", chain("1", " + ", 900)));
    let mut nested = "1".to_owned();
    for _ in 0..30 {
        nested = format!("({nested} + {})", chain("1", " + ", 30));
    }
    both.run(&format!("UPDATE t SET d = {nested} WHERE id = 1"));
    both.run(&format!("INSERT INTO t (id, c) {}", chain("SELECT 9, 9", " UNION ", 400)));
    both.run(&format!("DELETE FROM t WHERE id IN ({})", chain("9", ", ", 20_000)));
    both.is_clean();
}
