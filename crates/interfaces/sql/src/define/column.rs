//! A column as a statement declares it, and the bucket's field that it becomes.

use serde_json::{Map, Value as Json, json};
use sqlparser::ast::{
    ColumnDef, ColumnOption, ConstraintCharacteristics, DataType, Expr, ForeignKeyConstraint,
    ReferentialAction,
};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;
use tandem_base::Result;

use crate::conversion;
use crate::define::{constant, names, rename, unsupported};
use crate::output::sql_error;
use crate::scope::Scope;
use crate::table::Affinity;
use crate::value::Value;

/// See the [module](self).
pub(super) struct ColumnPlan {
    pub(super) name: String,
    /// The type as it was written; empty if none was.
    pub(super) declared: String,
    pub(super) affinity: Affinity,
    pub(super) not_null: bool,
    pub(super) default: Option<Default>,
    pub(super) unique: bool,
    pub(super) primary_key: bool,
    pub(super) reference: Option<Reference>,
    /// Its CHECKs, as the config has them.
    pub(super) checks: Vec<Json>,
}

/// What an insert that leaves the column out gives it.
pub(super) enum Default {
    /// Filled in by the bucket: as SQL has it, and as a record has it.
    Constant(Value, Json),
    /// Evaluated by each insert.
    Expression(String),
}

/// REFERENCES, before it is known whether it can be one of Tandem's.
pub(super) struct Reference {
    table: String,
    column: Option<String>,
    on_delete: &'static str,
}

impl ColumnPlan {
    /// What a statement about `table` says.
    ///
    /// # Errors
    /// `SQL_ERROR` for what Tandem does not have.
    pub(super) fn of(scope: &Scope<'_>, table: &str, definition: &ColumnDef) -> Result<Self> {
        let name = definition.name.value.clone();
        names::check_column(&name)?;
        let declared = match &definition.data_type {
            DataType::Unspecified => String::new(),
            other => other.to_string(),
        };
        let affinity = Affinity::of_declared(&declared)
            .ok_or_else(|| unsupported(&format!("Type {declared}")).with("column", &*name))?;
        let mut plan = Self {
            name,
            declared,
            affinity,
            not_null: false,
            default: None,
            unique: false,
            primary_key: false,
            reference: None,
            checks: Vec::new(),
        };
        for option in &definition.options {
            let constraint = option.name.as_ref().map(|name| name.value.as_str());
            plan.take(scope, table, constraint, &option.option)?;
        }
        Ok(plan)
    }

    fn take(
        &mut self,
        scope: &Scope<'_>,
        table: &str,
        constraint: Option<&str>,
        option: &ColumnOption,
    ) -> Result<()> {
        match option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => self.not_null = true,
            ColumnOption::Default(expression) => {
                self.default = self.default_of(scope, expression)?;
            }
            ColumnOption::PrimaryKey(_) => self.primary_key = true,
            ColumnOption::Unique(_) => self.unique = true,
            ColumnOption::ForeignKey(to) => self.reference = Some(Reference::of(to)?),
            ColumnOption::Check(check) => {
                let mut config = check_config(table, constraint, &check.expr);
                // It goes with the column.
                config["column"] = json!(self.name);
                self.checks.push(config);
            }
            ColumnOption::Collation(name) => names::check_collation(&name.to_string())?,
            ColumnOption::OnConflict(Keyword::ABORT) => {}
            ColumnOption::OnConflict(other) => {
                return Err(unsupported(&format!("ON CONFLICT {other:?} of a constraint")));
            }
            // AUTOINCREMENT, ASC and DESC of a primary key: numbers are never given
            // out twice, and there is one order.
            ColumnOption::DialectSpecific(tokens) if tokens.iter().all(is_of_key) => {}
            ColumnOption::Generated { .. } => return Err(unsupported("A generated column")),
            other => return Err(unsupported(&other.to_string())),
        }
        Ok(())
    }

    fn default_of(&self, scope: &Scope<'_>, expression: &Expr) -> Result<Option<Default>> {
        let known = match expression {
            // A name stands for itself: `DEFAULT pending`.
            Expr::Identifier(name) => Some(Value::Text(name.value.clone())),
            other => constant::value(scope, other)?,
        };
        let Some(value) = known else {
            // Whether it can be evaluated at all, once.
            scope.evaluate(&format!("SELECT {expression}"), &[])?;
            return Ok(Some(Default::Expression(expression.to_string())));
        };
        if value.is_null() {
            return Ok(None);
        }
        let json = conversion::stored(scope, self.affinity, &value)?.ok_or_else(|| {
            sql_error(format!(
                "default value of column [{}] is not of type {}",
                self.name, self.declared
            ))
            .with("column", self.name.as_str())
        })?;
        Ok(Some(Default::Constant(value, json)))
    }

    /// The definition of the field; `reference` is the bucket that it refers to.
    pub(super) fn field(&self, reference: Option<&str>) -> Map<String, Json> {
        let mut field = Map::new();
        if let Some(field_type) = self.affinity.field_type() {
            field.insert("type".to_owned(), json!(field_type));
        }
        for (rule, on) in [("required", self.not_null), ("unique", self.unique)] {
            if on {
                field.insert(rule.to_owned(), json!(true));
            }
        }
        if let Some(Default::Constant(_, json)) = &self.default {
            field.insert("default".to_owned(), json.clone());
        }
        if let (Some(bucket), Some(to)) = (reference, &self.reference) {
            field.insert("ref".to_owned(), json!(bucket));
            field.insert("onDelete".to_owned(), json!(to.on_delete));
        }
        field
    }

    /// What SQL alone knows of the column.
    pub(super) fn known(&self) -> Json {
        let mut known = json!({ "type": self.declared });
        if let Some(Default::Expression(text)) = &self.default {
            known["default"] = json!(text);
        }
        known
    }
}

