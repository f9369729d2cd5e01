//! `sql.execute`: statements of SQL.

use serde_json::Value;
use tandem_base::Result;
use tandem_sql::{Output, Parameters};

use super::{Fields, Scope};
use crate::data::{Data, write_value};
use crate::peer::Peer;
use crate::sql_sessions::Wanted;
use crate::workers::Class;

/// The request of that type.
const EXECUTE: &str = "sql.execute";

impl Peer {
    /// The requests of this family; `None` for the type of another.
    pub(crate) async fn sql_request(&mut self, kind: &str, fields: Fields) -> Option<Result<Data>> {
        if kind != EXECUTE {
            return None;
        }
        Some(self.execute(fields).await)
    }

    /// `{sql, params?}` → `{columns, rows, changes, lastKey?}`. What only reads is
    /// interrupted when its client has gone or the server stops; what was sent to be
    /// written is written.
    async fn execute(&mut self, mut fields: Fields) -> Result<Data> {
        let handle = fields.optional_string("transaction")?;
        let sql = fields.string("sql")?;
        let parameters = parameters(&mut fields)?;
        let class = if tandem_sql::seems_to_read(&sql) { Class::Read } else { Class::Write };
        let shared = self.shared.clone();
        let outbox = self.outbox().clone();
        let wanted = Wanted::default();
        let stopped = wanted.clone();
        let work = async {
            let permit = shared.sql.room().await;
            let sessions = shared.clone();
            self.on_store(class, handle.as_deref(), move |scope| {
                let _permit = permit;
                sessions.sql.with(scope.store(), &wanted, |session| {
                    let output = match scope {
                        Scope::Store(_) => session.execute_alone(&sql, parameters),
                        Scope::Transaction(transaction) => {
                            session.execute_in(transaction, &sql, parameters)
                        }
                    }?;
                    Ok(written(&output))
                })
            })
            .await
        };
        tokio::pin!(work);
        // The work is seen to its end: what it has begun is undone there.
        tokio::select! {
            biased;
            answer = &mut work => return answer,
            () = outbox.ended(), if class == Class::Read => stopped.stop(),
        }
        work.await
    }
}

fn parameters(fields: &mut Fields) -> Result<Parameters> {
    Parameters::from_json(&fields.optional("params").unwrap_or_default())
}

/// The answer as JSON text, made where the statement ran: it may be long.
fn written(output: &Output) -> Data {
    let mut text = b"{\"columns\":[".to_vec();
    for (at, column) in output.columns.iter().enumerate() {
        separate(&mut text, at);
        text.extend_from_slice(b"{\"name\":");
        write_value(&mut text, &column.name.as_str().into());
        text.extend_from_slice(b",\"type\":");
        write_value(&mut text, &column.declared_type.as_deref().map_or(Value::Null, Value::from));
        text.push(b'}');
    }
    text.extend_from_slice(b"],\"rows\":[");
    for (at, row) in output.rows.iter().enumerate() {
        separate(&mut text, at);
        text.push(b'[');
        for (at, value) in row.values().iter().enumerate() {
            separate(&mut text, at);
            write_value(&mut text, &value.to_json());
        }
        text.push(b']');
    }
    text.extend_from_slice(format!("],\"changes\":{}", output.changes).as_bytes());
    if let Some(key) = &output.last_key {
        text.extend_from_slice(b",\"lastKey\":");
        write_value(&mut text, key);
    }
    text.push(b'}');
    Data::raw(text)
}

fn separate(text: &mut Vec<u8>, at: usize) {
    if at > 0 {
        text.push(b',');
    }
}
