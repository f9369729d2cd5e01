//! Tandem's SQL beside SQLite's own: the same random statements, one by one.
//!
//! After each statement both must have answered the same: rows, how many were
//! changed, or an error of the same class; after each transaction all tables must
//! hold the same. What `docs/sql.md` lists as different is not generated, or is told
//! apart here by name. A run that fails prints its seed and its last statements.
//!
//! `TANDEM_STATEMENTS` (50,000) says how many statements are run, `TANDEM_SEED` where
//! the seeds begin.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod compare;
mod generate;
mod schema;

use compare::{Answer, by_sqlite, by_tandem};
use generate::Generator;
use tandem::{CheckOptions, Store};
use tandem_sql::Session;

/// Statements of one store.
const STORY: usize = 500;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_statements_answer_as_sqlite_does() {
    answer_alike(setting("TANDEM_SEED", 1));
}

/// The other half, beside the first.
#[test]
fn more_random_statements_answer_as_sqlite_does() {
    answer_alike(setting("TANDEM_SEED", 1) + 1_000_000);
}

fn answer_alike(first: u64) {
    let statements = usize::try_from(setting("TANDEM_STATEMENTS", 50_000)).unwrap() / 2;
    let (mut done, mut seed, mut failed, mut other_rules) = (0, first, 0, 0);
    let mut kinds = std::collections::BTreeMap::new();
    while done < statements {
        let story = Story::new(seed).play(STORY.min(statements - done));
        done += story.done;
        failed += story.failed;
        other_rules += story.other_rules;
        for (kind, count) in story.kinds {
            *kinds.entry(kind).or_insert(0) += count;
        }
        seed += 1;
    }
    println!(
        "{done} statements of {} stores, {failed} of them failed in both, {other_rules} by another rule: {kinds:?}",
        seed - first
    );
    // A run in which nearly everything fails proves little.
    assert!(failed * 2 < done, "{failed} of {done} statements failed");
    assert!(other_rules * 8 < failed, "of {failed} errors {other_rules} name another rule");
}

struct Story {
    seed: u64,
    generator: Generator,
    sqlite: rusqlite::Connection,
    store: Store,
    session: Session,
    told: Vec<String>,
}

#[derive(Default)]
struct Told {
    done: usize,
    failed: usize,
    /// Of several broken rules another was named.
    other_rules: usize,
    kinds: std::collections::BTreeMap<String, usize>,
}

impl Story {
    fn new(seed: u64) -> Self {
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        sqlite.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        let store = Store::builder().memory().background(false).open().unwrap();
        let session = Session::new(&store).unwrap();
        Self { seed, generator: Generator::new(seed), sqlite, store, session, told: Vec::new() }
    }

    fn play(mut self, statements: usize) -> Told {
        let mut told = Told::default();
        let mut tables = Vec::new();
        for _ in 0..statements {
            let sql = self.generator.statement(&tables, self.sqlite.is_autocommit());
            self.told.push(sql.clone());
            let expected = by_sqlite(&self.sqlite, &sql);
            let answered = by_tandem(&self.session, &sql);
            let other_rule = match (&expected, &answered) {
                (Answer::Failed(one), Answer::Failed(other)) => {
                    one != other && one.is_constraint() && other.is_constraint()
                }
                _ => false,
            };
            told.other_rules += usize::from(other_rule);
            if expected != answered && !other_rule {
                self.fail(&format!("SQLite: {expected:?}\nTandem: {answered:?}"));
            }
            let open = self.session.is_in_transaction();
            if open == self.sqlite.is_autocommit() {
                self.fail(&format!("a transaction is open in Tandem: {open}"));
            }
            told.done += 1;
            told.failed += usize::from(matches!(expected, Answer::Failed(_)));
            let kind = sql.split(' ').next().unwrap_or_default().to_owned();
            *told.kinds.entry(kind.clone()).or_default() += 1;
            match kind.as_str() {
                "SELECT" | "WITH" => {}
                // One that says OR ROLLBACK may have taken definitions back.
                "INSERT" | "UPDATE" | "DELETE" if !sql.contains("OR ROLLBACK") => {
                    self.compare_tables(&tables);
                }
                _ => {
                    tables = schema::tables(&self.sqlite);
                    self.compare_tables(&tables);
                }
            }
        }
        if self.session.is_in_transaction() {
            self.told.push("COMMIT".to_owned());
            assert_eq!(by_sqlite(&self.sqlite, "COMMIT"), by_tandem(&self.session, "COMMIT"));
        }
        self.compare_tables(&schema::tables(&self.sqlite));
        let report = self.store.check(&CheckOptions::new()).unwrap();
        if !report.is_clean() {
            self.fail(&format!("{report:?}"));
        }
        told
    }

    fn compare_tables(&self, tables: &[schema::Table]) {
        for table in tables {
            let sql = format!("SELECT * FROM {}", table.name);
            let (expected, answered) =
                (by_sqlite(&self.sqlite, &sql), by_tandem(&self.session, &sql));
            if expected != answered {
                self.fail(&format!("{sql}\nSQLite: {expected:?}\nTandem: {answered:?}"));
            }
        }
    }

    fn fail(&self, problem: &str) -> ! {
        if let Some(Err(error)) = self.told.last().map(|sql| self.session.execute(sql, ())) {
            eprintln!("once more: {error}");
        }
        let last = self.told.len().saturating_sub(40);
        for sql in self.told[..last]
            .iter()
            .filter(|sql| ["CREATE", "ALTER", "DROP"].iter().any(|word| sql.starts_with(word)))
        {
            eprintln!("{sql};");
        }
        panic!(
            "seed {}, statement {}\n{};\n{problem}",
            self.seed,
            self.told.len(),
            self.told[last..].join(";\n")
        );
    }
}
