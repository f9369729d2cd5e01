//! The text of SQL: where one statement ends, and what kind it is.
//!
//! What reads goes to SQLite as it is written; everything else is parsed here,
//! because it is carried out by Tandem.

use std::sync::Arc;

use sqlparser::ast;
use sqlparser::dialect::SQLiteDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use tandem_base::{Error, Result};

use crate::control::{self, Control};
use crate::describe::Describe;
use crate::output::sql_error;
use crate::write::Writing;

/// One statement.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// As it was written.
    pub(crate) text: String,
    pub(crate) kind: Kind,
    /// Where it begins in what it was given with.
    start: Location,
}

impl Statement {
    /// An error whose place is counted from the statement's own beginning, counted
    /// from that of the whole text.
    pub(crate) fn placed(&self, error: Error) -> Error {
        let number = |field| error.detail(field).and_then(serde_json::Value::as_u64);
        let (Some(line), Some(column)) = (number("line"), number("column")) else { return error };
        let first = if line == 1 { self.start.column - 1 } else { 0 };
        error.with("line", line + self.start.line - 1).with("column", column + first)
    }
}

/// What has to be done for a statement.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// SQLite runs it over virtual tables.
    Read,
    /// Tells what a table is.
    Describe(Describe),
    /// INSERT, UPDATE, DELETE.
    Write(Arc<Writing>),
    /// CREATE, ALTER, DROP.
    Define(Box<ast::Statement>),
    /// BEGIN, COMMIT, SAVEPOINT and so on.
    Control(Control),
}

/// The statements of `sql`. What is not understood is refused before anything
/// is run.
///
/// # Errors
/// `SQL_ERROR` with `line` and `column` (from 1).
pub(crate) fn statements(sql: &str) -> Result<Vec<Statement>> {
    let tokens = tokens(sql)?;
    let lines = Lines::of(sql);
    tokens
        .split(|token| token.token == Token::SemiColon)
        .filter_map(|tokens| {
            let first = tokens.iter().find(|token| !is_blank(&token.token))?;
            let last = tokens.iter().rfind(|token| !is_blank(&token.token))?;
            let (start, end) = (lines.offset(first.span.start), lines.offset(last.span.end));
            let text = sql.get(start..end)?.to_owned();
            Some(kind(tokens, &lines).map(|kind| Statement { text, kind, start: first.span.start }))
        })
        .collect()
}

/// The statements of `sql` one by one, as they are written, each with the line (from
/// 1) that it begins on. What they say is not looked at.
///
/// ```
/// # fn main() -> tandem::Result<()> {
/// let parts = tandem_sql::split("SELECT ';';\nSELECT 2 -- two\n; ;")?;
/// assert_eq!(parts, [(1, "SELECT ';'"), (2, "SELECT 2")]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `SQL_ERROR` with `line` and `column` for a string or a comment without an end.
pub fn split(sql: &str) -> Result<Vec<(u64, &str)>> {
    let tokens = tokens(sql)?;
    let lines = Lines::of(sql);
    let part = |tokens: &[TokenWithSpan]| {
        let first = tokens.iter().find(|token| !is_blank(&token.token))?;
        let last = tokens.iter().rfind(|token| !is_blank(&token.token))?;
        let (start, end) = (lines.offset(first.span.start), lines.offset(last.span.end));
        Some((first.span.start.line, sql.get(start..end)?))
    };
    Ok(tokens.split(|token| token.token == Token::SemiColon).filter_map(part).collect())
}

/// See [`crate::control`].
pub(crate) fn control(sql: &str) -> Result<Option<Control>> {
    let tokens = tokens(sql)?;
    let words: Vec<&Token> =
        tokens.iter().map(|token| &token.token).filter(|token| !is_blank(token)).collect();
    let words = match words.as_slice() {
        [words @ .., Token::SemiColon] => words,
        words => words,
    };
    match words.first() {
        Some(Token::Word(word)) if is_control(word.keyword) => Control::parse(words).map(Some),
        _ => Ok(None),
    }
}

fn is_control(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::BEGIN
            | Keyword::START
            | Keyword::COMMIT
            | Keyword::END
            | Keyword::ROLLBACK
            | Keyword::SAVEPOINT
            | Keyword::RELEASE
    )
}

