//! BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE: what they say.

use std::sync::Arc;

use sqlparser::tokenizer::Token;
use tandem::{CommitOptions, CommitReceipt, Isolation, Transaction, TransactionOptions};
use tandem_base::{Error, Result};

use crate::output::sql_error;
use crate::session::Session;

/// What `sql` says about the transaction itself; `None` for any other statement.
///
/// # Errors
/// `SQL_ERROR` for what is not understood, and for several statements.
pub fn control(sql: &str) -> Result<Option<Control>> {
    crate::text::control(sql)
}

/// A statement about the transaction itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// `BEGIN [DEFERRED | IMMEDIATE | EXCLUSIVE] [TRANSACTION]
    /// [ISOLATION LEVEL …] [READ ONLY | READ WRITE]`. All begin at once, none
    /// keeps others out.
    Begin {
        /// The level, if it names one.
        isolation: Option<Isolation>,
        /// Whether writes are refused.
        read_only: bool,
    },
    /// `COMMIT` or `END`.
    Commit,
    /// `ROLLBACK`.
    Rollback,
    /// `SAVEPOINT name`.
    Savepoint(String),
    /// `ROLLBACK TO name`.
    RollbackTo(String),
    /// `RELEASE name`.
    Release(String),
}

impl Control {
    pub(crate) fn parse(words: &[&Token]) -> Result<Self> {
        let texts: Vec<String> = words.iter().map(|word| text(word)).collect();
        let upper: Vec<String> = texts.iter().map(|text| text.to_ascii_uppercase()).collect();
        let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
        let name = |at: usize| texts[at].to_lowercase();
        Ok(match upper.as_slice() {
            ["COMMIT" | "END"] | ["COMMIT" | "END", "TRANSACTION"] => Self::Commit,
            ["ROLLBACK"] | ["ROLLBACK", "TRANSACTION"] => Self::Rollback,
            ["SAVEPOINT", _] => Self::Savepoint(name(1)),
            ["RELEASE", _] => Self::Release(name(1)),
            ["RELEASE", "SAVEPOINT", _] => Self::Release(name(2)),
            ["ROLLBACK", "TO", _] => Self::RollbackTo(name(2)),
            ["ROLLBACK", "TO", "SAVEPOINT", _] | ["ROLLBACK", "TRANSACTION", "TO", _] => {
                Self::RollbackTo(name(3))
            }
            ["ROLLBACK", "TRANSACTION", "TO", "SAVEPOINT", _] => Self::RollbackTo(name(4)),
            ["BEGIN", rest @ ..] => Self::begin(rest)?,
            ["START", "TRANSACTION", rest @ ..] => Self::begin(rest)?,
            _ => return Err(unknown(&texts)),
        })
    }

    fn begin(words: &[&str]) -> Result<Self> {
        let (mut isolation, mut read_only) = (None, false);
        let mut rest = words;
        loop {
            let taken = match rest {
                [] => return Ok(Self::Begin { isolation, read_only }),
                [
                    "DEFERRED" | "IMMEDIATE" | "EXCLUSIVE" | "CONCURRENT" | "TRANSACTION" | ",",
                    ..,
                ] => 1,
                ["ISOLATION", "LEVEL", "READ", "COMMITTED", ..] => {
                    isolation = Some(Isolation::ReadCommitted);
                    4
                }
                ["ISOLATION", "LEVEL", "SNAPSHOT", ..] => {
                    isolation = Some(Isolation::Snapshot);
                    3
                }
                ["ISOLATION", "LEVEL", "REPEATABLE", "READ", ..] => {
                    isolation = Some(Isolation::Snapshot);
                    4
                }
                ["ISOLATION", "LEVEL", "SERIALIZABLE", ..] => {
                    isolation = Some(Isolation::Serializable);
                    3
                }
                ["READ", "ONLY", ..] => {
                    read_only = true;
                    2
                }
                ["READ", "WRITE", ..] => 2,
                [word, ..] => return Err(sql_error(format!("near \"{word}\": syntax error"))),
            };
            rest = &rest[taken..];
        }
    }
}

/// A word as it is meant: of a quoted name, what is between the quotes.
pub(crate) fn text(token: &Token) -> String {
    match token {
        Token::Word(word) => word.value.clone(),
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => text.clone(),
        other => other.to_string(),
    }
}

fn unknown(words: &[String]) -> Error {
    sql_error(format!("\"{}\": syntax error", words.join(" ")))
}

