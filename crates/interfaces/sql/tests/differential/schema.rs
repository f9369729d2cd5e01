//! The tables that there are, as SQLite tells them: also after a rollback.

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The columns of each unique index and of the primary key.
    pub(crate) unique: Vec<Vec<String>>,
    pub(crate) indexes: Vec<String>,
    /// Tables that refer to it.
    pub(crate) is_referred_to: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) declared: String,
    pub(crate) in_key: bool,
    /// The table that it refers to.
    pub(crate) refers_to: Option<String>,
}

impl Table {
    /// The one column of the primary key.
    pub(crate) fn key(&self) -> Option<&Column> {
        let mut key = self.columns.iter().filter(|column| column.in_key);
        key.next().filter(|_| key.next().is_none())
    }

    pub(crate) fn is_unique(&self, column: &Column) -> bool {
        column.in_key || self.unique.iter().any(|columns| columns.contains(&column.name))
    }
}

pub(crate) fn tables(sqlite: &rusqlite::Connection) -> Vec<Table> {
    let names = strings(sqlite, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1");
    let referred = strings(
        sqlite,
        "SELECT f.\"table\" FROM sqlite_schema s, pragma_foreign_key_list(s.name) f WHERE s.type = 'table'",
    );
    names
        .into_iter()
        .map(|name| {
            let refers = |column: &str| {
                strings(
                    sqlite,
                    &format!(
                        "SELECT \"table\" FROM pragma_foreign_key_list('{name}') WHERE \"from\" = '{column}'"
                    ),
                )
                .pop()
            };
            let columns = strings(
                sqlite,
                &format!("SELECT name || ' ' || type || ' ' || pk FROM pragma_table_info('{name}')"),
            )
            .into_iter()
            .map(|text| {
                let mut words = text.split(' ');
                let mut word = || words.next().unwrap_or_default().to_owned();
                let (name, declared, key) = (word(), word(), word());
                Column { refers_to: refers(&name), name, declared, in_key: key != "0" }
            })
            .collect();
            let unique = strings(
                sqlite,
                &format!(
                    "SELECT (SELECT group_concat(i.name, ' ') FROM pragma_index_info(l.name) i)
                     FROM pragma_index_list('{name}') l WHERE l.\"unique\""
                ),
            );
            let indexes = strings(
                sqlite,
                &format!("SELECT name FROM pragma_index_list('{name}') WHERE origin = 'c' ORDER BY 1"),
            );
            Table {
                unique: unique
                    .iter()
                    .map(|columns| columns.split(' ').map(str::to_owned).collect())
                    .collect(),
                is_referred_to: referred.contains(&name),
                name,
                columns,
                indexes,
            }
        })
        .collect()
}

fn strings(sqlite: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut statement = sqlite.prepare_cached(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}
