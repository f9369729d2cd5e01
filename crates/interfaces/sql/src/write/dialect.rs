//! What SQLite understands and the parser does not, put in words that it knows
//! before it parses, and back afterwards.
//!
//! ```text
//! a ISNULL       a IS NULL
//! a NOT GLOB b   a NOT ILIKE b, parsed; then (NOT (a GLOB b))
//! 0x1F           31; the parser takes it for bytes
//! ```
//! SQLite has no ILIKE, so none may be there before.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};
use tandem_base::Result;

use crate::output::sql_error;
use crate::text::{self, Lines};
use crate::write::expression::keyword;

/// The tokens but for blanks, as the parser knows them.
pub(crate) fn translated(
    tokens: &[TokenWithSpan],
    lines: &Lines<'_>,
) -> Result<Vec<TokenWithSpan>> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let like = |new: Token| TokenWithSpan { token: new, span: token.span };
        let word = |word: &str| like(Token::make_word(word, None));
        match &token.token {
            Token::Whitespace(_) => {}
            Token::HexStringLiteral(digits)
                if lines.between(token.span.start, token.span.end).starts_with('0') =>
            {
                let Ok(number) = u64::from_str_radix(digits, 16) else {
                    return Err(sql_error(format!("hex literal too big: 0x{digits}")));
                };
                let number = number.cast_signed();
                let digits = like(Token::Number(number.unsigned_abs().to_string(), false));
                if number < 0 {
                    all.extend([
                        like(Token::LParen),
                        like(Token::Minus),
                        digits,
                        like(Token::RParen),
                    ]);
                } else {
                    all.push(digits);
                }
            }
            Token::Word(name)
                if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("isnull") =>
            {
                all.extend([word("IS"), word("NULL")]);
            }
            other => match keyword(other) {
                Keyword::ILIKE => return Err(sql_error("near \"ILIKE\": syntax error")),
                Keyword::GLOB
                    if all.last().is_some_and(|last| keyword(&last.token) == Keyword::NOT) =>
                {
                    all.push(word("ILIKE"));
                }
                _ => all.push(token.clone()),
            },
        }
    }
    Ok(all)
}

/// Parses tokens that were [`translated`].
pub(crate) fn parse(tokens: &[TokenWithSpan]) -> Result<ast::Statement> {
    let mut statement = text::parse(tokens)?;
    let _ = ast::visit_expressions_mut(&mut statement, |expression| {
        if let Expr::ILike { expr, pattern, .. } = expression {
            let globbed = Expr::BinaryOp {
                left: expr.clone(),
                op: ast::BinaryOperator::Glob,
                right: pattern.clone(),
            };
            let inner = Box::new(Expr::Nested(Box::new(globbed)));
            let negated = Expr::UnaryOp { op: ast::UnaryOperator::Not, expr: inner };
            *expression = Expr::Nested(Box::new(negated));
        }
        ControlFlow::<()>::Continue(())
    });
    Ok(statement)
}
