//! ALTER TABLE.

use sqlparser::ast;
use tandem_base::Result;

use crate::define::unsupported;
use crate::scope::Scope;

pub(super) fn run(_scope: &Scope<'_>, _alter: &ast::AlterTable, _text: &str) -> Result<()> {
    Err(unsupported("ALTER TABLE"))
}
