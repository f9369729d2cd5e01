//! A connection that speaks SQL.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use tandem::{CommitOptions, Isolation, Store, Transaction, TransactionOptions};
use tandem_base::{Code, Error, Result};

use crate::control::Open;
use crate::define;
use crate::output::{Output, OutputColumn, Row, sql_error};
use crate::parameters::Parameters;
use crate::scope::{Scope, answered};
use crate::shared::Shared;
use crate::tables::Known;
use crate::text::{self, Kind, Statement};
use crate::virtual_table;
use crate::write;

/// After so many texts the tables are made anew.
const TEXTS_OF_TABLES: u32 = 10_000;

/// How many texts a session keeps parsed.
pub(crate) const KEPT_TEXTS: usize = 128;

/// The longest text that is kept parsed: programs that build longer ones seldom
/// build the same one again.
pub(crate) const KEPT_TEXT_BYTES: usize = 16 << 10;

/// Bounds and defaults of a session.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// How transactions begin: those of `BEGIN` and those of single statements.
    pub transaction: TransactionOptions,
    /// The most rows of one answer; beyond it `LIMIT_EXCEEDED` names `sqlRows`.
    pub max_rows: usize,
    /// The most bytes of the values of one answer; beyond it `LIMIT_EXCEEDED` names
    /// `sqlResultBytes`.
    pub max_result_bytes: usize,
    /// How long a statement may run; beyond it `TIMEOUT` names `statementTime`.
    pub statement_time: Option<Duration>,
    /// The most bytes of one value, and of a statement; at most 1 GiB.
    pub max_value_bytes: usize,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            transaction: TransactionOptions::default(),
            max_rows: 1_000_000,
            max_result_bytes: 64 << 20,
            statement_time: None,
            max_value_bytes: 64 << 20,
        }
    }
}

/// A connection that speaks SQL: buckets are tables, and its transactions are those
/// of the record API.
///
/// Outside `BEGIN` each statement commits on its own, and is run again after a
/// conflict, as a call of the record API is. One session is used by one thread at a
/// time; any number may be open.
///
/// ```
/// # fn main() -> tandem::Result<()> {
/// use serde_json::json;
/// use tandem::Store;
/// use tandem_sql::{Session, params};
///
/// let store = Store::memory()?;
/// let session = Session::new(&store)?;
/// session.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)", ())?;
/// session.execute("BEGIN", ())?;
/// session.execute("INSERT INTO users VALUES (?, ?)", params![1, "Ada"])?;
/// // The same transaction, by the record API.
/// if let Some(tx) = session.transaction() {
///     tx.bucket("users").insert(json!({ "id": 2, "name": "Bob" }))?;
/// }
/// session.execute("COMMIT", ())?;
/// let answer = session.query("SELECT count(*) AS n FROM users", ())?;
/// assert_eq!(answer.rows[0].get::<i64>("n")?, 2);
/// # Ok(())
/// # }
/// ```
pub struct Session {
    store: Store,
    sqlite: Connection,
    shared: Arc<Shared>,
    options: SessionOptions,
    open: Mutex<Option<Open>>,
    known: RefCell<Known>,
    parsed: RefCell<HashMap<String, Arc<[Statement]>>>,
    /// How many texts it was given since its tables were last made anew.
    texts: Cell<u32>,
    /// When the running statement has to be over, in nanoseconds of the store's
    /// clock; 0 = never.
    deadline: Arc<AtomicU64>,
    /// Says that the running statement is not wanted any more.
    interrupt: Interrupt,
}

/// Stops the statements of a session from another thread.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Stops what runs, and what will be run until [`clear`](Self::clear).
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Lets statements run again.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether statements are stopped.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A statement that is kept to be run often.
#[derive(Clone, Debug)]
pub struct Prepared {
    statement: Statement,
}

/// What carrying out a writing statement came to.
pub(crate) enum Done {
    /// It is done.
    Whole(Output),
    /// `OR FAIL`: it failed, and what it did before stays.
    InPart(Error),
    /// `OR ROLLBACK`: it failed, and so does the transaction.
    RolledBack(Error),
}

impl Session {
    /// A session with default options.
    ///
    /// # Errors
    /// `SQL_ERROR` when SQLite cannot be started.
    pub fn new(store: &Store) -> Result<Self> {
        Self::with_options(store, SessionOptions::default())
    }

