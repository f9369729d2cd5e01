use std::time::Duration;

use serde_json::{Map, Value, json};
use tandem::{BucketConfig, CommitOptions, Error, Isolation, Store, TransactionOptions};
use tandem_sql::{Parameters, Session, SessionOptions, Value as Sql};

use super::embedded::{Watcher, lock_waiters, problems_of};
use super::{BUCKET, Connection, Door, World};
use crate::answer::Answer;
use crate::script::{Action, Path};

/// SQL: a session for each connection, the bucket as a table.
///
/// What SQL has no words for (a lock, an expected version, an idempotency key) is
/// asked of the record API, in the session's transaction: so the two are mixed.
pub struct SqlSessions;

impl Door for SqlSessions {
    fn name(&self) -> &'static str {
        "SQL"
    }

    fn open(&self, bucket: &Value) -> Box<dyn World> {
        let store = Store::builder().memory().background(false).open().expect("memory opens");
        // What is declared is a column.
        let mut bucket = bucket.clone();
        bucket["schema"] = json!({
            "id": { "type": "number" }, "value": { "type": "number" },
            "group": { "type": "string" }, "code": { "type": "string" },
            "email": { "type": "string" }, "note": { "type": "string" }, "tags": {},
        });
        let config = BucketConfig::from_json(bucket).expect("the bucket is an object");
        store.define_bucket(BUCKET, config).expect("the bucket is new and well defined");
        Box::new(OneStore { store })
    }

    /// No condition of SQL is about an element of an array by itself.
    fn takes(&self, path: &Path) -> bool {
        path.index.as_ref().is_none_or(|index| index["multi"] != json!(true))
    }
}

struct OneStore {
    store: Store,
}

impl World for OneStore {
    fn connect(&mut self, level: Isolation) -> Box<dyn Connection> {
        let transaction = TransactionOptions::new().isolation(level);
        let options = SessionOptions { transaction, ..SessionOptions::default() };
        let session = Session::with_options(&self.store, options).expect("a session begins");
        Box::new(Speaker { watcher: Watcher::new(&self.store), session })
    }

    fn lock_waiters(&mut self) -> usize {
        lock_waiters(&self.store)
    }

    fn problems(&mut self) -> Vec<String> {
        problems_of(&self.store)
    }
}

struct Speaker {
    watcher: Watcher,
    session: Session,
}

impl Speaker {
    fn run(&self, sql: &str, values: Vec<Sql>) -> Result<tandem_sql::Output, Error> {
        self.session.execute(sql, Parameters::Positional(values))
    }

    fn records(&self, sql: &str, values: Vec<Sql>) -> Result<Vec<Value>, Error> {
        let answer = self.run(sql, values)?;
        answer
            .rows
            .iter()
            .map(|row| {
                let text: String = row.get(0)?;
                serde_json::from_str(&text).map_err(|error| Error::validation(error.to_string()))
            })
            .collect()
    }

    fn one(&self, sql: &str, values: Vec<Sql>) -> Result<Answer, Error> {
        let found = self.records(sql, values)?;
        Ok(found.into_iter().next().map_or(Answer::Nothing, Answer::Record))
    }

    fn done(&self, sql: &str) -> Result<Answer, Error> {
        self.run(sql, Vec::new()).map(|_| Answer::Done)
    }

    fn changed(&self, sql: &str, values: Vec<Sql>) -> Result<Answer, Error> {
        Ok(Answer::Number(self.run(sql, values)?.changes))
    }

    fn number(&self, sql: &str, values: Vec<Sql>) -> Result<Answer, Error> {
        let answer = self.run(sql, values)?;
        let number: Option<i64> = answer.rows[0].get(0)?;
        Ok(Answer::Number(number.unwrap_or_default().unsigned_abs()))
    }

