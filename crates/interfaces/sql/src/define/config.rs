//! From the plan of a table to the config of its bucket.

use serde_json::{Map, Value as Json, json};
use tandem_base::Result;

use crate::define::column::ColumnPlan;
use crate::define::names::ROWID_NAMES;
use crate::output::sql_error;
use crate::scope::Scope;

/// A table as a statement declares it.
pub(super) struct TablePlan {
    pub(super) name: String,
    pub(super) columns: Vec<ColumnPlan>,
    /// The places of its columns.
    pub(super) primary_key: Vec<usize>,
    /// The CHECKs of the table itself.
    pub(super) checks: Vec<Json>,
    uniques: Vec<Unique>,
}

/// A UNIQUE of several columns.
struct Unique {
    name: Option<String>,
    columns: Vec<usize>,
}

impl TablePlan {
    pub(super) fn new(name: String, columns: Vec<ColumnPlan>) -> Self {
        let keys = columns.iter().enumerate().filter(|(_, column)| column.primary_key);
        let primary_key = keys.map(|(at, _)| at).collect();
        Self { name, columns, primary_key, checks: Vec::new(), uniques: Vec::new() }
    }

    /// Where the columns of these names are.
    ///
    /// # Errors
    /// `SQL_ERROR` for one that is not there.
    pub(super) fn places(&self, names: &[String]) -> Result<Vec<usize>> {
        let place = |name: &String| {
            let is_it = |column: &ColumnPlan| column.name.eq_ignore_ascii_case(name);
            self.columns.iter().position(is_it).ok_or_else(|| {
                sql_error(format!("no such column: {name}")).with("column", name.as_str())
            })
        };
        names.iter().map(place).collect()
    }

    pub(super) fn add_unique(&mut self, name: Option<String>, columns: Vec<usize>) {
        match columns.as_slice() {
            [one] => self.columns[*one].unique = true,
            _ if self.uniques.iter().any(|known| known.columns == columns) => {}
            _ => self.uniques.push(Unique { name, columns }),
        }
    }

    /// The config of the bucket that the table is.
    ///
    /// # Errors
    /// As [`Reference::resolve`](super::column::Reference::resolve); `SQL_ERROR`
    /// when no name is left for the row number.
    pub(super) fn config(&self, scope: &Scope<'_>) -> Result<Json> {
        let key = match self.primary_key.as_slice() {
            [key] => Some(*key),
            _ => None,
        };
        let own = (self.name.as_str(), key.map(|key| self.columns[key].name.as_str()));
        let mut schema = Map::new();
        let mut sql = Map::new();
        let mut known = Map::new();
        let mut indexes = Vec::new();
        let mut constraints = Vec::new();
        let mut checks = Vec::new();
        let key_field = match key {
            Some(key) => self.columns[key].name.clone(),
            None => {
                let name = self.rowid_name()?;
                let number = json!({ "type": "number", "generated": "autoincrement",
                                     "required": true });
                schema.insert(name.to_owned(), number);
                sql.insert("rowid".to_owned(), json!(true));
                name.to_owned()
            }
        };
        for (at, column) in self.columns.iter().enumerate() {
            let reference = column.reference.as_ref();
            let reference = reference.map(|to| to.resolve(scope, own)).transpose()?;
            let mut field = column.field(reference.as_deref());
            if self.primary_key.contains(&at) {
                field.insert("required".to_owned(), json!(true));
            }
            if key == Some(at) {
                // A key is unique as it is.
                field.shift_remove("unique");
                if is_rowid(&column.declared) {
                    field.insert("generated".to_owned(), json!("autoincrement"));
                }
            }
            schema.insert(column.name.clone(), Json::Object(field));
            known.insert(column.name.clone(), column.known());
            checks.extend(column.checks.iter().cloned());
        }
        checks.extend(self.checks.iter().cloned());
        let named = |columns: &[usize]| -> Vec<&str> {
            columns.iter().map(|at| self.columns[*at].name.as_str()).collect()
        };
        if self.primary_key.len() > 1 {
            let columns = named(&self.primary_key);
            let name = format!("{}_primary_key", self.name);
            indexes.push(json!({ "name": name, "fields": columns, "unique": true }));
            constraints.push(json!(name));
            sql.insert("primaryKey".to_owned(), json!(columns));
        }
        for unique in self.uniques.iter().filter(|unique| unique.columns != self.primary_key) {
            let columns = named(&unique.columns);
            let name = unique
                .name
                .clone()
                .unwrap_or_else(|| format!("{}_{}", self.name, columns.join("_")));
            indexes.push(json!({ "name": name, "fields": columns, "unique": true }));
            constraints.push(json!(name));
        }
        sql.insert("columns".to_owned(), Json::Object(known));
        for (part, list) in [("checks", checks), ("constraints", constraints)] {
            if !list.is_empty() {
                sql.insert(part.to_owned(), Json::Array(list));
            }
        }
        // Rows come in the order of their keys, as SQLite's do.
        let mut config =
            json!({ "key": key_field, "schema": schema, "etsType": "ordered_set", "sql": sql });
        if !indexes.is_empty() {
            config["indexes"] = Json::Array(indexes);
        }
        Ok(config)
    }

    /// The name of the hidden key: one of the row number's that no column has.
    fn rowid_name(&self) -> Result<&'static str> {
        let is_free =
            |name: &&str| self.columns.iter().all(|column| !column.name.eq_ignore_ascii_case(name));
        ROWID_NAMES.into_iter().find(|name| is_free(name)).ok_or_else(|| {
            sql_error("Columns have all names of the row number: rowid, _rowid_ and oid")
        })
    }
}

/// Whether a primary key of that type is the row number.
fn is_rowid(declared: &str) -> bool {
    ["INTEGER", "INT"].iter().any(|name| name.eq_ignore_ascii_case(declared))
}
