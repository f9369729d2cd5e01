use crate::row::encode::{write_string, write_unsigned};
use crate::row::{EXPIRES_AT, Metadata, Row};

impl Row {
    /// Appends the record as JSON, as [`to_value`](Row::to_value) orders it.
    /// Cost: a copy of the body.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let body = self.body();
        let expires_at =
            self.field_count().checked_sub(1).map(|last| self.offset(last)).filter(|offset| {
                let rest = &body[*offset + 1..];
                rest.strip_prefix(EXPIRES_AT.as_bytes())
                    .is_some_and(|rest| rest.starts_with(b"\":"))
            });
        // Up to the comma before `_expiresAt`, or to the closing brace.
        let head = match expires_at {
            Some(offset) if offset > 1 => &body[..offset - 1],
            Some(_) => &body[..1],
            None => &body[..body.len() - 1],
        };
        // Names and digits, and the last brace.
        out.reserve(body.len() + 100);
        out.extend_from_slice(head);
        let Metadata { version, created_at, updated_at, .. } = self.metadata();
        out.extend_from_slice(if head.len() > 1 { b",\"_version\":" } else { b"\"_version\":" });
        write_unsigned(out, version);
        out.extend_from_slice(b",\"_createdAt\":");
        let created = out.len();
        write_unsigned(out, created_at);
        let created = created..out.len();
        out.extend_from_slice(b",\"_updatedAt\":");
        // Never updated: the same digits again.
        if updated_at == created_at {
            out.extend_from_within(created);
        } else {
            write_unsigned(out, updated_at);
        }
        match expires_at {
            Some(offset) => {
                out.push(b',');
                out.extend_from_slice(&body[offset..]);
            }
            None => out.push(b'}'),
        }
    }

    /// Appends an object with exactly the named top-level fields, in the order
    /// of `names`; metadata may be among them, absent fields are left out.
    pub fn write_projection<N: AsRef<str>>(&self, names: &[N], out: &mut Vec<u8>) {
        out.push(b'{');
        let mut empty = true;
        for (index, name) in names.iter().enumerate() {
            let name = name.as_ref();
            if names[..index].iter().any(|earlier| earlier.as_ref() == name) {
                continue;
            }
            let metadata = self.metadata_field(name);
            let text = self.field_text(name).filter(|_| metadata.is_none());
            if metadata.is_none() && text.is_none() {
                continue;
            }
            if !std::mem::take(&mut empty) {
                out.push(b',');
            }
            write_string(out, name);
            out.push(b':');
            match metadata {
                Some(number) => write_unsigned(out, number),
                None => out.extend_from_slice(text.unwrap_or_default()),
            }
        }
        out.push(b'}');
    }
}
