//! CREATE TABLE.

use serde_json::{Value as Json, json};
use sqlparser::ast::{self, TableConstraint};
use tandem::BucketConfig;
use tandem_base::Result;

use crate::conversion;
use crate::define::column::{self, ColumnPlan, Reference};
use crate::define::config::TablePlan;
use crate::define::scratch::Scratch;
use crate::define::{names, unsupported};
use crate::output::{OutputColumn, sql_error};
use crate::scope::Scope;
use crate::table::Affinity;
use crate::value::Value;

pub(super) fn run(scope: &Scope<'_>, create: &ast::CreateTable, text: &str) -> Result<()> {
    if create.temporary {
        return Err(unsupported("TEMP TABLE"));
    }
    let name = names::of_object(&create.name)?;
    if scope.shared.table(&name).is_some() {
        return if create.if_not_exists { Ok(()) } else { Err(names::table_exists(&name)) };
    }
    names::check_reserved(&name)?;
    if let Some(query) = &create.query {
        if !create.columns.is_empty() || !create.constraints.is_empty() {
            return Err(sql_error("near \"AS\": syntax error"));
        }
        return of_query(scope, name, &query.to_string());
    }
    Scratch::new(scope)?.run(text)?;
    let mut columns = Vec::with_capacity(create.columns.len());
    for definition in &create.columns {
        columns.push(ColumnPlan::of(scope, &name, definition)?);
    }
    let mut plan = TablePlan::new(name, columns);
    for constraint in &create.constraints {
        take(&mut plan, constraint)?;
    }
    define(scope, &plan)
}

fn define(scope: &Scope<'_>, plan: &TablePlan) -> Result<()> {
    let config = BucketConfig::from_json(plan.config(scope)?)?;
    scope.transaction.define_bucket(&plan.name, config)
}

/// Adds a constraint of the table to the plan.
fn take(plan: &mut TablePlan, constraint: &TableConstraint) -> Result<()> {
    let names_of = |columns: &[ast::IndexColumn]| -> Result<Vec<String>> {
        columns.iter().map(|part| names::of_column(&part.column.expr, "a constraint")).collect()
    };
    match constraint {
        TableConstraint::PrimaryKey(key) => {
            column::check_characteristics(key.characteristics.as_ref())?;
            plan.primary_key = plan.places(&names_of(&key.columns)?)?;
        }
        TableConstraint::Unique(unique) => {
            column::check_characteristics(unique.characteristics.as_ref())?;
            let columns = plan.places(&names_of(&unique.columns)?)?;
            plan.add_unique(unique.name.as_ref().map(|name| name.value.clone()), columns);
        }
        TableConstraint::ForeignKey(key) => {
            let [column] = key.columns.as_slice() else {
                return Err(unsupported("FOREIGN KEY of several columns"));
            };
            let at = plan.places(std::slice::from_ref(&column.value))?[0];
            if plan.columns[at].reference.replace(Reference::of(key)?).is_some() {
                return Err(unsupported("A column with two references"));
            }
        }
        TableConstraint::Check(check) => {
            let name = check.name.as_ref().map(|name| name.value.as_str());
            let check = column::check_config(&plan.name, name, &check.expr);
            plan.checks.push(check);
        }
        other => return Err(unsupported(&other.to_string())),
    }
    Ok(())
}

/// CREATE TABLE … AS SELECT: the names of the query's columns and the kinds of
/// their values, without any constraint.
fn of_query(scope: &Scope<'_>, name: String, query: &str) -> Result<()> {
    let (columns, rows) = scope.rows(query)?;
    let mut plans: Vec<ColumnPlan> = Vec::with_capacity(columns.len());
    for OutputColumn { name, declared_type } in columns.iter() {
        let affinity = declared_type
            .as_deref()
            .map_or(Some(Affinity::Any), Affinity::of_declared)
            .ok_or_else(|| unsupported("Type BLOB"))?;
        let name = unused(name, &plans);
        names::check_column(&name)?;
        plans.push(ColumnPlan {
            name,
            declared: declared_type.clone().unwrap_or_default(),
            affinity,
            not_null: false,
            default: None,
            unique: false,
            primary_key: false,
            reference: None,
            checks: Vec::new(),
        });
    }
    let plan = TablePlan::new(name, plans);
    define(scope, &plan)?;
    let bucket = scope.transaction.bucket(plan.name.as_str());
    for row in rows {
        bucket.insert(record(scope, &plan.columns, &row)?)?;
    }
    Ok(())
}

/// As SQLite tells columns of one name apart: `a`, `a:1`.
fn unused(name: &str, taken: &[ColumnPlan]) -> String {
    let is_taken = |name: &str| taken.iter().any(|plan| plan.name.eq_ignore_ascii_case(name));
    if !is_taken(name) {
        return name.to_owned();
    }
    let numbered = (1..).map(|n: u32| format!("{name}:{n}"));
    numbered.into_iter().find(|name| !is_taken(name)).unwrap_or_default()
}

fn record(scope: &Scope<'_>, columns: &[ColumnPlan], row: &[Value]) -> Result<Json> {
    let mut record = serde_json::Map::with_capacity(columns.len());
    for (plan, value) in columns.iter().zip(row) {
        let json = conversion::stored(scope, plan.affinity, value)?.ok_or_else(|| {
            sql_error(format!("Column {} has a value that a record cannot have", plan.name))
                .with("column", plan.name.as_str())
        })?;
        record.insert(plan.name.clone(), json);
    }
    Ok(json!(record))
}
