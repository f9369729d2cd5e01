use tandem_base::Result;

use crate::catalog::definition::{IndexDefinition, IndexState};
use crate::filter::Filter;
use crate::row::Row;
use crate::value::Path;

/// One part of an index.
#[derive(Clone, Debug)]
pub struct IndexPart {
    /// Where the value is.
    pub path: Path,
    /// Whether larger values come first.
    pub descending: bool,
    /// Whether no record of the bucket can have an array there, so that an
    /// equality on the part is one contiguous range of the index.
    pub scalar: bool,
}

/// An index, compiled.
#[derive(Clone, Debug)]
pub struct Index {
    /// Names the index's entries; never reused.
    pub id: u32,
    /// Its name within the bucket.
    pub name: String,
    /// The indexed values, most significant first.
    pub parts: Vec<IndexPart>,
    /// At most one record per combination of non-null values.
    pub unique: bool,
    /// One entry per element of an array.
    pub multi: bool,
    /// Only records that match are in the index.
    pub filter: Option<Filter>,
    /// Whether it may be read.
    pub state: IndexState,
    /// Whether Tandem made it for its own needs.
    pub internal: bool,
    /// The parts as a person writes them: `a`, `b.c`, `-d`.
    pub fields: Vec<String>,
    /// Whether one transaction may not read it, see [`withhold`](super::withhold).
    pub(crate) withheld: bool,
}

impl Index {
    pub(crate) fn compile(
        definition: IndexDefinition,
        scalar: impl Fn(&Path) -> bool,
    ) -> Result<Self> {
        let IndexDefinition { id, name, fields, unique, multi, filter, state, internal } =
            definition;
        let parts = fields
            .iter()
            .map(|field| {
                let path = Path::parse(field.strip_prefix('-').unwrap_or(field))?;
                let scalar = scalar(&path);
                Ok(IndexPart { path, descending: field.starts_with('-'), scalar })
            })
            .collect::<Result<_>>()?;
        let filter = filter.map(|filter| Filter::parse(&filter)).transpose()?;
        Ok(Self {
            id,
            name,
            parts,
            unique,
            multi,
            filter,
            state,
            internal,
            fields,
            withheld: false,
        })
    }

    /// Whether reads may use it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_complete() && !self.withheld
    }

    /// Whether every committed record has its entries, with the commit of the
    /// index at the latest.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == IndexState::Ready
    }

    /// Whether two images of a record have the same entries for sure, without
    /// deriving them: nothing that the index looks at differs in its text.
    pub(crate) fn sees_alike(&self, one: &Row, other: &Row) -> bool {
        let alike = |part: &IndexPart| {
            let name = part.path.first();
            !name.starts_with('_') && one.field_text(name) == other.field_text(name)
        };
        self.filter.is_none() && self.parts.iter().all(alike)
    }

    /// The same index, not to be read by one transaction.
    pub(crate) fn withheld(&self) -> Self {
        Self { withheld: true, ..self.clone() }
    }
}
