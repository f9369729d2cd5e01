//! A writing statement, taken apart once: what is left for SQLite is kept as the
//! text that it will be given.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, Ident, SqliteOnConflict};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};
use tandem_base::Result;

use crate::output::sql_error;
use crate::table::quoted;
use crate::text::Lines;
use crate::write::dialect;
use crate::write::expression::{Constant, Numbered, keyword, of_one_row};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) table: String,
    /// What the statement's expressions call the table.
    pub(crate) alias: String,
    pub(crate) action: Action,
    pub(crate) parameters: Numbered,
    /// What RETURNING lists.
    pub(crate) returning: Option<Vec<Item>>,
}

#[derive(Debug)]
pub(crate) enum Action {
    Insert(Insert),
    Update(Update),
    Delete(Delete),
}

/// What a broken constraint does: <https://sqlite.org/lang_conflict.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    Abort,
    Rollback,
    Fail,
    Ignore,
    Replace,
}

#[derive(Debug)]
pub(crate) struct Insert {
    pub(crate) columns: Vec<String>,
    pub(crate) source: Source,
    pub(crate) resolution: Resolution,
    pub(crate) clauses: Vec<Clause>,
}

/// Where the rows of an insert come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// `DEFAULT VALUES`.
    Defaults,
    /// `VALUES` of constants and parameters.
    Constants(Vec<Vec<Constant>>),
    /// Anything else.
    Query(String),
}

/// `ON CONFLICT …`.
#[derive(Debug)]
pub(crate) struct Clause {
    /// The columns of its target.
    pub(crate) target: Option<Vec<String>>,
    /// Whether the target says WHERE, as it has to for a partial index.
    pub(crate) has_condition: bool,
    /// What `DO UPDATE` sets; `None` = `DO NOTHING`.
    pub(crate) update: Option<Upsert>,
}

/// `DO UPDATE SET … WHERE …`; `excluded.a` is called `excluded."excluded a"`
/// there, so that `a` alone is the table's.
#[derive(Debug)]
pub(crate) struct Upsert {
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) condition: Option<String>,
    /// The columns of `excluded` that are used.
    pub(crate) excluded: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) with: String,
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) resolution: Resolution,
    /// What follows the table in FROM.
    pub(crate) from: String,
    /// WHERE and what follows it.
    pub(crate) rest: String,
}

#[derive(Debug)]
pub(crate) struct Delete {
    pub(crate) with: String,
    pub(crate) rest: String,
}

/// A column and the expression that it gets.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) column: String,
    pub(crate) expression: String,
}

/// One item of RETURNING.
#[derive(Debug)]
pub(crate) enum Item {
    Star,
    /// A column by its bare or qualified name.
    Column {
        name: String,
        alias: Option<String>,
    },
    Expression {
        text: String,
        name: String,
    },
}

impl Writing {
    /// The statement that the tokens are; `text` is what they were read from.
    pub(crate) fn parse(tokens: &[TokenWithSpan], lines: &Lines<'_>) -> Result<Self> {
        let solid = dialect::translated(tokens, lines)?;
        let shown = returned_texts(&solid, lines);
        let (parameters, mut solid) = Numbered::rewrite(&solid)?;
        let alias = take_alias(&mut solid);
        let clauses = take_clauses(&mut solid)?;
        let (with, statement) = match dialect::parse(&solid)? {
            ast::Statement::Query(query) => {
                let with = query.with.map(|with| format!("{with} ")).unwrap_or_default();
                match *query.body {
                    ast::SetExpr::Insert(statement)
                    | ast::SetExpr::Update(statement)
                    | ast::SetExpr::Delete(statement) => (with, statement),
                    other => return Err(sql_error(format!("not supported: {other}"))),
                }
            }
            statement => (String::new(), statement),
        };
        let mut writing = match statement {
            ast::Statement::Insert(insert) => Self::insert(&with, insert, alias, clauses, &shown)?,
            ast::Statement::Update(update) => Self::update(with, update, &shown)?,
            ast::Statement::Delete(delete) => Self::delete(with, delete, &shown)?,
            other => return Err(sql_error(format!("not supported: {other}"))),
        };
        writing.parameters = parameters;
        Ok(writing)
    }

    fn insert(
        with: &str,
        insert: ast::Insert,
        alias: Option<String>,
        clauses: Vec<Clause>,
        shown: &[String],
    ) -> Result<Self> {
        let ast::TableObject::TableName(name) = &insert.table else {
            return Err(sql_error(format!("not supported: INSERT INTO {}", insert.table)));
        };
        let table = table_name(name)?;
        let columns = insert.columns.iter().map(column_name).collect::<Result<Vec<_>>>()?;
        let source = match insert.source {
            None => Source::Defaults,
            Some(query) => source(with, &query)?,
        };
        let is_replace = matches!(&insert.insert_token.0.token,
            Token::Word(word) if word.keyword == Keyword::REPLACE);
        let resolution = if is_replace { Resolution::Replace } else { Resolution::of(insert.or) };
        Ok(Self {
            alias: alias.unwrap_or_else(|| table.clone()),
            table,
            action: Action::Insert(Insert { columns, source, resolution, clauses }),
            parameters: Numbered::default(),
            returning: insert.returning.map(|items| returning(items, shown)).transpose()?,
        })
    }

