//! ALTER TABLE.

use serde_json::{Map, Value as Json, json};
use sqlparser::ast::{self, AlterTableOperation, RenameTableNameKind};
use tandem_base::{Code, Error, Result};
use tandem_record::{Alteration, FieldChange};

use crate::define::column::{ColumnPlan, Default};
use crate::define::rename::{self, mentions};
use crate::define::scratch::Scratch;
use crate::define::{names, unsupported};
use crate::output::sql_error;
use crate::scope::Scope;
use crate::table::{Table, quoted};
use crate::value::Value;

pub(super) fn run(scope: &Scope<'_>, alter: &ast::AlterTable, text: &str) -> Result<()> {
    let table = scope.table(&names::of_object(&alter.name)?)?;
    Scratch::with(scope, &table)?.run(text)?;
    let alteration = match alter.operations.as_slice() {
        [AlterTableOperation::AddColumn { column_def, .. }] => {
            add_column(scope, &table, column_def)?
        }
        [AlterTableOperation::RenameColumn { old_column_name, new_column_name }] => {
            rename_column(&table, &old_column_name.value, &new_column_name.value)?
        }
        [AlterTableOperation::DropColumn { column_names, .. }] if column_names.len() == 1 => {
            drop_column(&table, &column_names[0].value)?
        }
        [
            AlterTableOperation::RenameTable {
                table_name: RenameTableNameKind::To(name) | RenameTableNameKind::As(name),
            },
        ] => rename_table(scope, &table, &names::of_object(name)?)?,
        [other, ..] => return Err(unsupported(&format!("ALTER TABLE {other}"))),
        [] => return Err(unsupported("ALTER TABLE")),
    };
    if alteration.name == *table.name
        && alteration.config == table.bucket.config
        && alteration.fields.is_empty()
    {
        return Ok(());
    }
    scope.transaction.statement(|records, tx| records.alter_bucket(tx, &table.name, &alteration))
}

fn altered(table: &Table, config: Json, fields: Vec<FieldChange>) -> Alteration {
    Alteration { name: table.name.to_string(), config, fields }
}

fn rename_table(scope: &Scope<'_>, table: &Table, name: &str) -> Result<Alteration> {
    names::check_reserved(name)?;
    if scope.shared.table(name).is_some() {
        return Err(Error::new(
            Code::AlreadyExists,
            format!("there is already another table or index with this name: {name}"),
        )
        .with("bucket", name));
    }
    Ok(Alteration {
        name: name.to_owned(),
        config: table.bucket.config.clone(),
        fields: Vec::new(),
    })
}

/// Refuses a name that a field of the bucket has, though no column: the row
/// number's, or one that differs from a column's in case.
fn check_free(table: &Table, name: &str) -> Result<()> {
    names::check_column(name)?;
    let is_field = table.bucket.schema.field(name).is_some();
    let is_key = table.bucket.key_field.eq_ignore_ascii_case(name) && table.key.is_none();
    if is_field || is_key {
        return Err(sql_error(format!("duplicate column name: {name}")).with("column", name));
    }
    Ok(())
}

/// The field that a visible column is.
fn field_of<'a>(table: &'a Table, name: &str) -> Result<&'a str> {
    let field = table.column(name).and_then(|at| table.columns[at].field());
    field.ok_or_else(|| sql_error(format!("no such column: \"{name}\"")).with("column", name))
}

fn rename_column(table: &Table, from: &str, to: &str) -> Result<Alteration> {
    let from = field_of(table, from)?.to_owned();
    if from == to {
        return Ok(altered(table, table.bucket.config.clone(), Vec::new()));
    }
    names::check_column(to)?;
    if !from.eq_ignore_ascii_case(to) {
        check_free(table, to)?;
    }
    let config = rename::column(&table.bucket.config, &from, to)?;
    let change = FieldChange::Rename { from, to: to.to_owned() };
    Ok(altered(table, config, vec![change]))
}