/// Whether `sql` only reads, as its words show without its being parsed. Of what
/// this does not see, some reads all the same: what only reads may not be told from
/// what writes by a column named `update`.
///
/// ```
/// assert!(tandem_sql::seems_to_read(" select 1"));
/// assert!(tandem_sql::seems_to_read("WITH a AS (SELECT 1) SELECT * FROM a"));
/// assert!(!tandem_sql::seems_to_read("WITH a AS (SELECT 1) DELETE FROM b"));
/// assert!(!tandem_sql::seems_to_read("/* select */ DELETE FROM b"));
/// ```
#[must_use]
pub fn seems_to_read(sql: &str) -> bool {
    // What a comment says before it is not the statement's word.
    let mut words = sql.trim_start().split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let is_among = |word: &str, known: &[&str]| known.iter().any(|k| word.eq_ignore_ascii_case(k));
    let first = words.next().unwrap_or_default();
    is_among(first, &["select", "values", "explain", "pragma"])
        || is_among(first, &["with"])
            && !words.any(|word| is_among(word, &["insert", "update", "delete", "replace"]))
}

/// Whether `sql` is over: it ends with a semicolon, or is empty. What it ends in
/// may be an unfinished string or comment.
#[must_use]
pub fn is_complete(sql: &str) -> bool {
    match tokens(sql) {
        Ok(tokens) => tokens
            .iter()
            .rfind(|token| !is_blank(&token.token))
            .is_none_or(|token| token.token == Token::SemiColon),
        Err(_) => false,
    }
}

fn is_blank(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_) | Token::EOF)
}

fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>> {
    Tokenizer::new(&SQLiteDialect {}, sql)
        .tokenize_with_location()
        .map_err(|error| at(sql_error(error.message), error.location))
}

fn at(error: Error, place: Location) -> Error {
    error.with("line", place.line).with("column", place.column)
}

fn kind(tokens: &[TokenWithSpan], lines: &Lines<'_>) -> Result<Kind> {
    let words: Vec<&Token> =
        tokens.iter().map(|token| &token.token).filter(|token| !is_blank(token)).collect();
    let keyword = |at: usize| match words.get(at) {
        Some(Token::Word(word)) => word.keyword,
        _ => Keyword::NoKeyword,
    };
    match keyword(0) {
        Keyword::SELECT | Keyword::VALUES => return Ok(Kind::Read),
        Keyword::EXPLAIN => return explain(&words),
        Keyword::PRAGMA => return pragma(&words),
        word if is_control(word) => return Control::parse(&words).map(Kind::Control),
        Keyword::WITH if !with_writes(&words) => return Ok(Kind::Read),
        Keyword::CREATE | Keyword::DROP | Keyword::ALTER => refuse_by_name(&words)?,
        Keyword::INSERT | Keyword::REPLACE | Keyword::UPDATE | Keyword::DELETE | Keyword::WITH => {}
        _ => {
            let word = words.first().map(ToString::to_string).unwrap_or_default();
            return Err(at(
                match keyword(0) {
                    Keyword::NoKeyword => sql_error(format!("near \"{word}\": syntax error")),
                    _ => sql_error(format!("{word} is not supported")),
                },
                tokens
                    .iter()
                    .find(|token| !is_blank(&token.token))
                    .map_or(Location::new(1, 1), |token| token.span.start),
            ));
        }
    }
    match keyword(0) {
        Keyword::CREATE | Keyword::DROP | Keyword::ALTER => {
            if Depth::of(tokens)?.operators > SHALLOW {
                return Err(sql_error(format!(
                    "Expression tree is too large (maximum depth {SHALLOW})"
                )));
            }
            with_room(tokens, || parse(tokens)).map(|statement| Kind::Define(Box::new(statement)))
        }
        _ => with_room(tokens, || Writing::parse(tokens, lines))
            .map(|writing| Kind::Write(Arc::new(writing))),
    }
}

/// Refuses definitions of what Tandem does not have, and whose bodies need not be
/// understood for it.
fn refuse_by_name(words: &[&Token]) -> Result<()> {
    let mut texts = words.iter().map(|word| word.to_string().to_ascii_uppercase());
    let verb = texts.next().unwrap_or_default();
    let what = texts.find(|word| !matches!(word.as_str(), "TEMP" | "TEMPORARY"));
    match what.as_deref() {
        Some(what @ ("VIEW" | "TRIGGER")) => {
            Err(sql_error(format!("{verb} {what} is not supported")))
        }
        _ => Ok(()),
    }
}

