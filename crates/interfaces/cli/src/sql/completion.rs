//! What the shell offers for a word that is begun: keywords, tables, columns,
//! commands.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use crate::sql::commands::COMMANDS;
use crate::sql::door::Door;

/// Tables whose columns are offered.
const TABLES: usize = 200;

const KEYWORDS: &str = "ABORT ADD ALL ALTER AND AS ASC AUTOINCREMENT BEGIN BETWEEN BY CASCADE CASE \
    CAST CHECK COLLATE COLUMN COMMIT COMMITTED CONFLICT CONSTRAINT CREATE CROSS CURRENT_DATE \
    CURRENT_TIME CURRENT_TIMESTAMP DEFAULT DELETE DESC DISTINCT DO DROP ELSE END ESCAPE EXCEPT \
    EXISTS EXPLAIN FAIL FOREIGN FROM FULL GLOB GROUP HAVING IF IGNORE IN INDEX INNER INSERT \
    INTERSECT INTO IS ISOLATION JOIN KEY LEFT LEVEL LIKE LIMIT NATURAL NOT NOTHING NULL NULLS \
    OFFSET ON ONLY OR ORDER OUTER OVER PARTITION PLAN PRAGMA PRIMARY QUERY READ RECURSIVE \
    REFERENCES RELEASE RENAME REPLACE RESTRICT RETURNING RIGHT ROLLBACK ROW ROWS SAVEPOINT SELECT \
    SERIALIZABLE SET SNAPSHOT TABLE THEN TO TRANSACTION UNION UNIQUE UPDATE USING VALUES WHEN \
    WHERE WINDOW WITH";

/// See the [module](self). Also says where a statement goes on with another line.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Tables and columns.
    names: Vec<String>,
}

impl Words {
    /// Reads the tables and columns. A door that does not answer offers none.
    pub(super) fn refresh(&mut self, door: &mut dyn Door) {
        let tables = door.tables().unwrap_or_default();
        let mut names: Vec<String> = Vec::new();
        for table in tables.iter().take(TABLES) {
            let config = door.config(table).unwrap_or_default();
            names
                .extend(config["schema"].as_object().into_iter().flatten().map(|(f, _)| f.clone()));
        }
        names.extend(tables);
        names.sort();
        names.dedup();
        self.names = names;
    }

    /// The beginning of the word before `at`, and what it may become.
    fn offers(&self, line: &str, at: usize) -> (usize, Vec<String>) {
        let before = &line[..at];
        if before.starts_with('.') && !before.contains(char::is_whitespace) {
            let commands = COMMANDS.iter().filter_map(|(shown, _)| shown.split(' ').next());
            let mut found: Vec<String> =
                commands.filter(|name| name.starts_with(before)).map(str::to_owned).collect();
            found.dedup();
            return (0, found);
        }
        let start = before
            .char_indices()
            .rev()
            .find(|(_, c)| !(c.is_alphanumeric() || *c == '_'))
            .map_or(0, |(at, c)| at + c.len_utf8());
        let word = before[start..].to_lowercase();
        let begins = |name: &str| name.to_lowercase().starts_with(&word);
        let mut found: Vec<String> = self.names.iter().filter(|n| begins(n)).cloned().collect();
        // After a full stop there is a column.
        if !word.is_empty() && !before[..start].ends_with('.') {
            let is_small = before[start..].chars().all(char::is_lowercase);
            found.extend(KEYWORDS.split_whitespace().filter(|keyword| begins(keyword)).map(
                |keyword| {
                    if is_small { keyword.to_lowercase() } else { keyword.to_owned() }
                },
            ));
        }
        (start, found)
    }
}

impl Helper for Words {}

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.offers(line, at))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let input = context.input();
        let is_over = input.starts_with('.') || tandem_sql::is_complete(input);
        Ok(if is_over { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keywords_and_commands_are_offered() {
        let words = Words { names: vec!["Orders".into(), "order_id".into(), "üben".into()] };
        let offers = |line: &str| words.offers(line, line.len());
        let (start, found) = offers("SELECT * FROM ord");
        assert_eq!((start, found), (14, vec!["Orders".into(), "order_id".into(), "order".into()]));
        assert_eq!(offers("SELECT o.OR").1, ["Orders", "order_id"]);
        assert_eq!(offers("SEL").1, ["SELECT"]);
        assert_eq!(offers("sel").1, ["select"]);
        assert_eq!(offers("SELECT ü"), (7, vec!["üben".to_owned()]));
        assert_eq!(offers(".ex"), (0, vec![".explain".to_owned()]));
    }
}
