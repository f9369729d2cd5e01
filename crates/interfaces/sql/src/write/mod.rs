//! INSERT, UPDATE, DELETE: carried out over the record API.
//!
//! SQLite reads and evaluates, row after row of records are written by Tandem:
//!
//! ```text
//! INSERT  source (constants, or SQLite: rows) ─> fields ─> constraints ─> insert
//! UPDATE  SELECT key, expressions … WHERE …   ─> fields ─> constraints ─> update by key
//! DELETE  SELECT key … WHERE …                                         ─> delete by key
//! ```
//! What a statement reads to find its rows is read whole before it writes the
//! first, so it never meets a row of its own. What it evaluates for a single row
//! later (RETURNING, DO UPDATE, CHECK) sees the rows written before it.
//!
//! Which constraint is broken is learned by trying: the record layer answers
//! `ALREADY_EXISTS` with the record that is in the way, and leaves no trace. So a
//! row that fits costs nothing for `OR REPLACE` or ON CONFLICT.

mod assign;
mod constraint;
mod delete;
mod dialect;
mod expression;
mod insert;
mod parse;
mod returning;
mod row;
mod store;
mod update;
mod upsert;
mod writer;

use tandem_base::Result;

pub(crate) use crate::write::parse::Writing;

use crate::scope::Scope;
use crate::session::Done;
use crate::write::parse::Action;
use crate::write::writer::Writer;

/// Carries out a writing statement.
pub(crate) fn run(scope: &Scope<'_>, writing: &Writing) -> Result<Done> {
    let parameters = writing.parameters.values(scope.parameters)?;
    let scope = Scope { parameters: &parameters, ..*scope };
    let table = scope.table(&writing.table)?;
    let mut writer = Writer::new(&scope, table, writing)?;
    let ended = match &writing.action {
        Action::Insert(insert) => insert::run(&mut writer, insert)?,
        Action::Update(update) => update::run(&mut writer, update)?,
        Action::Delete(delete) => delete::run(&mut writer, delete)?,
    };
    Ok(match ended {
        None => Done::Whole(writer.finish()),
        Some(done) => done,
    })
}
