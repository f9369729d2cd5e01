//! Random statements over the tables that there are.
//!
//! Values are few, so that they meet. Where SQL leaves an order open that would
//! show (rows of a LIMIT, which of two rows an update reaches first when a unique
//! value moves), the statement is made so that it does not.

use tandem::{Random, layers::base::SeededRandom};

use crate::schema::{Column, Table};

pub(crate) struct Generator {
    random: SeededRandom,
}

const NAMES: [&str; 5] = ["t0", "t1", "t2", "t3", "t4"];
const COLUMNS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const TYPES: [&str; 3] = ["INTEGER", "TEXT", "REAL"];

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: SeededRandom::new(seed) }
    }

    fn below(&self, n: usize) -> usize {
        usize::try_from(self.random.next_u64() % n.max(1) as u64).unwrap()
    }

    fn one_in(&self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T: ?Sized>(&self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    fn pick<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// The next statement.
    pub(crate) fn statement(&self, tables: &[Table], autocommit: bool) -> String {
        if tables.len() < 2 {
            return self.create_table(tables);
        }
        let table = self.pick(tables).clone();
        match self.below(100) {
            0..=2 => self.create_table(tables),
            // A table that another refers to is not dropped here, not even an empty one.
            3 if !table.is_referred_to => format!("DROP TABLE {}", table.name),
            3 => "DROP TABLE IF EXISTS none_has_it".to_owned(),
            4..=6 => self.create_index(&table),
            7 => match table.indexes.first() {
                Some(index) => format!("DROP INDEX {index}"),
                None => "DROP INDEX IF EXISTS none_has_it".to_owned(),
            },
            8..=10 => self.alter(&table),
            11..=38 => self.insert(&table, tables),
            39..=52 => self.update(&table, tables),
            53..=59 => self.delete(&table),
            60..=70 => self.control(autocommit),
            _ => self.select(&table, tables),
        }
    }

    fn control(&self, autocommit: bool) -> String {
        let name = self.of(&["s", "r"]).to_owned();
        match (autocommit, self.below(10)) {
            (true, 0..=5) => self.of(&["BEGIN", "BEGIN IMMEDIATE TRANSACTION"]).to_owned(),
            (true, 6) => self.of(&["COMMIT", "ROLLBACK", "RELEASE s", "ROLLBACK TO r"]).to_owned(),
            (true, _) => format!("SAVEPOINT {name}"),
            (false, 0..=2) => self.of(&["COMMIT", "END TRANSACTION"]).to_owned(),
            (false, 3) => "ROLLBACK".to_owned(),
            (false, 4) => "BEGIN".to_owned(),
            (false, 5 | 6) => format!("SAVEPOINT {name}"),
            (false, 7) => format!("RELEASE {name}"),
            (false, _) => format!("ROLLBACK TO {name}"),
        }
    }

    // ------------------------------------------------------------ definitions

    fn create_table(&self, tables: &[Table]) -> String {
        let name = self.of(&NAMES);
        let count = 2 + self.below(4);
        let key = self.below(4);
        let mut columns = Vec::new();
        let mut constraints = Vec::new();
        for (at, column) in COLUMNS.iter().enumerate().take(count) {
            let declared = if at == 0 { self.of(&["INTEGER", "TEXT"]) } else { self.of(&TYPES) };
            let mut text = format!("{column} {declared}");
            if at == 0 && key < 2 {
                // A text key that is NULL is allowed in SQLite's own tables alone.
                text.push_str(" PRIMARY KEY NOT NULL");
            } else {
                if self.one_in(5) {
                    text.push_str(" NOT NULL");
                }
                if self.one_in(4) {
                    text.push_str(&format!(" DEFAULT {}", self.literal(declared)));
                }
                if self.one_in(8) {
                    text.push_str(" UNIQUE");
                }
                if self.one_in(8) {
                    text.push_str(&format!(" CHECK ({})", self.check(column, declared)));
                }
                // Two of them with different actions would show which is carried out first.
                if !columns.iter().any(|column: &String| column.contains("REFERENCES"))
                    && self.one_in(5)
                    && let Some(target) = tables.get(self.below(tables.len() + 1))
                    && let Some(key) = target.key()
                    && key.declared == declared
                {
                    let action = self.of(&["", " ON DELETE CASCADE", " ON DELETE RESTRICT"]);
                    text.push_str(&format!(" REFERENCES {}({}){action}", target.name, key.name));
                }
            }
            columns.push(text);
        }
        if key == 2 {
            columns[0].push_str(" NOT NULL");
            if !columns[1].contains(" NOT NULL") {
                columns[1].push_str(" NOT NULL");
            }
            constraints.push("PRIMARY KEY (a, b)".to_owned());
        }
        if self.one_in(6) {
            constraints.push("UNIQUE (b, a)".to_owned());
        }
        if self.one_in(8) {
            constraints
                .push("CONSTRAINT apart CHECK (a IS NULL OR b IS NULL OR a <> 'zz')".to_owned());
        }
        columns.extend(constraints);
        let exists = if self.one_in(4) { "IF NOT EXISTS " } else { "" };
        format!("CREATE TABLE {exists}{name} ({}) STRICT", columns.join(", "))
    }

    fn check(&self, column: &str, declared: &str) -> String {
        match declared {
            "TEXT" => self.of(&["length(COL) < 4", "COL <> 'x'", "COL IN ('a', 'b', 'c', '')"]),
            _ => self.of(&["COL > -3", "COL BETWEEN -2 AND 11", "COL <> 7 OR COL IS NULL"]),
        }
        .replace("COL", column)
    }

    fn create_index(&self, table: &Table) -> String {
        let first = self.pick(&table.columns);
        let second = self.pick(&table.columns);
        let mut columns = vec![format!("{}{}", first.name, self.of(&["", " DESC", " ASC"]))];
        if second != first && self.one_in(2) {
            columns.push(format!("{}{}", second.name, self.of(&["", " DESC"])));
        }
        let condition = if self.one_in(4) {
            let column = self.pick(&table.columns);
            let condition = match self.below(3) {
                0 => format!("{} IS NOT NULL", column.name),
                1 => format!("{} > {}", column.name, self.literal_not_null(&column.declared)),
                _ => format!("{} = {}", column.name, self.literal_not_null(&column.declared)),
            };
            format!(" WHERE {condition}")
        } else {
            String::new()
        };
        format!(
            "CREATE {}INDEX {}i{} ON {} ({}){condition}",
            if self.one_in(4) { "UNIQUE " } else { "" },
            if self.one_in(4) { "IF NOT EXISTS " } else { "" },
            self.below(8),
            table.name,
            columns.join(", ")
        )
    }

    fn alter(&self, table: &Table) -> String {
        let name = &table.name;
        match self.below(4) {
            0 => {
                let (column, declared) = (self.of(&COLUMNS), self.of(&TYPES));
                let rest = match self.below(4) {
                    0 => format!(" NOT NULL DEFAULT {}", self.literal_not_null(declared)),
                    1 => format!(" DEFAULT {}", self.literal(declared)),
                    2 => " NOT NULL".to_owned(),
                    _ => String::new(),
                };
                format!("ALTER TABLE {name} ADD COLUMN {column} {declared}{rest}")
            }
            1 => {
                let column = &self.pick(&table.columns).name;
                format!("ALTER TABLE {name} RENAME COLUMN {column} TO {}", self.of(&COLUMNS))
            }
            2 => format!("ALTER TABLE {name} DROP COLUMN {}", self.of(&COLUMNS)),
            _ => {
                format!("ALTER TABLE {name} RENAME TO {}", self.of(&NAMES))
            }
        }
    }

    // ----------------------------------------------------------------- writes

    fn insert(&self, table: &Table, tables: &[Table]) -> String {
        let mut columns: Vec<&Column> = table.columns.iter().collect();
        if self.one_in(4) && columns.len() > 2 {
            let gone = 1 + self.below(columns.len() - 1);
            if !columns[gone].in_key {
                columns.remove(gone);
            }
        }
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let or = match self.below(8) {
            0 => " OR REPLACE",
            1 => " OR IGNORE",
            2 => " OR FAIL",
            3 => " OR ABORT",
            4 if self.one_in(4) => " OR ROLLBACK",
            _ => "",
        };
        // What a REPLACE deletes may be referred to.
        let or = if table.is_referred_to && or == " OR REPLACE" { "" } else { or };
        // Types and references are looked at before a conflict clause is.
        let refers = columns.iter().any(|column| column.refers_to.is_some());
        let or = if refers { "" } else { or };
        let is_upsert = or.is_empty() && !refers && self.one_in(4);
        // A value of a wrong type ends an INSERT of SQLite in the middle, with the rows
        // before it left there, whatever it says; here nothing is left of it.
        let count = 1 + self.below(3);
        let any_type = count == 1 && or.is_empty() && !is_upsert;
        let rows: Vec<String> = (0..count)
            .map(|_| {
                let values: Vec<String> =
                    columns.iter().map(|column| self.inserted(column, any_type)).collect();
                format!("({})", values.join(", "))
            })
            .collect();
        let source = match self.below(8) {
            0 => self.source_of(&columns, tables),
            _ => format!("VALUES {}", rows.join(", ")),
        };
        let upsert = if is_upsert { self.upsert(table, &columns) } else { String::new() };
        format!(
            "INSERT{or} INTO {} ({}) {source}{upsert}{}",
            table.name,
            names.join(", "),
            self.returning(table)
        )
    }

    fn inserted(&self, column: &Column, any_type: bool) -> String {
        if column.in_key || !any_type || self.below(5) > 0 {
            let sometimes_null = !column.in_key && self.one_in(8);
            return match sometimes_null {
                true => "NULL".to_owned(),
                false => self.literal_not_null(&column.declared),
            };
        }
        match self.below(6) {
            0 => format!("({} || '')", self.literal("TEXT")),
            1 => self.literal(self.of(&TYPES)),
            _ => self.literal(&column.declared),
        }
    }

    fn source_of(&self, columns: &[&Column], tables: &[Table]) -> String {
        let from = self.pick(tables);
        let expressions: Vec<String> = columns
            .iter()
            .map(|column| {
                let alike: Vec<&Column> =
                    from.columns.iter().filter(|other| other.declared == column.declared).collect();
                match alike.first() {
                    Some(found) if !column.in_key => found.name.clone(),
                    Some(found) => format!("coalesce({}, 1) || 9", found.name),
                    None => self.literal_not_null(&column.declared),
                }
            })
            .collect();
        let order: Vec<String> = (1..=columns.len()).map(|at| at.to_string()).collect();
        format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT 4",
            expressions.join(", "),
            from.name,
            self.condition(from, 1),
            order.join(", ")
        )
    }

    fn upsert(&self, table: &Table, columns: &[&Column]) -> String {
        let target = match (table.key(), self.below(4)) {
            (Some(key), 1..) => format!(" ({})", key.name),
            _ => String::new(),
        };
        let changed: Vec<&&Column> = columns
            .iter()
            .filter(|column| !table.is_unique(column) && column.refers_to.is_none())
            .collect();
        if target.is_empty() || changed.is_empty() || self.one_in(3) {
            return format!(" ON CONFLICT{target} DO NOTHING");
        }
        let column = self.pick(&changed);
        let value = match self.below(3) {
            0 => format!("excluded.{}", column.name),
            1 => self.literal(&column.declared),
            _ => format!("coalesce({}.{}, excluded.{})", table.name, column.name, column.name),
        };
        let condition = if self.one_in(3) {
            format!(" WHERE {}.{} IS NOT NULL", table.name, column.name)
        } else {
            String::new()
        };
        format!(" ON CONFLICT{target} DO UPDATE SET {} = {value}{condition}", column.name)
    }

    fn update(&self, table: &Table, tables: &[Table]) -> String {
        let column = self.pick(&table.columns);
        let or = self.of(&["", "", "", "", " OR IGNORE", " OR FAIL", " OR ABORT"]);
        let refers = table.columns.iter().any(|column| column.refers_to.is_some());
        let or = if refers { "" } else { or };
        let value = match self.below(4) {
            0 if !column.in_key => self.literal(&column.declared),
            1 if column.declared != "TEXT" => format!("{} + 1", column.name),
            1 => format!("{} || 'x'", column.name),
            2 => {
                let from = self.pick(tables);
                let other = self.pick(&from.columns);
                if other.declared == column.declared {
                    format!("coalesce((SELECT max({}) FROM {}), 1)", other.name, from.name)
                } else {
                    self.literal_not_null(&column.declared)
                }
            }
            _ => self.literal_not_null(&column.declared),
        };
        // Which of several rows gets a unique value first is nobody's promise, nor
        // which of them fails first.
        let is_alone = table.is_unique(column) || !or.is_empty();
        let condition = match table.key() {
            Some(key) if is_alone => {
                format!("{} = {}", key.name, self.literal_not_null(&key.declared))
            }
            None if is_alone => "false".to_owned(),
            _ => self.condition(table, 2),
        };
        let second = self.pick(&table.columns);
        let more = if second != column && !table.is_unique(second) && self.one_in(3) {
            format!(", {} = {}", second.name, self.literal(&second.declared))
        } else {
            String::new()
        };
        if table.is_referred_to && column.in_key {
            return self.delete(table);
        }
        format!(
            "UPDATE{or} {} SET {} = {value}{more} WHERE {condition}{}",
            table.name,
            column.name,
            self.returning(table)
        )
    }

    fn delete(&self, table: &Table) -> String {
        format!(
            "DELETE FROM {} WHERE {}{}",
            table.name,
            self.condition(table, 2),
            self.returning(table)
        )
    }

    fn returning(&self, table: &Table) -> String {
        if !self.one_in(6) {
            return String::new();
        }
        let column = self.pick(&table.columns);
        match self.below(3) {
            0 => " RETURNING *".to_owned(),
            1 => format!(" RETURNING {}, 1 + 1 AS two", column.name),
            _ => format!(" RETURNING {} IS NULL", column.name),
        }
    }

    // ------------------------------------------------------------------ reads

    fn select(&self, table: &Table, tables: &[Table]) -> String {
        let name = &table.name;
        let column = self.pick(&table.columns);
        let other = self.pick(tables);
        match self.below(9) {
            0 => format!(
                "SELECT count(*), count({0}), max({0}), min({0}) FROM {name} WHERE {1}",
                column.name,
                self.condition(table, 2)
            ),
            1 => {
                let joined = self.pick(&other.columns);
                format!(
                    "SELECT x.{}, y.{} FROM {name} x {} {} y ON x.{} = y.{} WHERE {}",
                    column.name,
                    joined.name,
                    self.of(&["JOIN", "LEFT JOIN"]),
                    other.name,
                    column.name,
                    joined.name,
                    self.condition_of(table, "x.", 1)
                )
            }
            2 => format!(
                "SELECT {0}, count(*) FROM {name} WHERE {1} GROUP BY {0} HAVING count(*) > {2}",
                column.name,
                self.condition(table, 1),
                self.below(2)
            ),
            3 => {
                let columns: Vec<&str> =
                    table.columns.iter().map(|column| column.name.as_str()).collect();
                let order: Vec<String> = (1..=columns.len())
                    .map(|at| format!("{at}{}", self.of(&["", " DESC"])))
                    .collect();
                format!(
                    "SELECT {} FROM {name} WHERE {} ORDER BY {} LIMIT {} OFFSET {}",
                    columns.join(", "),
                    self.condition(table, 2),
                    order.join(", "),
                    1 + self.below(5),
                    self.below(3)
                )
            }
            4 => format!(
                "SELECT {0} FROM {name} WHERE {0} IN (SELECT {1} FROM {2} WHERE {3})",
                column.name,
                self.pick(&other.columns).name,
                other.name,
                self.condition(other, 1)
            ),
            5 => format!(
                "SELECT {0}, dense_rank() OVER (ORDER BY {0}{1}) FROM {name} WHERE {2}",
                column.name,
                self.of(&["", " DESC"]),
                self.condition(table, 1)
            ),
            6 => format!(
                "SELECT DISTINCT {} FROM {name} WHERE {}",
                column.name,
                self.condition(table, 1)
            ),
            7 => format!(
                "WITH w AS (SELECT {0} AS v FROM {name} WHERE {1}) SELECT v FROM w UNION SELECT {2} FROM {3}",
                column.name,
                self.condition(table, 1),
                self.pick(&other.columns).name,
                other.name
            ),
            _ => format!("SELECT * FROM {name} WHERE {}", self.condition(table, 3)),
        }
    }

    fn condition(&self, table: &Table, depth: usize) -> String {
        self.condition_of(table, "", depth)
    }

    fn condition_of(&self, table: &Table, qualifier: &str, depth: usize) -> String {
        if depth > 1 && self.one_in(2) {
            let (one, two) = (
                self.condition_of(table, qualifier, depth - 1),
                self.condition_of(table, qualifier, depth - 1),
            );
            return format!("({one} {} {two})", self.of(&["AND", "AND", "OR"]));
        }
        let column = self.pick(&table.columns);
        let (name, declared) = (format!("{qualifier}{}", column.name), &column.declared);
        let value = |generator: &Self| match generator.below(8) {
            0 => generator.literal(generator.of(&TYPES)),
            _ => generator.literal_not_null(declared),
        };
        match self.below(13) {
            0..=3 => format!("{name} = {}", value(self)),
            4 | 5 => format!("{name} {} {}", self.of(&["<", "<=", ">", ">=", "<>"]), value(self)),
            6 => format!("{name} IN ({}, {}, {})", value(self), value(self), value(self)),
            7 => format!("{name} BETWEEN {} AND {}", value(self), value(self)),
            8 => format!("{name} IS {}NULL", self.of(&["", "NOT "])),
            9 => format!("{name} LIKE '{}'", self.of(&["a%", "B%", "%b", "1%", "_", ""])),
            10 => format!("{name} GLOB '{}'", self.of(&["a*", "B*", "[ab]*", "1*", "?"])),
            11 => format!("{name} IS {}", value(self)),
            _ => format!("NOT {name} = {}", value(self)),
        }
    }

    fn literal(&self, declared: &str) -> String {
        if self.one_in(5) { "NULL".to_owned() } else { self.literal_not_null(declared) }
    }

    fn literal_not_null(&self, declared: &str) -> String {
        match declared {
            "TEXT" => format!(
                "'{}'",
                self.of(&["a", "b", "c", "d", "B", "ab", "", "x", "12", "é", "abcd"])
            ),
            "REAL" => {
                let halves = self.below(30);
                #[expect(clippy::cast_precision_loss, reason = "they are few")]
                let real = halves as f64 / 2.0 - 3.0;
                format!("{real:?}")
            }
            _ => match self.below(14) {
                13 => "-2".to_owned(),
                n => n.to_string(),
            },
        }
    }
}