    /// A session.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_options(store: &Store, options: SessionOptions) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let deadline = Arc::new(AtomicU64::new(0));
        let started = |error| crate::error::of(error, &shared);
        let mut sqlite = Connection::open_in_memory().map_err(started)?;
        sqlite.set_prepared_statement_cache_capacity(KEPT_TEXTS);
        let most = i32::try_from(options.max_value_bytes).unwrap_or(i32::MAX);
        sqlite.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_LENGTH, most).map_err(started)?;
        sqlite.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(started)?;
        let interrupt = Interrupt::default();
        let (clock, ends) = (store.environment().clock.clone(), deadline.clone());
        let stopped = interrupt.clone();
        let is_over = move || {
            let deadline = ends.load(Ordering::Relaxed);
            stopped.is_set() || deadline != 0 && clock.monotonic() >= Duration::from_nanos(deadline)
        };
        sqlite.progress_handler(1_000, Some(is_over)).map_err(started)?;
        sqlite.authorizer(Some(authorized)).map_err(started)?;
        virtual_table::register(&sqlite, &shared)?;
        Ok(Self {
            store: store.clone(),
            sqlite,
            shared,
            options,
            open: Mutex::default(),
            known: RefCell::default(),
            parsed: RefCell::default(),
            texts: Cell::default(),
            deadline,
            interrupt,
        })
    }

    /// What stops its statements from another thread: they answer `TIMEOUT`.
    #[must_use]
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// The store that it is a session of.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its bounds and defaults.
    #[must_use]
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// The open transaction, to be used with the record API too. When it is finished
    /// or cancelled there, statements here answer `TRANSACTION_NOT_FOUND` until
    /// `ROLLBACK`: none that was meant to be part of it commits on its own.
    #[must_use]
    pub fn transaction(&self) -> Option<Arc<Transaction>> {
        self.open().as_ref().map(|open| open.transaction.clone())
    }

    /// Whether a transaction is open.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.open().is_some()
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// `SQL_ERROR` (with `line` and `column` where they are known) for what is not
    /// understood, and for several statements; otherwise what the record API
    /// answers to the same, such as `ALREADY_EXISTS`, `CONSTRAINT_VIOLATION` or
    /// `CONFLICT`. A failed statement has changed nothing, unless it says `OR FAIL`
    /// or `OR ROLLBACK`.
    pub fn execute(&self, sql: &str, parameters: impl Into<Parameters>) -> Result<Output> {
        let statements = self.parse(sql)?;
        match &*statements {
            [statement] => self.run(statement, &parameters.into()),
            [] => Ok(Output::default()),
            _ => Err(sql_error("One statement is expected; use execute_all for several")),
        }
    }

    /// As [`execute`](Self::execute): a better word for what answers rows.
    ///
    /// # Errors
    /// As there.
    pub fn query(&self, sql: &str, parameters: impl Into<Parameters>) -> Result<Output> {
        self.execute(sql, parameters)
    }

    /// Runs a reading statement and hands on row by row, holding none, until `each`
    /// answers false.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and what `each` answers.
    pub fn query_each(
        &self,
        sql: &str,
        parameters: impl Into<Parameters>,
        mut each: impl FnMut(&Row) -> Result<bool>,
    ) -> Result<Arc<[OutputColumn]>> {
        let statements = self.parse(sql)?;
        let [statement @ Statement { kind: Kind::Read | Kind::Describe(_), .. }] = &*statements
        else {
            return Err(sql_error("One statement that reads is expected"));
        };
        let parameters = parameters.into();
        self.reading(&parameters, |scope| {
            if let Kind::Describe(described) = &statement.kind {
                let Output { columns, rows, .. } = described.run(scope);
                for row in &rows {
                    if !each(row)? {
                        break;
                    }
                }
                return Ok(columns);
            }
            let mut row = Row { columns: Arc::default(), values: Vec::new() };
            scope.select(&statement.text, &mut |columns, values| {
                if row.columns.is_empty() {
                    row.columns = columns.clone();
                }
                row.values = values;
                each(&row)
            })
        })
    }

    /// Runs statements one after the other, without parameters, until one fails.
    ///
    /// # Errors
    /// That of the first that fails; those before it are done.
    pub fn execute_all(&self, sql: &str) -> Result<Vec<Output>> {
        let statements = self.parse(sql)?;
        statements.iter().map(|statement| self.run(statement, &Parameters::None)).collect()
    }

    /// Makes a statement ready to be run often.
    ///
    /// # Errors
    /// `SQL_ERROR` for what is not understood. Whether its tables and columns are
    /// there is seen when it is run.
    pub fn prepare(&self, sql: &str) -> Result<Prepared> {
        match &*self.parse(sql)? {
            [statement] => Ok(Prepared { statement: statement.clone() }),
            _ => Err(sql_error("One statement is expected")),
        }
    }

    /// Runs a prepared statement.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub fn run_prepared(
        &self,
        prepared: &Prepared,
        parameters: impl Into<Parameters>,
    ) -> Result<Output> {
        self.run(&prepared.statement, &parameters.into())
    }

    /// Runs one statement in a transaction that somebody else has begun and will
    /// end. `BEGIN`, `SAVEPOINT` and so on are refused.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub fn execute_in(
        &self,
        transaction: &Arc<Transaction>,
        sql: &str,
        parameters: impl Into<Parameters>,
    ) -> Result<Output> {
        let statements = self.parse(sql)?;
        let parameters = parameters.into();
        let statement = without_control(&statements)?;
        match &statement.kind {
            Kind::Read | Kind::Describe(_) => {
                self.read_in(transaction, &parameters, |scope| read(scope, statement))
            }
            _ => match self.write_in(transaction, &parameters, statement)? {
                Done::Whole(output) => Ok(output),
                Done::InPart(error) => Err(error),
                Done::RolledBack(error) => {
                    transaction.cancel();
                    Err(error)
                }
            },
        }
    }

    /// Runs one statement as a transaction of its own. `BEGIN`, `SAVEPOINT` and so
    /// on are refused, so that nothing stays open behind it: for sessions that
    /// several take turns with.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub fn execute_alone(&self, sql: &str, parameters: impl Into<Parameters>) -> Result<Output> {
        let statements = self.parse(sql)?;
        self.run(without_control(&statements)?, &parameters.into())
    }

    pub(crate) fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parse(&self, sql: &str) -> Result<Arc<[Statement]>> {
        if let Some(parsed) = self.parsed.borrow().get(sql) {
            return Ok(parsed.clone());
        }
        if sql.len() > self.options.max_value_bytes {
            let (max, actual) = (self.options.max_value_bytes, sql.len());
            return Err(Error::limit("sqlBytes", max as u64, actual as u64));
        }
        let parsed: Arc<[Statement]> = text::statements(sql)?.into();
        self.texts.set(self.texts.get().saturating_add(1));
        if sql.len() > KEPT_TEXT_BYTES {
            return Ok(parsed);
        }
        let mut kept = self.parsed.borrow_mut();
        if kept.len() >= KEPT_TEXTS {
            kept.clear();
        }
        kept.insert(sql.to_owned(), parsed.clone());
        Ok(parsed)
    }

    fn run(&self, statement: &Statement, parameters: &Parameters) -> Result<Output> {
        match &statement.kind {
            Kind::Control(control) => self.control(control).map(|()| Output::default()),
            Kind::Read | Kind::Describe(_) => {
                self.reading(parameters, |scope| read(scope, statement))
            }
            Kind::Write(_) | Kind::Define(_) => self.writing(statement, parameters),
        }
    }

    fn reading<T>(
        &self,
        parameters: &Parameters,
        work: impl FnOnce(&Scope<'_>) -> Result<T>,
    ) -> Result<T> {
        let transaction = match self.transaction() {
            Some(open) => open,
            None => {
                let options = TransactionOptions::new().isolation(Isolation::Snapshot).read_only();
                Arc::new(self.store.begin_with(&options)?)
            }
        };
        self.read_in(&transaction, parameters, work)
    }

    fn read_in<T>(
        &self,
        transaction: &Arc<Transaction>,
        parameters: &Parameters,
        work: impl FnOnce(&Scope<'_>) -> Result<T>,
    ) -> Result<T> {
        transaction.compound(|| self.within(transaction, parameters, work))
    }

    fn writing(&self, statement: &Statement, parameters: &Parameters) -> Result<Output> {
        if let Some(transaction) = self.transaction() {
            return match self.write_in(&transaction, parameters, statement)? {
                Done::Whole(output) => Ok(output),
                Done::InPart(error) => Err(error),
                Done::RolledBack(error) => {
                    self.rollback()?;
                    Err(error)
                }
            };
        }
        self.store.retrying(&self.options.transaction, || {
            let transaction = Arc::new(self.store.begin_with(&self.options.transaction)?);
            match self.write_in(&transaction, parameters, statement)? {
                Done::Whole(output) => {
                    transaction.finish(CommitOptions::new())?;
                    Ok(output)
                }
                Done::InPart(error) => {
                    transaction.finish(CommitOptions::new())?;
                    Err(error)
                }
                Done::RolledBack(error) => Err(error),
            }
        })
    }

    fn write_in(
        &self,
        transaction: &Arc<Transaction>,
        parameters: &Parameters,
        statement: &Statement,
    ) -> Result<Done> {
        transaction.compound(|| {
            self.within(transaction, parameters, |scope| match &statement.kind {
                Kind::Write(parsed) => write::run(scope, parsed),
                Kind::Define(parsed) => {
                    define::run(scope, parsed, &statement.text).map(Done::Whole)
                }
                Kind::Read | Kind::Describe(_) | Kind::Control(_) => {
                    read(scope, statement).map(Done::Whole)
                }
            })
        })
    }

    /// Runs `work` in a transaction, with the tables that it sees, and for no
    /// longer than a statement may take.
    fn within<T>(
        &self,
        transaction: &Arc<Transaction>,
        parameters: &Parameters,
        work: impl FnOnce(&Scope<'_>) -> Result<T>,
    ) -> Result<T> {
        let _entered = self.shared.enter(transaction.clone());
        // Tables keep each way in which they were ever read.
        if self.texts.get() > TEXTS_OF_TABLES
            && self.known.borrow_mut().forget(&self.sqlite, &self.shared)
        {
            self.texts.set(0);
        }
        self.known.borrow_mut().update(&self.sqlite, &self.shared, transaction)?;
        let ends = self.options.statement_time.map_or(0, |time| {
            let ends = self.store.environment().clock.monotonic() + time;
            u64::try_from(ends.as_nanos()).unwrap_or(u64::MAX)
        });
        // A statement that is run while another one hands out its rows gets no more time
        // than is left of that one's, which goes on with its own.
        let _deadline = Deadline::earlier(&self.deadline, ends);
        let scope = Scope {
            sqlite: &self.sqlite,
            shared: &self.shared,
            transaction,
            parameters,
            options: &self.options,
            deadline: &self.deadline,
        };
        let answer = work(&scope);
        let answer = match answer {
            Err(error) if error.code() == Code::Timeout && self.interrupt.is_set() => {
                Err(Error::new(Code::Timeout, "The statement was interrupted"))
            }
            answer => answer,
        };
        // An error that SQLite has not handed on belongs to nobody.
        let _ = self.shared.take_failure();
        answer
    }
}

/// Until it is dropped, a statement has to be over at that time.
struct Deadline<'a> {
    ends: &'a AtomicU64,
    before: u64,
}

impl<'a> Deadline<'a> {
    /// The one that is set or `at`, whichever comes first; 0 = none.
    fn earlier(ends: &'a AtomicU64, at: u64) -> Self {
        let before = ends.load(Ordering::Relaxed);
        let at = if before == 0 || at == 0 { before.max(at) } else { before.min(at) };
        ends.store(at, Ordering::Relaxed);
        Self { ends, before }
    }
}

impl Drop for Deadline<'_> {
    fn drop(&mut self) {
        self.ends.store(self.before, Ordering::Relaxed);
    }
}

