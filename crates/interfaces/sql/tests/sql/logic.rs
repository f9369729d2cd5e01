//! The `.slt` files of `tests/slt`, in the format of SQLite's own logic tests, each
//! over a new store, in memory and on disk.

use std::path::Path;

use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};
use tandem::{CheckOptions, Error, Store};
use tandem_sql::{Session, Value};

struct Door {
    session: Session,
}

impl DB for Door {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        let answer = self.session.execute(sql, ())?;
        if answer.columns.is_empty() {
            return Ok(DBOutput::StatementComplete(answer.changes));
        }
        let shown = |value: &Value| match value {
            Value::Null => "NULL".to_owned(),
            Value::Integer(integer) => integer.to_string(),
            Value::Real(real) => format!("{real:?}"),
            Value::Text(text) if text.is_empty() => "(empty)".to_owned(),
            Value::Text(text) => text.clone(),
            Value::Blob(blob) => format!("{blob:?}"),
        };
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Any; answer.columns.len()],
            rows: answer.rows.iter().map(|row| row.values().iter().map(shown).collect()).collect(),
        })
    }
}

fn play(file: &Path, store: &Store) {
    // `connection NAME` in a file is a session of its own.
    let mut runner = Runner::new(|| {
        let session = Session::new(store);
        async move { session.map(|session| Door { session }) }
    });
    if let Err(problem) = runner.run_file(file) {
        panic!("{}", problem.display(false));
    }
    drop(runner);
    assert!(store.check(&CheckOptions::new()).unwrap().is_clean(), "{}", file.display());
}

#[test]
fn logic_files_hold_in_memory_and_on_disk() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 6);
    for file in files {
        play(&file, &Store::memory().unwrap());
        let directory = tempfile::tempdir().unwrap();
        play(&file, &Store::open(directory.path()).unwrap());
    }
}