    fn update(with: String, update: ast::Update, shown: &[String]) -> Result<Self> {
        let (table, alias) = target(&update.table)?;
        let from = match update.from {
            None => String::new(),
            Some(ast::UpdateTableFromKind::AfterSet(from)) => {
                from.iter().map(|from| format!(", {from}")).collect()
            }
            Some(ast::UpdateTableFromKind::BeforeSet(_)) => {
                return Err(sql_error("near \"FROM\": syntax error"));
            }
        };
        let rest = rest(update.selection.as_ref(), &update.order_by, update.limit.as_ref());
        let action = Action::Update(Update {
            with,
            assignments: assignments(update.assignments)?,
            resolution: Resolution::of(update.or),
            from,
            rest,
        });
        let returning = update.returning.map(|items| returning(items, shown)).transpose()?;
        Ok(Self { table, alias, action, parameters: Numbered::default(), returning })
    }

    fn delete(with: String, delete: ast::Delete, shown: &[String]) -> Result<Self> {
        let from = match &delete.from {
            ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from) => from,
        };
        let ([from], true, None) = (from.as_slice(), delete.tables.is_empty(), &delete.using)
        else {
            return Err(sql_error("DELETE is from one table"));
        };
        let (table, alias) = target(from)?;
        let rest = rest(delete.selection.as_ref(), &delete.order_by, delete.limit.as_ref());
        let returning = delete.returning.map(|items| returning(items, shown)).transpose()?;
        let action = Action::Delete(Delete { with, rest });
        Ok(Self { table, alias, action, parameters: Numbered::default(), returning })
    }
}

impl Resolution {
    fn of(or: Option<SqliteOnConflict>) -> Self {
        match or {
            None | Some(SqliteOnConflict::Abort) => Self::Abort,
            Some(SqliteOnConflict::Rollback) => Self::Rollback,
            Some(SqliteOnConflict::Fail) => Self::Fail,
            Some(SqliteOnConflict::Ignore) => Self::Ignore,
            Some(SqliteOnConflict::Replace) => Self::Replace,
        }
    }
}

fn source(with: &str, query: &ast::Query) -> Result<Source> {
    if let ast::SetExpr::Values(values) = &*query.body {
        let width = values.rows.first().map_or(0, |row| row.content.len());
        if values.rows.iter().any(|row| row.content.len() != width) {
            return Err(sql_error("all VALUES must have the same number of terms"));
        }
        if query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() {
            let row = |row: &ast::Parens<Vec<Expr>>| row.content.iter().map(Constant::of).collect();
            if let Some(rows) = values.rows.iter().map(row).collect() {
                return Ok(Source::Constants(rows));
            }
        }
    }
    if !with.is_empty() && query.with.is_some() {
        return Ok(Source::Query(format!("{with}SELECT * FROM ({query})")));
    }
    Ok(Source::Query(format!("{with}{query}")))
}

fn rest(condition: Option<&Expr>, order: &[ast::OrderByExpr], limit: Option<&Expr>) -> String {
    let mut rest = String::new();
    if let Some(condition) = condition {
        rest += &format!(" WHERE {condition}");
    }
    if !order.is_empty() {
        let order: Vec<String> = order.iter().map(ToString::to_string).collect();
        rest += &format!(" ORDER BY {}", order.join(", "));
    }
    if let Some(limit) = limit {
        rest += &format!(" LIMIT {limit}");
    }
    rest
}

/// The table that is written to, and what it is called.
fn target(table: &ast::TableWithJoins) -> Result<(String, String)> {
    let ast::TableFactor::Table { name, alias, args: None, .. } = &table.relation else {
        return Err(sql_error(format!("not supported: {table}")));
    };
    if !table.joins.is_empty() {
        return Err(sql_error(format!("not supported: {table}")));
    }
    let name = table_name(name)?;
    let alias = alias.as_ref().map_or_else(|| name.clone(), |alias| alias.name.value.clone());
    Ok((name, alias))
}

fn table_name(name: &ast::ObjectName) -> Result<String> {
    let parts = identifiers(name)?;
    match parts.as_slice() {
        [name] => Ok(name.value.clone()),
        [schema, name] if schema.value.eq_ignore_ascii_case("main") => Ok(name.value.clone()),
        _ => Err(sql_error(format!("no such table: {name}"))),
    }
}