/// `EXPLAIN [QUERY PLAN]` of what reads. SQLite carries out some statements while it
/// compiles them (PRAGMA), so to explain those is to run them; and it has no plan
/// for what Tandem carries out.
fn explain(words: &[&Token]) -> Result<Kind> {
    let word = |at: usize| match words.get(at) {
        Some(Token::Word(word)) => word.value.to_ascii_uppercase(),
        other => other.map(ToString::to_string).unwrap_or_default(),
    };
    let rest = if word(1) == "QUERY" && word(2) == "PLAN" { 3 } else { 1 };
    match word(rest).as_str() {
        "SELECT" | "VALUES" => Ok(Kind::Read),
        "WITH" if !with_writes(&words[rest..]) => Ok(Kind::Read),
        other => Err(sql_error(format!("EXPLAIN of {other} is not supported"))),
    }
}

/// Those that tell what a table is and change nothing.
fn pragma(words: &[&Token]) -> Result<Kind> {
    const KNOWN: [&str; 4] = ["table_info", "table_xinfo", "table_list", "compile_options"];
    let name = words.get(1).map(ToString::to_string).unwrap_or_default();
    if KNOWN.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
        let whole = match name.to_ascii_lowercase().as_str() {
            "table_info" => false,
            "table_xinfo" => true,
            _ => return Ok(Kind::Read),
        };
        return Ok(match &words[2..] {
            [Token::LParen, table, Token::RParen] | [Token::Eq, table] => {
                Kind::Describe(Describe { table: control::text(table), whole })
            }
            _ => Kind::Read,
        });
    }
    Err(sql_error(format!("PRAGMA {name} is not supported")).with("pragma", name))
}

/// Whether a statement that begins with WITH goes on with an INSERT, UPDATE or
/// DELETE: the first such word outside parentheses.
fn with_writes(words: &[&Token]) -> bool {
    let mut depth = 0_u32;
    words.iter().any(|token| {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 && word.quote_style.is_none() => {
                return matches!(
                    word.keyword,
                    Keyword::INSERT | Keyword::UPDATE | Keyword::DELETE | Keyword::REPLACE
                );
            }
            _ => {}
        }
        false
    })
}

/// The one statement that the tokens are.
pub(crate) fn parse(tokens: &[TokenWithSpan]) -> Result<ast::Statement> {
    let mut parser = Parser::new(&SQLiteDialect {}).with_tokens_with_locations(tokens.to_vec());
    let statement = parser.parse_statement().map_err(|error| not_parsed(&error))?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        return Err(at(
            sql_error(format!("near \"{}\": syntax error", rest.token)),
            rest.span.start,
        ));
    }
    Ok(statement)
}

/// SQLite's bound of the depth of an expression.
const MOST_OPERATORS: usize = 1_000;

/// SQLite's bound of what UNION and the like join.
const MOST_SELECTS: usize = 500;

/// A tree of that many operators is walked on any stack.
const SHALLOW: usize = 60;

/// To parse a level of what the parser enters by calling itself takes the stack of so
/// many operators: up to 100 KiB where it is not optimised, as in a debug build.
const LEVEL: usize = 4;

/// Does `work`, which parses these tokens, where the stack suffices for it. The
/// parser bounds parentheses, but makes a chain of operators a tree that is as deep
/// as the chain is long, and whoever walks or drops it goes down all of it.
///
/// # Errors
/// `SQL_ERROR` for what is deeper than SQLite allows; those of `work`.
pub(crate) fn with_room<T: Send>(
    tokens: &[TokenWithSpan],
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    const STACK_BYTES: usize = 64 << 20;
    let Depth { operators, levels } = Depth::of(tokens)?;
    if operators + LEVEL * levels <= SHALLOW {
        return work();
    }
    std::thread::scope(|scope| {
        let roomy = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let done = roomy.ok().and_then(|thread| thread.join().ok());
        done.unwrap_or_else(|| Err(sql_error("Expression tree is too large")))
    })
}

/// No tree that is parsed of some tokens is deeper.
struct Depth {
    operators: usize,
    /// Parentheses within each other, CASEs and operators before what they are of.
    levels: usize,
}

