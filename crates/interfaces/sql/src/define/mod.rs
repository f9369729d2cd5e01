//! CREATE, ALTER, DROP.

use sqlparser::ast;
use tandem_base::Result;

use crate::output::{Output, sql_error};
use crate::scope::Scope;

/// Carries out a defining statement.
pub(crate) fn run(_scope: &Scope<'_>, statement: &ast::Statement, _text: &str) -> Result<Output> {
    Err(sql_error(format!("not supported: {statement}")))
}
