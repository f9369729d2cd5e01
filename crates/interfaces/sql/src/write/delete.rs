//! DELETE.

use tandem_base::Result;

use crate::session::Done;
use crate::write::parse::{Delete, named};
use crate::write::writer::Writer;

pub(crate) fn run(writer: &mut Writer<'_>, delete: &Delete) -> Result<Option<Done>> {
    let key = writer.key_expression();
    let table = named(&writer.table.name, &writer.writing.alias);
    let Delete { with, rest } = delete;
    let (_, found) = writer.scope.rows(&format!("{with}SELECT {key} FROM {table}{rest}"))?;
    for values in found {
        writer.scope.check_time()?;
        let Some(key) = values.first().map(|value| writer.key_of(value)) else { continue };
        if writer.returns() {
            let Some(row) = writer.get(&key)? else { continue };
            writer.delete(&key)?;
            writer.changed(&row)?;
        } else if writer.delete(&key)? {
            // Others may have gone with one before them.
            writer.count();
        }
    }
    Ok(None)
}