impl Depth {
    fn of(tokens: &[TokenWithSpan]) -> Result<Self> {
        /// Of one parenthesis: operators of the present expression, the most of those
        /// before it, selects.
        #[derive(Default)]
        struct Level {
            operators: usize,
            most: usize,
            selects: usize,
        }
        let mut levels = vec![Level::default()];
        let (mut parentheses, mut others) = (0, 0);
        let mut after_operand = false;
        for token in tokens {
            let Some(level) = levels.last_mut() else { break };
            let ended = match &token.token {
                Token::LParen => {
                    levels.push(Level::default());
                    parentheses = parentheses.max(levels.len() - 1);
                    after_operand = false;
                    continue;
                }
                Token::RParen => {
                    let inner = level.operators.max(level.most).max(level.selects);
                    if levels.len() > 1 {
                        levels.pop();
                    }
                    if let Some(outer) = levels.last_mut() {
                        outer.operators += inner;
                    }
                    after_operand = true;
                    continue;
                }
                Token::Whitespace(_) => continue,
                Token::Minus | Token::Plus | Token::Tilde | Token::ExclamationMark => {
                    // Before an operand, the parser calls itself for what follows.
                    others += usize::from(!after_operand);
                    level.operators += 1;
                    false
                }
                Token::Comma => true,
                Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                    Keyword::AND
                    | Keyword::OR
                    | Keyword::NOT
                    | Keyword::IS
                    | Keyword::IN
                    | Keyword::LIKE
                    | Keyword::ILIKE
                    | Keyword::GLOB
                    | Keyword::REGEXP
                    | Keyword::MATCH
                    | Keyword::BETWEEN
                    | Keyword::COLLATE
                    | Keyword::NOTNULL => {
                        others += usize::from(word.keyword == Keyword::NOT);
                        level.operators += 1;
                        false
                    }
                    Keyword::CASE => {
                        others += 1;
                        true
                    }
                    Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => {
                        level.selects += 1;
                        true
                    }
                    Keyword::SELECT
                    | Keyword::FROM
                    | Keyword::WHERE
                    | Keyword::WHEN
                    | Keyword::THEN
                    | Keyword::ELSE
                    | Keyword::ON
                    | Keyword::SET => true,
                    _ => false,
                },
                Token::Word(_)
                | Token::Number(..)
                | Token::SingleQuotedString(_)
                | Token::HexStringLiteral(_)
                | Token::Placeholder(_)
                | Token::Period
                | Token::EOF => false,
                _ => {
                    level.operators += 1;
                    false
                }
            };
            after_operand = match &token.token {
                Token::Word(word) => word.keyword == Keyword::NoKeyword,
                Token::Number(..)
                | Token::SingleQuotedString(_)
                | Token::HexStringLiteral(_)
                | Token::Placeholder(_) => true,
                _ => false,
            };
            if ended {
                level.most = level.most.max(level.operators);
                level.operators = 0;
            }
            if level.operators > MOST_OPERATORS {
                return Err(sql_error("Expression tree is too large (maximum depth 1000)"));
            }
            if level.selects >= MOST_SELECTS {
                return Err(sql_error("too many terms in compound SELECT"));
            }
        }
        let deepest = |level: &Level| level.operators.max(level.most).max(level.selects);
        let operators = levels.iter().map(deepest).sum();
        Ok(Self { operators, levels: parentheses + others })
    }
}

/// The parser has the place of an error in the text of its message alone.
fn not_parsed(error: &ParserError) -> Error {
    let said = match error {
        ParserError::ParserError(said) | ParserError::TokenizerError(said) => said.as_str(),
        ParserError::RecursionLimitExceeded => "The statement is nested too deeply",
    };
    let place = said.rsplit_once(" at Line: ").and_then(|(message, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((message, Location::new(line.parse().ok()?, column.parse().ok()?)))
    });
    match place {
        Some((message, place)) => at(sql_error(message.to_owned()), place),
        None => sql_error(said.to_owned()),
    }
}

/// Where the lines of a text begin.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect() }
    }

    /// What is written between two places.
    pub(crate) fn between(&self, start: Location, end: Location) -> String {
        self.text.get(self.offset(start)..self.offset(end)).unwrap_or_default().to_owned()
    }

    /// The byte at a place that is counted in lines and characters, from 1.
    fn offset(&self, place: Location) -> usize {
        let line = usize::try_from(place.line).unwrap_or(1).max(1);
        let column = usize::try_from(place.column).unwrap_or(1).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(self.text.len());
        let rest = &self.text[start..];
        start + rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at)
    }
}