fn column_name(name: &ast::ObjectName) -> Result<String> {
    match identifiers(name)?.as_slice() {
        [name] => Ok(name.value.clone()),
        _ => Err(sql_error(format!("near \"{name}\": a plain column is expected"))),
    }
}

fn identifiers(name: &ast::ObjectName) -> Result<Vec<&Ident>> {
    let identifiers = name.0.iter().map(ast::ObjectNamePart::as_ident);
    identifiers
        .collect::<Option<_>>()
        .ok_or_else(|| sql_error(format!("near \"{name}\": a name is expected")))
}

/// One by one; of those to one column the last counts.
fn assignments(parsed: Vec<ast::Assignment>) -> Result<Vec<Assignment>> {
    let mut all: Vec<Assignment> = Vec::with_capacity(parsed.len());
    let mut add = |column: String, expression: String| {
        all.retain(|known| !known.column.eq_ignore_ascii_case(&column));
        all.push(Assignment { column, expression });
    };
    for ast::Assignment { target, value } in parsed {
        of_one_row(&value)?;
        let columns = match target {
            ast::AssignmentTarget::ColumnName(name) => {
                add(column_name(&name)?, value.to_string());
                continue;
            }
            ast::AssignmentTarget::Tuple(names) => {
                names.iter().map(column_name).collect::<Result<Vec<_>>>()?
            }
        };
        let count = columns.len();
        let expressions: Vec<String> = match value {
            Expr::Tuple(values) => values.iter().map(ToString::to_string).collect(),
            Expr::Nested(value) if count == 1 => vec![value.to_string()],
            Expr::Subquery(query) => {
                let names: Vec<String> = (1..=count).map(|at| format!("c{at}")).collect();
                let list = names.join(", ");
                names
                    .iter()
                    .map(|name| {
                        format!("(WITH assigned({list}) AS ({query}) SELECT {name} FROM assigned)")
                    })
                    .collect()
            }
            value => vec![value.to_string()],
        };
        if expressions.len() != count {
            let actual = expressions.len();
            return Err(sql_error(format!("{count} columns assigned {actual} values")));
        }
        columns.into_iter().zip(expressions).for_each(|(column, value)| add(column, value));
    }
    Ok(all)
}

// -------------------------------------------------------------------- ON CONFLICT

/// Takes `AS alias` out of an INSERT: the parser does not know it there.
fn take_alias(tokens: &mut Vec<TokenWithSpan>) -> Option<String> {
    let into = outside(tokens, |at| keyword(&tokens[at].token) == Keyword::INTO).next()?;
    let mut at = into + 2;
    if tokens.get(at).is_some_and(|token| token.token == Token::Period) {
        at += 2;
    }
    if keyword(&tokens.get(at)?.token) != Keyword::AS {
        return None;
    }
    let Token::Word(word) = &tokens.get(at + 1)?.token else { return None };
    let alias = word.value.clone();
    tokens.drain(at..at + 2);
    Some(alias)
}

/// Takes the ON CONFLICT clauses out of an INSERT: the parser knows only one, so
/// each is parsed on its own.
fn take_clauses(tokens: &mut Vec<TokenWithSpan>) -> Result<Vec<Clause>> {
    let starts: Vec<usize> = outside(tokens, |at| {
        keyword(&tokens[at].token) == Keyword::ON
            && tokens.get(at + 1).is_some_and(|next| keyword(&next.token) == Keyword::CONFLICT)
            // Otherwise a column of that name, in the ON of a join.
            && tokens.get(at + 2).is_some_and(|next| {
                next.token == Token::LParen || keyword(&next.token) == Keyword::DO
            })
    })
    .collect();
    let (Some(&first), Some(&last)) = (starts.first(), starts.last()) else {
        return Ok(Vec::new());
    };
    let end = outside(tokens, |at| keyword(&tokens[at].token) == Keyword::RETURNING)
        .next()
        .unwrap_or(tokens.len());
    if end < last {
        return Err(sql_error("near \"ON\": syntax error"));
    }
    let ends = starts.iter().skip(1).copied().chain([end]);
    let clauses = starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| clause(&tokens[start..end]))
        .collect::<Result<Vec<_>>>()?;
    if clauses.iter().rev().skip(1).any(|clause| clause.target.is_none()) {
        return Err(sql_error("Only the last ON CONFLICT may be without a target"));
    }
    tokens.drain(first..end);
    Ok(clauses)
}

