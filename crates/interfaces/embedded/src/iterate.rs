//! Streaming reads.

use std::collections::VecDeque;
use std::sync::Arc;

use tandem_base::Result;
use tandem_query::{Query, Stream};
use tandem_transaction::Transaction as Engine;

use crate::record::Record;
use crate::session::Session;

/// The records of a read, one after the other; from
/// [`Find::iter`](crate::Find::iter).
///
/// Records are fetched in portions of
/// [`Limits::iterator_records`](crate::Limits::iterator_records). The first
/// error ends the iteration.
pub struct Rows<'a> {
    source: Source<'a>,
    stream: Stream,
    fields: Option<Arc<[String]>>,
    portion: VecDeque<Record>,
    ended: bool,
}

enum Source<'a> {
    /// One revision, held for the whole iteration.
    Snapshot(Session<'a>, Box<Engine>),
    /// An open transaction, asked again for each portion.
    Open(Session<'a>),
}

impl<'a> Rows<'a> {
    pub(crate) fn new(
        session: Session<'a>,
        query: Query,
        fields: Option<Arc<[String]>>,
    ) -> Result<Self> {
        let source = match session {
            Session::Autocommit(store) => {
                let read = Engine::read(store.coordination()?.clone())?;
                Source::Snapshot(session, Box::new(read))
            }
            Session::Open(_) => Source::Open(session),
        };
        let (stream, portion) = (Stream::new(query), VecDeque::new());
        let mut rows = Self { source, stream, fields, portion, ended: false };
        rows.fetch()?;
        Ok(rows)
    }

    /// Fetches the next portion. An empty one, or an error, is the end.
    fn fetch(&mut self) -> Result<()> {
        let Self { source, stream, .. } = self;
        let (Source::Snapshot(session, _) | Source::Open(session)) = source;
        let store = session.store();
        let n = store.limits().iterator_records.max(1);
        self.ended = true;
        let rows = match source {
            Source::Snapshot(_, read) => {
                store.coordination()?;
                stream.next_chunk(store.records(), read, n)?
            }
            Source::Open(session) => {
                session.read(|records, tx| stream.next_chunk(records, tx, n))?
            }
        };
        self.ended = rows.is_empty();
        let fields = self.fields.as_ref();
        self.portion.extend(rows.into_iter().map(|row| Record::showing(row, fields)));
        Ok(())
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.portion.is_empty()
            && !self.ended
            && let Err(error) = self.fetch()
        {
            return Some(Err(error));
        }
        self.portion.pop_front().map(Ok)
    }
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("ended", &self.ended).finish_non_exhaustive()
    }
}
