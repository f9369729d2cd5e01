use serde_json::{Map, Value};
use tandem_base::{Environment, Result};

use crate::schema::{Generated, Schema};

impl Schema {
    /// Adds what an insert left out: generated values, then defaults, each in
    /// the order of the schema. A value that is there stays, null included.
    ///
    /// `autoincrement` draws the bucket's next number. It is asked at most
    /// once, and only if a field needs it.
    ///
    /// # Errors
    /// Those of `autoincrement`; the record is then half filled.
    pub fn fill(
        &self,
        record: &mut Map<String, Value>,
        environment: &Environment,
        now_ms: u64,
        mut autoincrement: impl FnMut() -> Result<u64>,
    ) -> Result<()> {
        let mut drawn = None;
        for (name, definition) in self.fields() {
            let Some(generated) = definition.generated else { continue };
            if record.contains_key(name) {
                continue;
            }
            let value = match generated {
                Generated::Uuid => uuid(environment.random.next_u128()).into(),
                Generated::Cuid => format!("c{:032x}", environment.random.next_u128()).into(),
                Generated::Timestamp => now_ms.into(),
                Generated::Autoincrement => match drawn {
                    Some(number) => number,
                    None => *drawn.insert(autoincrement()?),
                }
                .into(),
            };
            record.insert(name.to_owned(), value);
        }
        for (name, definition) in self.fields() {
            if let Some(default) = &definition.default
                && !record.contains_key(name)
            {
                record.insert(name.to_owned(), default.clone());
            }
        }
        Ok(())
    }
}

/// Random bits as a UUID of version 4.
fn uuid(random: u128) -> String {
    const VERSION: u128 = 0xF << 76;
    const VARIANT: u128 = 0b11 << 62;
    let bits = random & !VERSION & !VARIANT | (4 << 76) | (0b10 << 62);
    let digits = format!("{bits:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