fn drop_column(table: &Table, name: &str) -> Result<Alteration> {
    let field = field_of(table, name)?;
    let is_in_use = |index: &&std::sync::Arc<tandem_record::Index>| {
        !index.internal
            && (index.parts.iter().any(|part| part.path.first() == field)
                || index.filter.as_ref().is_some_and(|filter| mentions(&filter.to_json(), field)))
    };
    if let Some(index) = table.bucket.indexes.iter().find(is_in_use) {
        return Err(sql_error(format!(
            "error in index {} after drop column: no such column: {name}",
            index.name
        ))
        .with("index", index.name.as_str()));
    }
    let mut config = table.bucket.config.clone();
    for pointer in ["/schema", "/sql/columns"] {
        if let Some(Json::Object(columns)) = config.pointer_mut(pointer) {
            columns.shift_remove(field);
        }
    }
    Ok(altered(table, config, vec![FieldChange::Remove(field.to_owned())]))
}

fn add_column(scope: &Scope<'_>, table: &Table, definition: &ast::ColumnDef) -> Result<Alteration> {
    let plan = ColumnPlan::of(scope, &table.name, definition)?;
    check_free(table, &plan.name)?;
    let has_rows = scope.transaction.statement(|records, tx| records.count(tx, &table.name))? > 0;
    if has_rows {
        check_rows(scope, table, &plan)?;
    }
    let key = match table.primary_key.as_slice() {
        [key] if table.key == Some(*key) => Some(table.columns[*key].name.as_str()),
        _ => None,
    };
    let reference = plan.reference.as_ref();
    let reference = reference.map(|to| to.resolve(scope, (&table.name, key))).transpose()?;
    let mut config = table.bucket.config.clone();
    config["schema"][&plan.name] = Json::Object(plan.field(reference.as_deref()));
    if !config["sql"].is_object() {
        config["sql"] = Json::Object(Map::new());
    }
    config["sql"]["columns"][&plan.name] = plan.known();
    if !plan.checks.is_empty() {
        let checks = &mut config["sql"]["checks"];
        let mut all = checks.as_array().cloned().unwrap_or_default();
        all.extend(plan.checks.iter().cloned());
        *checks = Json::Array(all);
    }
    let fill = match plan.default {
        Some(Default::Constant(_, json)) => vec![FieldChange::Fill(plan.name, json)],
        _ => Vec::new(),
    };
    Ok(altered(table, config, fill))
}

/// Whether the rows that are there may have the column.
fn check_rows(scope: &Scope<'_>, table: &Table, plan: &ColumnPlan) -> Result<()> {
    let value = match &plan.default {
        None if plan.not_null => {
            return Err(sql_error("Cannot add a NOT NULL column with default value NULL"));
        }
        None => Value::Null,
        Some(Default::Expression(_)) => {
            return Err(sql_error("Cannot add a column with non-constant default"));
        }
        Some(Default::Constant(..)) if plan.reference.is_some() => {
            return Err(sql_error("Cannot add a REFERENCES column with non-NULL default value"));
        }
        Some(Default::Constant(value, _)) => value.clone(),
    };
    for check in &plan.checks {
        let expression = check["expression"].as_str().unwrap_or_default();
        // A record may have had the field before it became a column.
        let found = scope.evaluate(
            &format!(
                "SELECT EXISTS (SELECT 1 FROM (SELECT *, coalesce(_record ->> ?1, ?2) AS {} FROM {})
                 WHERE NOT ({expression}))",
                quoted(&plan.name),
                quoted(&table.name)
            ),
            &[Value::Text(plan.name.clone()), value.clone()],
        )?;
        if found != [Value::Integer(0)] {
            let shown = json!(check["name"].as_str().unwrap_or(expression));
            return Err(Error::new(
                Code::ConstraintViolation,
                format!("CHECK constraint failed: {}", shown.as_str().unwrap_or_default()),
            )
            .with("bucket", &*table.name)
            .with("check", shown));
        }
    }
    Ok(())
}