    /// By the record API, in the session's transaction if one is open.
    fn by_record<T>(
        &self,
        work: impl FnOnce(tandem::Bucket<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self.session.transaction() {
            Some(transaction) => work(transaction.bucket(BUCKET)),
            None => work(self.session.store().bucket(BUCKET)),
        }
    }

    fn update(
        &self,
        condition: &Condition<'_>,
        changes: &Map<String, Value>,
    ) -> Result<Vec<Value>, Error> {
        let mut values = Vec::new();
        let mut set = Vec::new();
        for (field, value) in changes {
            values.push(Sql::from_json(value));
            set.push(format!("\"{field}\" = ?{}", values.len()));
        }
        let sql = format!(
            "UPDATE test SET {} WHERE {} RETURNING _record",
            set.join(", "),
            condition.text()
        );
        self.records(&sql, values)
    }

    fn try_take(&mut self, action: &Action) -> Result<Answer, Error> {
        let missing = || Error::new(tandem::Code::TransactionNotFound, "No transaction is open");
        let transaction = self.session.transaction();
        Ok(match action {
            Action::Begin { read_only } => {
                self.run(if *read_only { "BEGIN READ ONLY" } else { "BEGIN" }, Vec::new())?;
                Answer::Done
            }
            Action::Commit { idempotency_key: None, .. } => {
                self.run("COMMIT", Vec::new())?;
                Answer::Done
            }
            Action::Commit { idempotency_key: Some(key), .. } => {
                let options = CommitOptions::new().idempotency_key(key.as_bytes());
                self.session.commit_with(options)?;
                Answer::Done
            }
            Action::Rollback => {
                if transaction.is_some() {
                    self.run("ROLLBACK", Vec::new())?;
                }
                Answer::Done
            }
            Action::Savepoint(name) => self.done(&format!("SAVEPOINT \"{name}\""))?,
            Action::RollbackTo(name) => self.done(&format!("ROLLBACK TO \"{name}\""))?,
            Action::Release(name) => self.done(&format!("RELEASE \"{name}\""))?,
            Action::Lock { key, wait_ms } => {
                let wait = wait_ms.map(Duration::from_millis);
                let found = transaction.ok_or_else(missing)?.lock(BUCKET, key, wait)?;
                found.map_or(Answer::Nothing, |record| Answer::Record(record.to_json()))
            }
            Action::Get(key) => {
                self.one("SELECT _record FROM test WHERE id = ?", vec![Sql::from_json(key)])?
            }
            Action::All => Answer::Records(self.records("SELECT _record FROM test", Vec::new())?),
            Action::Where(filter) => {
                let condition = Condition::Filter(filter).text();
                let sql = format!("SELECT _record FROM test WHERE {condition}");
                Answer::Records(self.records(&sql, Vec::new())?)
            }
            Action::FindOne(filter) => {
                let condition = Condition::Filter(filter).text();
                self.one(
                    &format!("SELECT _record FROM test WHERE {condition} ORDER BY id LIMIT 1"),
                    Vec::new(),
                )?
            }
            Action::Count(filter) => {
                let condition = Condition::of(filter.as_ref()).text();
                self.number(&format!("SELECT count(*) FROM test WHERE {condition}"), Vec::new())?
            }
            Action::Sum { field, filter } => {
                let condition = Condition::of(filter.as_ref()).text();
                self.number(
                    &format!("SELECT sum(\"{field}\") FROM test WHERE {condition}"),
                    Vec::new(),
                )?
            }
            Action::Insert(rows) => {
                let values: Vec<Sql> = rows
                    .iter()
                    .map(|row| Sql::Text(Value::Object(row.clone()).to_string()))
                    .collect();
                let places = vec!["(?)"; rows.len()].join(", ");
                let sql = format!("INSERT INTO test (_record) VALUES {places} RETURNING _record");
                let mut inserted = self.records(&sql, values)?;
                match rows.len() {
                    1 => inserted.pop().map_or(Answer::Nothing, Answer::Record),
                    _ => Answer::Records(inserted),
                }
            }
            Action::Upsert(data) => {
                let values = data.values().map(Sql::from_json).collect();
                let names: Vec<String> = data.keys().map(|name| format!("\"{name}\"")).collect();
                let set: Vec<String> =
                    names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
                let places = vec!["?"; names.len()].join(", ");
                self.one(
                    &format!(
                        "INSERT INTO test ({}) VALUES ({places}) ON CONFLICT (id) DO UPDATE SET {} RETURNING _record",
                        names.join(", "),
                        set.join(", ")
                    ),
                    values,
                )?
            }
            Action::Replace { key, data } => {
                let record = Sql::Text(Value::Object(data.clone()).to_string());
                let sql = "UPDATE test SET _record = ? WHERE id = ? RETURNING _record";
                match self.one(sql, vec![record, Sql::from_json(key)])? {
                    Answer::Nothing => return Err(not_found()),
                    record => record,
                }
            }
            Action::Update { key, changes, expected_version: None } => {
                match self.update(&Condition::Key(key), changes)?.pop() {
                    Some(record) => Answer::Record(record),
                    None => return Err(not_found()),
                }
            }
            Action::Update { key, changes, expected_version: Some(version) } => {
                let update =
                    |bucket: tandem::Bucket<'_>| bucket.update_if(key, changes.clone(), *version);
                Answer::Record(self.by_record(update)?.to_json())
            }
            Action::Delete { key, expected_version: None } => {
                self.run("DELETE FROM test WHERE id = ?", vec![Sql::from_json(key)])?;
                Answer::Done
            }
            Action::Delete { key, expected_version: Some(version) } => {
                self.by_record(|bucket| bucket.delete_if(key, *version))?;
                Answer::Done
            }
            Action::UpdateMany { filter, changes } => {
                Answer::Number(self.update(&Condition::Filter(filter), changes)?.len() as u64)
            }
            Action::DeleteMany(filter) => {
                let condition = Condition::Filter(filter).text();
                self.changed(&format!("DELETE FROM test WHERE {condition}"), Vec::new())?
            }
            Action::Watch { from_start } => self.watcher.watch(*from_start)?,
            Action::Changes => self.watcher.changes()?,
            other => Answer::failed("NOT A STEP OF THIS DOOR", format!("{other:?}")),
        })
    }
}

/// An update of a record that is not there changes nothing; the record API calls that
/// an error.
fn not_found() -> Error {
    Error::new(tandem::Code::NotFound, "No record has that key")
}

impl Connection for Speaker {
    fn take(&mut self, action: &Action) -> Answer {
        self.try_take(action)
            .unwrap_or_else(|error| Answer::failed(error.code().as_str(), error.to_string()))
    }

