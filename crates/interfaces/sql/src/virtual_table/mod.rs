//! Buckets as virtual tables of SQLite, to be read.
//!
//! SQLite joins, groups, sorts and evaluates; each access to a table comes here
//! twice: once to be planned ([`plan`], `xBestIndex`: which of the conditions
//! Tandem's own planner can use, at which cost, and whether rows come in the order
//! asked for), once to be run ([`cursor`], `xFilter`: a query of the record layer
//! in the transaction of the statement). SQLite checks every condition again, so an
//! access may find more than it has to, and never less.
//!
//! Writes do not come this way: `write` has them.

mod condition;
mod cursor;
mod plan;

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::ffi;
use rusqlite::vtab::{CreateVTab, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabKind};
use tandem_base::{Code, Error, Result};

use crate::shared::Shared;
use crate::table::{Table, quoted};
pub(crate) use crate::virtual_table::condition::as_number;
use crate::virtual_table::cursor::Cursor;
use crate::virtual_table::plan::Plans;

const NAME: &CStr = c"tandem";

/// Makes the module known to a connection.
pub(crate) fn register(sqlite: &rusqlite::Connection, shared: &Arc<Shared>) -> Result<()> {
    const MODULE: Module<'static, VirtualTable> = Module::read_only_module();
    sqlite
        .create_module(NAME, &MODULE, Some(shared.clone()))
        .map_err(|error| crate::error::of(error, shared))
}

/// The statement that makes a bucket a table of the connection.
pub(crate) fn create_statement(table: &Table) -> String {
    format!("CREATE VIRTUAL TABLE {} USING tandem", quoted(&table.name))
}

/// One bucket, as long as its definition stays.
#[repr(C)]
pub(crate) struct VirtualTable {
    /// SQLite's part of it, which has to be the first.
    base: ffi::sqlite3_vtab,
    shared: Arc<Shared>,
    table: Arc<Table>,
    plans: Plans,
}

// SAFETY: the structure is laid out as C has it and begins with `sqlite3_vtab`.
#[expect(unsafe_code, reason = "the trait asks for that layout")]
unsafe impl<'vtab> VTab<'vtab> for VirtualTable {
    type Aux = Arc<Shared>;
    type Cursor = Cursor;

    fn connect(
        db: &mut VTabConnection,
        shared: Option<&Arc<Shared>>,
        _module: &[u8],
        _database: &[u8],
        name: &[u8],
        _arguments: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let name = String::from_utf8_lossy(name);
        let no_such = || rusqlite::Error::ModuleError(format!("no such bucket: {name}"));
        let shared = shared.ok_or_else(no_such)?.clone();
        let table = shared.table(&name).ok_or_else(no_such)?;
        db.config(VTabConfig::DirectOnly)?;
        let declaration = CString::new(declaration(&table))
            .map_err(|_| rusqlite::Error::ModuleError("a name has a NUL".to_owned()))?;
        let base = ffi::sqlite3_vtab::default();
        Ok((Cow::Owned(declaration), Self { base, shared, table, plans: Plans::default() }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        guarded(&self.shared, || {
            let plan = plan::choose(&self.shared, &self.table, info)?;
            let number = self.plans.number(&plan);
            info.set_idx_num(c_int::try_from(number).unwrap_or(c_int::MAX));
            info.set_idx_str(&plan.to_string());
            Ok(true)
        })
    }

    fn open(&'vtab mut self) -> rusqlite::Result<Cursor> {
        Ok(Cursor::new(self.shared.clone(), self.table.clone(), self.plans.clone()))
    }
}

impl CreateVTab<'_> for VirtualTable {
    const KIND: VTabKind = VTabKind::Default;
}

/// The table as SQLite is told of it. Types whose values would be converted in
/// comparisons although they are stored as they are (dates, JSON) are left out.
fn declaration(table: &Table) -> String {
    use crate::table::Affinity;
    let mut columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let declared = match column.affinity {
                Affinity::Date | Affinity::Json | Affinity::Any => "",
                _ => column.declared.as_str(),
            };
            let hidden = if column.hidden { " HIDDEN" } else { "" };
            format!("{} {declared}{hidden}", quoted(&column.name))
        })
        .collect();
    let mut without_rowid = "";
    if let (false, Some(key)) = (table.has_rowid, table.key) {
        columns.push(format!("PRIMARY KEY ({})", quoted(&table.columns[key].name)));
        without_rowid = " WITHOUT ROWID";
    }
    format!("CREATE TABLE x({}){without_rowid}", columns.join(", "))
}

/// Runs what SQLite calls: an error is kept whole for the session, and a panic
/// goes no further, because the caller is C.
fn guarded<T>(shared: &Shared, work: impl FnOnce() -> Result<T>) -> rusqlite::Result<T> {
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Error::new(Code::InternalError, "A read of a virtual table panicked"))
    });
    result.map_err(|error| {
        let message = error.message().to_owned();
        shared.fail(error);
        rusqlite::Error::ModuleError(message)
    })
}