/// The transaction of a session, from its first statement to its last.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) transaction: Arc<Transaction>,
    /// A SAVEPOINT began it: RELEASE of the outermost one commits.
    by_savepoint: bool,
    /// The names of the savepoints that SQL has opened, outermost first.
    savepoints: Vec<String>,
}

impl Open {
    pub(crate) fn new(transaction: Arc<Transaction>) -> Self {
        Self { transaction, by_savepoint: false, savepoints: Vec::new() }
    }
}

impl Session {
    pub(crate) fn control(&self, control: &Control) -> Result<()> {
        match control {
            Control::Begin { isolation, read_only } => {
                let mut options = self.options().transaction.clone();
                if let Some(isolation) = isolation {
                    options = options.isolation(*isolation);
                }
                if *read_only {
                    options = options.read_only();
                }
                self.begin_with(&options)
            }
            Control::Commit => self.commit(),
            Control::Rollback => self.rollback(),
            Control::Savepoint(name) => self.savepoint(name),
            Control::RollbackTo(name) => self.rollback_to(name),
            Control::Release(name) => self.release(name),
        }
    }

    /// Begins a transaction, as `BEGIN` does.
    ///
    /// # Errors
    /// `SQL_ERROR` when one is open already; `LIMIT_EXCEEDED`.
    pub fn begin_with(&self, options: &TransactionOptions) -> Result<()> {
        let mut open = self.open();
        if open.is_some() {
            return Err(sql_error("cannot start a transaction within a transaction"));
        }
        *open = Some(Open::new(Arc::new(self.store().begin_with(options)?)));
        Ok(())
    }

    /// Commits, as `COMMIT` does. After a conflict the transaction stays, refusing
    /// everything but [`rollback`](Self::rollback).
    ///
    /// # Errors
    /// `SQL_ERROR` when none is open; as [`Transaction::commit`].
    pub fn commit(&self) -> Result<()> {
        self.commit_with(CommitOptions::new()).map(|_| ())
    }

    /// As [`commit`](Self::commit), with options and a receipt.
    ///
    /// # Errors
    /// As there.
    pub fn commit_with(&self, options: CommitOptions) -> Result<CommitReceipt> {
        let mut open = self.open();
        let transaction = match &*open {
            Some(open) => open.transaction.clone(),
            None => return Err(sql_error("cannot commit - no transaction is active")),
        };
        let receipt = transaction.finish(options)?;
        *open = None;
        Ok(receipt)
    }

    /// Rolls back, as `ROLLBACK` does.
    ///
    /// # Errors
    /// `SQL_ERROR` when no transaction is open.
    pub fn rollback(&self) -> Result<()> {
        match self.open().take() {
            Some(open) => {
                open.transaction.cancel();
                Ok(())
            }
            None => Err(sql_error("cannot rollback - no transaction is active")),
        }
    }

    fn savepoint(&self, name: &str) -> Result<()> {
        let begins = self.open().is_none();
        if begins {
            self.begin_with(&self.options().transaction.clone())?;
        }
        let mut open = self.open();
        let Some(open) = &mut *open else { return Ok(()) };
        open.by_savepoint |= begins;
        open.transaction.savepoint(name)?;
        open.savepoints.push(name.to_owned());
        Ok(())
    }

    fn rollback_to(&self, name: &str) -> Result<()> {
        let mut open = self.open();
        let found = open.as_mut().and_then(|open| {
            let at = open.savepoints.iter().rposition(|known| known == name)?;
            Some((open, at))
        });
        let Some((open, at)) = found else { return Err(no_savepoint(name)) };
        open.transaction.rollback_to(name)?;
        open.savepoints.truncate(at + 1);
        Ok(())
    }

    fn release(&self, name: &str) -> Result<()> {
        let mut open = self.open();
        let found = open.as_mut().and_then(|open| {
            let at = open.savepoints.iter().rposition(|known| known == name)?;
            Some((open, at))
        });
        let Some((inner, at)) = found else { return Err(no_savepoint(name)) };
        if at == 0 && inner.by_savepoint {
            drop(open);
            return self.commit();
        }
        inner.transaction.release(name)?;
        inner.savepoints.truncate(at);
        Ok(())
    }
}

fn no_savepoint(name: &str) -> Error {
    Error::new(tandem::Code::SavepointNotFound, format!("no such savepoint: {name}"))
        .with("savepoint", name)
}