    fn index_for(&mut self, filter: &Value, counts: bool) -> Option<String> {
        let condition = Condition::Filter(filter).text();
        let wanted = if counts { "count(*)" } else { "_record" };
        let sql = format!("EXPLAIN QUERY PLAN SELECT {wanted} FROM test WHERE {condition}");
        let answer = self.run(&sql, Vec::new()).ok()?;
        let detail: String = answer.rows.first()?.get("detail").ok()?;
        let plan = detail.split_once(" INDEX ")?.1.split_once(':')?.1;
        let name = plan.split(' ').next()?;
        (name != "scan" && name != "key").then(|| name.to_owned())
    }
}

/// Which records.
enum Condition<'a> {
    All,
    Key(&'a Value),
    Filter(&'a Value),
}

impl<'a> Condition<'a> {
    fn of(filter: Option<&'a Value>) -> Self {
        filter.map_or(Self::All, Self::Filter)
    }

    /// As SQL writes it. Values are written out: that a partial index has all that is
    /// asked for, is known of constants alone.
    fn text(&self) -> String {
        let value = |value: &Value| match value {
            Value::String(text) => format!("'{}'", text.replace('\'', "''")),
            other => other.to_string(),
        };
        let filter = match self {
            Self::All => return "true".to_owned(),
            Self::Key(key) => return format!("id = {}", value(key)),
            Self::Filter(Value::Object(filter)) => filter,
            Self::Filter(other) => return format!("{other}"),
        };
        let mut all = Vec::new();
        for (field, condition) in filter {
            let Value::Object(operators) = condition else {
                all.push(match field.as_str() {
                    "tags" => format!(
                        "EXISTS (SELECT 1 FROM json_each(tags) AS tag WHERE tag.value = {})",
                        value(condition)
                    ),
                    _ => format!("\"{field}\" = {}", value(condition)),
                });
                continue;
            };
            for (operator, operand) in operators {
                let compared =
                    |symbol: &str, right: String| format!("\"{field}\" {symbol} {right}");
                all.push(match operator.as_str() {
                    "$mod" => {
                        format!("\"{field}\" % {} = {}", value(&operand[0]), value(&operand[1]))
                    }
                    "$gt" => compared(">", value(operand)),
                    "$gte" => compared(">=", value(operand)),
                    "$lt" => compared("<", value(operand)),
                    "$lte" => compared("<=", value(operand)),
                    // SQL does not know it either.
                    unknown => format!("\"{field}\" {unknown} {operand}"),
                });
            }
        }
        if all.is_empty() { "true".to_owned() } else { all.join(" AND ") }
    }
}