impl Reference {
    /// What REFERENCES says.
    pub(super) fn of(to: &ForeignKeyConstraint) -> Result<Self> {
        let column = match to.referred_columns.as_slice() {
            [] => None,
            [column] => Some(column.value.clone()),
            _ => return Err(unsupported("FOREIGN KEY of several columns")),
        };
        let on_delete = match to.on_delete {
            None | Some(ReferentialAction::Restrict | ReferentialAction::NoAction) => "restrict",
            Some(ReferentialAction::Cascade) => "cascade",
            Some(ReferentialAction::SetNull) => "set_null",
            Some(ReferentialAction::SetDefault) => {
                return Err(unsupported("ON DELETE SET DEFAULT"));
            }
        };
        match to.on_update {
            None | Some(ReferentialAction::Restrict | ReferentialAction::NoAction) => {}
            Some(other) => return Err(unsupported(&format!("ON UPDATE {other}"))),
        }
        if let Some(kind) = &to.match_kind {
            return Err(unsupported(&kind.to_string()));
        }
        check_characteristics(to.characteristics.as_ref())?;
        Ok(Self { table: names::of_object(&to.foreign_table)?, column, on_delete })
    }

    /// The bucket that is referred to, whose key the values are. `own` is the
    /// table that the statement defines and its key, if that is a column.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `SQL_ERROR` if it has no key of one column, or that
    /// is another one.
    pub(super) fn resolve(&self, scope: &Scope<'_>, own: (&str, Option<&str>)) -> Result<String> {
        let mismatch = |target: &str| {
            sql_error(format!("foreign key mismatch - \"{}\" referencing \"{target}\"", own.0))
                .with("bucket", target)
        };
        let (bucket, key) = if self.table.eq_ignore_ascii_case(own.0) {
            (own.0.to_owned(), own.1.map(str::to_owned))
        } else {
            let target = scope.table(&self.table)?;
            let key = match target.primary_key.as_slice() {
                [key] if target.key == Some(*key) => Some(target.columns[*key].name.clone()),
                _ => None,
            };
            (target.name.to_string(), key)
        };
        let key = key.ok_or_else(|| mismatch(&bucket))?;
        match &self.column {
            Some(column) if !column.eq_ignore_ascii_case(&key) => Err(mismatch(&bucket)),
            _ => Ok(bucket),
        }
    }
}

/// A CHECK as the config has it.
pub(super) fn check_config(table: &str, name: Option<&str>, expression: &Expr) -> Json {
    let expression = rename::unqualified(expression, table).to_string();
    match name {
        Some(name) => json!({ "name": name, "expression": expression }),
        None => json!({ "expression": expression }),
    }
}

/// Refuses constraints that wait for the commit.
pub(super) fn check_characteristics(found: Option<&ConstraintCharacteristics>) -> Result<()> {
    match found {
        Some(found) if found.deferrable != Some(false) || found.initially.is_some() => {
            Err(unsupported("DEFERRABLE"))
        }
        _ => Ok(()),
    }
}

fn is_of_key(token: &Token) -> bool {
    matches!(token, Token::Word(word)
        if matches!(word.keyword, Keyword::AUTOINCREMENT | Keyword::ASC | Keyword::DESC))
}