fn clause(tokens: &[TokenWithSpan]) -> Result<Clause> {
    let words = ["INSERT", "INTO", "t", "DEFAULT", "VALUES"]
        .map(|word| TokenWithSpan { token: Token::make_word(word, None), span: Span::empty() });
    let all: Vec<TokenWithSpan> = words.into_iter().chain(tokens.iter().cloned()).collect();
    let ast::Statement::Insert(ast::Insert {
        on: Some(ast::OnInsert::OnConflict(ast::OnConflict { conflict_target, action })),
        ..
    }) = dialect::parse(&all)?
    else {
        return Err(sql_error("near \"ON\": syntax error"));
    };
    let (target, has_condition) = match conflict_target {
        None => (None, false),
        Some(ast::ConflictTarget::Columns { columns, predicate }) => {
            let names = columns.into_iter().map(|column| column.value).collect();
            (Some(names), predicate.is_some())
        }
        Some(other) => return Err(sql_error(format!("near \"{other}\": syntax error"))),
    };
    let update = match action {
        ast::OnConflictAction::DoNothing => None,
        ast::OnConflictAction::DoUpdate(mut update) => {
            let mut excluded: Vec<String> = Vec::new();
            let _ = ast::visit_expressions_mut(&mut update, |expression| {
                if let Expr::CompoundIdentifier(parts) = expression
                    && let [table, column] = parts.as_mut_slice()
                    && table.value.eq_ignore_ascii_case("excluded")
                {
                    let name = column.value.to_lowercase();
                    *column = Ident::with_quote('"', excluded_name(&name));
                    if !excluded.contains(&name) {
                        excluded.push(name);
                    }
                }
                ControlFlow::<()>::Continue(())
            });
            Some(Upsert {
                assignments: assignments(update.assignments)?,
                condition: update.selection.map(|condition| condition.to_string()),
                excluded,
            })
        }
    };
    Ok(Clause { target, has_condition, update })
}

/// What a column of `excluded` is called in the text for SQLite.
pub(crate) fn excluded_name(column: &str) -> String {
    format!("excluded {column}")
}

/// The places outside parentheses where something stands.
fn outside<'a>(
    tokens: &'a [TokenWithSpan],
    is_it: impl Fn(usize) -> bool + 'a,
) -> impl Iterator<Item = usize> + 'a {
    let mut depth = 0_u32;
    (0..tokens.len()).filter(move |at| {
        match tokens[*at].token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && is_it(*at)
    })
}

// ---------------------------------------------------------------------- RETURNING

/// The items of RETURNING as they were written: an expression without a name is
/// called by its text.
fn returned_texts(tokens: &[TokenWithSpan], lines: &Lines<'_>) -> Vec<String> {
    let Some(start) = outside(tokens, |at| keyword(&tokens[at].token) == Keyword::RETURNING).next()
    else {
        return Vec::new();
    };
    let rest = &tokens[start + 1..];
    let end = outside(rest, |at| {
        matches!(keyword(&rest[at].token), Keyword::ORDER | Keyword::LIMIT)
            || rest[at].token == Token::EOF
    })
    .next()
    .unwrap_or(rest.len());
    let rest = &rest[..end];
    let mut bounds: Vec<usize> = outside(rest, |at| rest[at].token == Token::Comma).collect();
    bounds.push(rest.len());
    let mut from = 0;
    bounds
        .into_iter()
        .map(|to| {
            let item = &rest[from..to];
            from = to + 1;
            match (item.first(), item.last()) {
                (Some(first), Some(last)) => lines.between(first.span.start, last.span.end),
                _ => String::new(),
            }
        })
        .collect()
}

fn returning(items: Vec<ast::SelectItem>, shown: &[String]) -> Result<Vec<Item>> {
    let name = |expression: &Expr| match expression {
        Expr::Identifier(name) => Some(name.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|name| name.value.clone()),
        _ => None,
    };
    items
        .into_iter()
        .enumerate()
        .map(|(at, item)| match item {
            ast::SelectItem::Wildcard(_) => Ok(Item::Star),
            ast::SelectItem::UnnamedExpr(expression) => {
                of_one_row(&expression)?;
                Ok(match name(&expression) {
                    Some(name) => Item::Column { name, alias: None },
                    None => {
                        let text = expression.to_string();
                        Item::Expression { name: shown.get(at).unwrap_or(&text).clone(), text }
                    }
                })
            }
            ast::SelectItem::ExprWithAlias { expr, alias } => {
                of_one_row(&expr)?;
                Ok(match name(&expr) {
                    Some(name) => Item::Column { name, alias: Some(alias.value) },
                    None => Item::Expression { text: expr.to_string(), name: alias.value },
                })
            }
            ast::SelectItem::QualifiedWildcard(..) => {
                Err(sql_error("RETURNING may not use \"TABLE.*\" wildcards"))
            }
            other @ ast::SelectItem::ExprWithAliases { .. } => {
                Err(sql_error(format!("not supported: {other}")))
            }
        })
        .collect()
}

/// The name of a table or an alias, in a text for SQLite.
pub(crate) fn named(table: &str, alias: &str) -> String {
    if table == alias { quoted(table) } else { format!("{} AS {}", quoted(table), quoted(alias)) }
}