/// What SQLite may compile, whatever it was asked for: nothing that reaches a file or
/// changes a setting. Settings are changed while a PRAGMA is compiled, some of
/// them (the limits of the heap) those of the whole process.
fn authorized(context: AuthContext<'_>) -> Authorization {
    const TELLING: [&str; 13] = [
        "collation_list",
        "compile_options",
        "database_list",
        "foreign_key_list",
        "function_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "module_list",
        "pragma_list",
        "table_info",
        "table_list",
        "table_xinfo",
    ];
    match context.action {
        AuthAction::Pragma { pragma_name, .. } if !TELLING.contains(&pragma_name) => {
            Authorization::Deny
        }
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Authorization::Deny,
        _ => Authorization::Allow,
    }
}

/// The one statement, if it is none about the transaction itself.
fn without_control(statements: &[Statement]) -> Result<&Statement> {
    match statements {
        [Statement { kind: Kind::Control(_), .. }] => {
            Err(sql_error("Transactions are begun and ended by requests here, not by statements"))
        }
        [statement] => Ok(statement),
        _ => Err(sql_error("One statement is expected")),
    }
}

/// Bounds the memory that SQLite takes for all sessions of this process, and for
/// whatever else uses the SQLite that is built in here: a statement that asks for more
/// answers `LIMIT_EXCEEDED`. For processes that run what others write.
///
/// # Errors
/// `SQL_ERROR` when SQLite cannot be started.
pub fn bound_memory(bytes: u32) -> Result<()> {
    let set = || Connection::open_in_memory()?.pragma_update(None, "hard_heap_limit", bytes);
    set().map_err(|error| crate::error::of(error, &Shared::default()))
}

fn read(scope: &Scope<'_>, statement: &Statement) -> Result<Output> {
    if let Kind::Describe(described) = &statement.kind {
        return Ok(described.run(scope));
    }
    let (columns, rows) = scope.rows(&statement.text).map_err(|error| statement.placed(error))?;
    let rows = answered(&columns, rows);
    Ok(Output { columns, rows, changes: 0, last_key: None })
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("store", &self.store)
            .field("in_transaction", &self.is_in_transaction())
            .finish_non_exhaustive()
    }
}
