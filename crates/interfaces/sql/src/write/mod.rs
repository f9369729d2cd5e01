//! INSERT, UPDATE, DELETE.

use sqlparser::ast;
use tandem_base::Result;

use crate::output::sql_error;
use crate::scope::Scope;
use crate::session::Done;

/// Carries out a writing statement.
pub(crate) fn run(_scope: &Scope<'_>, statement: &ast::Statement) -> Result<Done> {
    Err(sql_error(format!("not supported: {statement}")))
}
