//! Parameters and constants.
//!
//! A statement is carried out in pieces, each a text of its own to SQLite, which
//! would number the parameters of each anew. So all of them become `?N` before
//! anything is parsed, by SQLite's rule: `?` is one more than the largest so far,
//! a name is that for its first use.

use std::borrow::Cow;
use std::ops::ControlFlow;

use sqlparser::ast::{self, Visit, Visitor};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};
use tandem_base::Result;

use crate::output::sql_error;
use crate::parameters::Parameters;
use crate::value::Value;

/// SQLite's bound of parameters.
const MOST_PARAMETERS: usize = 32_766;

/// The parameters of a statement, from `?1`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbered(Vec<Slot>);

#[derive(Clone, Debug, PartialEq)]
enum Slot {
    /// A number that the statement skips.
    Unused,
    Plain,
    Named(String),
}

impl Numbered {
    /// Rewrites the parameters among the tokens.
    pub(crate) fn rewrite(tokens: &[TokenWithSpan]) -> Result<(Self, Vec<TokenWithSpan>)> {
        let mut numbered = Self::default();
        let mut rewritten = Vec::with_capacity(tokens.len());
        let mut rest = tokens.iter().peekable();
        while let Some(token) = rest.next() {
            let number = match &token.token {
                Token::Placeholder(text) => match text.strip_prefix('?') {
                    Some("") => numbered.add(Slot::Plain)?,
                    Some(number) => numbered.at(number)?,
                    None => numbered.named(text)?,
                },
                sign @ (Token::Colon | Token::AtSign) => {
                    match rest.peek().map(|next| &next.token) {
                        Some(Token::Word(word)) if word.quote_style.is_none() => {
                            rest.next();
                            numbered.named(&format!("{sign}{}", word.value))?
                        }
                        _ => {
                            rewritten.push(token.clone());
                            continue;
                        }
                    }
                }
                _ => {
                    rewritten.push(token.clone());
                    continue;
                }
            };
            let placeholder = Token::Placeholder(format!("?{number}"));
            rewritten.push(TokenWithSpan { token: placeholder, span: token.span });
        }
        Ok((numbered, rewritten))
    }

    fn add(&mut self, slot: Slot) -> Result<usize> {
        if self.0.len() >= MOST_PARAMETERS {
            return Err(sql_error("too many SQL variables"));
        }
        self.0.push(slot);
        Ok(self.0.len())
    }

    fn named(&mut self, name: &str) -> Result<usize> {
        let slot = Slot::Named(name.to_owned());
        match self.0.iter().position(|known| *known == slot) {
            Some(at) => Ok(at + 1),
            None => self.add(slot),
        }
    }

    fn at(&mut self, number: &str) -> Result<usize> {
        let number = number.parse().unwrap_or(0);
        if !(1..=MOST_PARAMETERS).contains(&number) {
            return Err(sql_error(format!(
                "variable number must be between ?1 and ?{MOST_PARAMETERS}"
            )));
        }
        if self.0.len() < number {
            self.0.resize(number, Slot::Unused);
        }
        if self.0[number - 1] == Slot::Unused {
            self.0[number - 1] = Slot::Plain;
        }
        Ok(number)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Their values, by position.
    pub(crate) fn values<'a>(&self, given: &'a Parameters) -> Result<Cow<'a, Parameters>> {
        let value = |(at, slot): (usize, &Slot)| match slot {
            Slot::Unused => Ok(Value::Null),
            Slot::Plain => given.value(at + 1, Some(&format!("?{}", at + 1))).cloned(),
            Slot::Named(name) => given.value(at + 1, Some(name)).cloned(),
        };
        Ok(match (given, self.0.len()) {
            (_, 0) => Cow::Owned(Parameters::None),
            (Parameters::Positional(values), count) if values.len() == count => {
                Cow::Borrowed(given)
            }
            _ => Cow::Owned(Parameters::Positional(
                self.0.iter().enumerate().map(value).collect::<Result<_>>()?,
            )),
        })
    }
}

/// What needs no evaluation.
#[derive(Clone, Debug)]
pub(crate) enum Constant {
    Value(Value),
    /// A parameter's number, from 1.
    Parameter(usize),
}

impl Constant {
    /// `None` for what SQLite has to evaluate.
    pub(crate) fn of(expression: &ast::Expr) -> Option<Self> {
        let value = match expression {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Placeholder(text) => {
                    return text.strip_prefix('?')?.parse().ok().map(Self::Parameter);
                }
                ast::Value::Number(text, _) => number(text)?,
                ast::Value::SingleQuotedString(text) => Value::Text(text.clone()),
                ast::Value::Null => Value::Null,
                ast::Value::Boolean(flag) => Value::Integer(i64::from(*flag)),
                _ => return None,
            },
            ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => match &**expr {
                ast::Expr::Value(value) => match &value.value {
                    ast::Value::Number(text, _) => number(&format!("-{text}"))?,
                    _ => return None,
                },
                _ => return None,
            },
            _ => return None,
        };
        Some(Self::Value(value))
    }

    /// What it is, given the parameters.
    pub(crate) fn value<'a>(&'a self, parameters: &'a Parameters) -> Result<Cow<'a, Value>> {
        match self {
            Self::Value(value) => Ok(Cow::Borrowed(value)),
            Self::Parameter(number) => {
                parameters.value(*number, Some(&format!("?{number}"))).map(Cow::Borrowed)
            }
        }
    }
}

fn number(text: &str) -> Option<Value> {
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    if !text.chars().all(is_plain) {
        return None;
    }
    match text.parse() {
        Ok(integer) => Some(Value::Integer(integer)),
        Err(_) => text.parse().ok().map(Value::Real),
    }
}

/// Refuses what is about many rows where there is one: SQLite would take the whole
/// piece that the expression becomes part of for an aggregate.
pub(crate) fn of_one_row(expression: &ast::Expr) -> Result<()> {
    match expression.visit(&mut OfManyRows::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(message) => Err(sql_error(message)),
    }
}

/// Looks for aggregates and windows outside subqueries.
#[derive(Default)]
struct OfManyRows {
    depth: usize,
}

impl Visitor for OfManyRows {
    type Break = String;

    fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<String> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<String> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &ast::Expr) -> ControlFlow<String> {
        let ast::Expr::Function(function) = expression else { return ControlFlow::Continue(()) };
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let name = function.name.to_string().to_lowercase();
        let arguments = match &function.args {
            ast::FunctionArguments::List(list) => list.args.len(),
            _ => 0,
        };
        if function.over.is_some() {
            return ControlFlow::Break(format!("misuse of window function {name}()"));
        }
        match name.as_str() {
            "min" | "max" if arguments == 1 => {}
            "count" | "sum" | "total" | "avg" | "median" | "group_concat" | "string_agg"
            | "json_group_array" | "json_group_object" | "jsonb_group_array"
            | "jsonb_group_object" => {}
            _ => return ControlFlow::Continue(()),
        }
        ControlFlow::Break(format!("misuse of aggregate function {name}()"))
    }
}

/// The keyword that a token is.
pub(crate) fn keyword(token: &Token) -> Keyword {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}
