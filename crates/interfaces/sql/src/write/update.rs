//! UPDATE.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tandem_base::Result;
use tandem_record::key;

use crate::session::Done;
use crate::write::assign::{assign, places};
use crate::write::parse::{Update, named};
use crate::write::writer::Writer;

pub(crate) fn run(writer: &mut Writer<'_>, update: &Update) -> Result<Option<Done>> {
    let places = places(&writer.table, &update.assignments)?;
    let mut list = writer.key_expression();
    for assignment in &update.assignments {
        list += ", ";
        list += &assignment.expression;
    }
    let table = named(&writer.table.name, &writer.writing.alias);
    let Update { with, from, rest, resolution, .. } = update;
    let (_, found) = writer.scope.rows(&format!("{with}SELECT {list} FROM {table}{from}{rest}"))?;
    let mut rows = Vec::with_capacity(found.len());
    // A row that FROM finds often gets the values that were found last.
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    for mut values in found {
        let key = writer.key_of(&values.remove(0));
        if !from.is_empty() {
            match known.entry(key::encode_key(&key)?) {
                Entry::Occupied(before) => {
                    rows[*before.get()] = (key, values);
                    continue;
                }
                Entry::Vacant(first) => {
                    first.insert(rows.len());
                }
            }
        }
        rows.push((key, values));
    }
    for (key, values) in rows {
        writer.scope.check_time()?;
        match assign(writer, &key, &places, &values, *resolution) {
            Ok(Some(row)) => writer.changed(&row)?,
            Ok(None) => {}
            Err(failure) => {
                if let Some(done) = failure.resolve(*resolution)? {
                    return Ok(Some(done));
                }
            }
        }
    }
    Ok(None)
}
