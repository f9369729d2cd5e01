//! A checker of our own, written from the definitions and not from adya or
//! Elle, to notice if theirs sees nothing.
//!
//! Transactions are vertices. Of each key the order of versions is known: for
//! lists from the longest read, for registers from the revisions of commits.
//! It gives the dependencies
//!
//! ```text
//! ww   installed the next version      wr   read what the other installed
//! rw   read what the other overwrote   rt   ended before the other began
//! ```
//! where `rt` runs over a chain of instants, so that it costs an edge per
//! operation and not per pair. A level forbids cycles:
//!
//! ```text
//! G0         ww
//! G1c        ww wr
//! G-SI       ww wr rt, and rw, but never two rw in a row
//! serial     ww wr rw rt
//! ```
//! "Never two in a row" is a walk over pairs of vertex and "an rw may follow",
//! so every question is whether some graph has a strongly connected component.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::history::{History, Kind, Model, Step};

/// What a history shows.
pub type Findings = BTreeSet<&'static str>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Ww,
    Wr,
    Rw,
    Rt,
}

/// Everything that is wrong with a history, at any level.
#[must_use]
pub fn find(history: &History) -> Findings {
    let mut findings = Findings::new();
    let book = Book::new(history, &mut findings);
    let graph = book.graph(history);
    let real_time = instants(history, graph);
    for (name, allowed, spaced) in [
        ("G0", &[Edge::Ww][..], false),
        ("G1c", &[Edge::Ww, Edge::Wr], false),
        ("G1c-realtime", &[Edge::Ww, Edge::Wr, Edge::Rt], false),
        ("G-SI", &[Edge::Ww, Edge::Wr, Edge::Rw], true),
        ("G-SI-realtime", &[Edge::Ww, Edge::Wr, Edge::Rw, Edge::Rt], true),
        ("G2", &[Edge::Ww, Edge::Wr, Edge::Rw], false),
        ("G2-realtime", &[Edge::Ww, Edge::Wr, Edge::Rw, Edge::Rt], false),
    ] {
        if is_cyclic(&real_time, allowed, spaced) {
            findings.insert(name);
        }
    }
    findings
}

/// What the findings may not contain at a level.
#[must_use]
pub fn forbidden(level: &str) -> &'static [&'static str] {
    const READ_COMMITTED: &[&str] =
        &["G1a", "G1b", "G0", "G1c", "G1c-realtime", "garbage", "order", "duplicate", "lost"];
    const SNAPSHOT: &[&str] = &[
        "G1a",
        "G1b",
        "G0",
        "G1c",
        "G1c-realtime",
        "garbage",
        "order",
        "duplicate",
        "lost",
        "internal",
        "G-SI",
        "G-SI-realtime",
    ];
    const SERIALIZABLE: &[&str] = &[
        "G1a",
        "G1b",
        "G0",
        "G1c",
        "G1c-realtime",
        "garbage",
        "order",
        "duplicate",
        "lost",
        "internal",
        "G-SI",
        "G-SI-realtime",
        "G2",
        "G2-realtime",
    ];
    match level {
        "read committed" => READ_COMMITTED,
        "snapshot" => SNAPSHOT,
        _ => SERIALIZABLE,
    }
}

/// Who wrote what, and in which order.
struct Book {
    /// Key and value: the completion that wrote it, and whether it wrote the
    /// key again afterwards.
    writer: HashMap<(u64, u64), (usize, bool)>,
    /// Each key's versions, oldest first.
    order: BTreeMap<u64, Vec<u64>>,
}

impl Book {
    fn new(history: &History, findings: &mut Findings) -> Self {
        let mut writer: HashMap<(u64, u64), (usize, bool)> = HashMap::new();
        for (place, operation) in history.operations.iter().enumerate() {
            if operation.kind == Kind::Invoke {
                continue;
            }
            let mut last: HashMap<u64, u64> = HashMap::new();
            for step in &operation.steps {
                if let Step::Append { key, value } | Step::Write { key, value } = step {
                    if let Some(before) = last.insert(*key, *value)
                        && let Some(written) = writer.get_mut(&(*key, before))
                    {
                        written.1 = true;
                    }
                    writer.insert((*key, *value), (place, false));
                }
            }
        }
        let mut book = Self { writer, order: BTreeMap::new() };
        book.judge_reads(history, findings);
        match history.model {
            Model::Lists => book.order_of_lists(history, findings),
            Model::Registers => book.order_of_registers(history),
        }
        book
    }

    /// Aborted, intermediate, invented and inconsistent reads.
    fn judge_reads(&self, history: &History, findings: &mut Findings) {
        for (place, operation) in history.operations.iter().enumerate() {
            if operation.kind != Kind::Ok {
                continue;
            }
            let mut known: HashMap<u64, Known> = HashMap::new();
            for step in &operation.steps {
                match step {
                    Step::Append { key, value } => {
                        known.entry(*key).or_default().values.push(*value);
                    }
                    Step::Write { key, value } => {
                        known.insert(*key, Known { whole: true, values: vec![*value] });
                    }
                    Step::Read { key, values } => {
                        let values = values.clone().unwrap_or_default();
                        self.judge_read(history, place, *key, &values, findings);
                        if known.get(key).is_some_and(|known| !known.agrees(&values)) {
                            findings.insert("internal");
                        }
                        known.insert(*key, Known { whole: true, values });
                    }
                }
            }
        }
    }

    fn judge_read(
        &self,
        history: &History,
        reader: usize,
        key: u64,
        values: &[u64],
        findings: &mut Findings,
    ) {
        for value in values {
            match self.writer.get(&(key, *value)) {
                None => _ = findings.insert("garbage"),
                Some((writer, _)) if history.operations[*writer].kind == Kind::Fail => {
                    findings.insert("G1a");
                }
                Some(_) => {}
            }
        }
        if let Some(last) = values.last()
            && let Some((writer, again)) = self.writer.get(&(key, *last))
            && *again
            && *writer != reader
        {
            findings.insert("G1b");
        }
        let distinct: BTreeSet<&u64> = values.iter().collect();
        if distinct.len() != values.len() {
            findings.insert("duplicate");
        }
    }

    /// The longest read; every other one must be its beginning. A value that a
    /// commit appended and that a later beginning does not have is lost.
    fn order_of_lists(&mut self, history: &History, findings: &mut Findings) {
        let committed = || history.operations.iter().filter(|o| o.kind == Kind::Ok);
        for step in committed().flat_map(|operation| &operation.steps) {
            if let Step::Read { key, values: Some(values) } = step {
                let longest = self.order.entry(*key).or_default();
                if values.len() > longest.len() {
                    longest.clone_from(values);
                }
            }
        }
        for step in committed().flat_map(|operation| &operation.steps) {
            match step {
                Step::Read { key, values: Some(values) } => {
                    if !self.order[key].starts_with(values) {
                        findings.insert("order");
                    }
                }
                Step::Append { .. } | Step::Write { .. } | Step::Read { .. } => {}
            }
        }
        self.find_lost(history, findings);
        // What was appended and never read came after everything that was.
        for ((key, value), (writer, _)) in sorted(&self.writer) {
            if history.operations[writer].kind == Kind::Ok {
                let order = self.order.entry(key).or_default();
                if !order.contains(&value) {
                    // One such value per key has a place; of several, none is known.
                    self.unread_after(history, key, value);
                }
            }
        }
    }

    /// The one unread value of a key goes to the end.
    fn unread_after(&mut self, history: &History, key: u64, value: u64) {
        let unread = self.writer.iter().filter(|((k, v), (writer, _))| {
            *k == key
                && history.operations[*writer].kind != Kind::Fail
                && !self.order[&key].contains(v)
        });
        if unread.count() == 1
            && let Some(order) = self.order.get_mut(&key)
        {
            order.push(value);
        }
    }

    /// An acknowledged append that a read, begun after its end, does not show.
    fn find_lost(&self, history: &History, findings: &mut Findings) {
        let pairs = history.pairs();
        // Per key: when each committed value was acknowledged.
        let mut acknowledged: HashMap<u64, Vec<(usize, u64)>> = HashMap::new();
        for (place, operation) in history.operations.iter().enumerate() {
            if operation.kind != Kind::Ok {
                continue;
            }
            for step in &operation.steps {
                if let Step::Append { key, value } = step {
                    acknowledged.entry(*key).or_default().push((place, *value));
                }
            }
        }
        for (place, operation) in history.operations.iter().enumerate() {
            let Some(begin) = pairs.get(&place).filter(|_| operation.kind == Kind::Ok) else {
                continue;
            };
            for step in &operation.steps {
                let Step::Read { key, values: Some(values) } = step else { continue };
                let present: BTreeSet<&u64> = values.iter().collect();
                let before = acknowledged.get(key).into_iter().flatten();
                let mut before = before.take_while(|(at, _)| at < begin);
                if before.any(|(_, value)| !present.contains(value)) {
                    findings.insert("lost");
                }
            }
        }
    }

    fn order_of_registers(&mut self, history: &History) {
        let mut versions: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        for ((key, value), (writer, again)) in sorted(&self.writer) {
            let operation = &history.operations[writer];
            if let Some(revision) = operation.revision.filter(|_| operation.kind == Kind::Ok)
                && !again
            {
                versions.entry(key).or_default().push((revision, value));
            }
        }
        for (key, mut versions) in versions {
            versions.sort_unstable();
            self.order.insert(key, versions.into_iter().map(|(_, value)| value).collect());
        }
    }

    /// The dependencies between completions that committed or may have.
    fn graph(&self, history: &History) -> Vec<Vec<(usize, Edge)>> {
        let mut edges = vec![Vec::new(); history.operations.len()];
        let writer_of = |key: u64, value: u64| self.writer.get(&(key, value)).map(|found| found.0);
        let mut place_of: HashMap<(u64, u64), usize> = HashMap::new();
        for (key, order) in &self.order {
            for (place, value) in order.iter().enumerate() {
                place_of.insert((*key, *value), place);
                let pair = (place > 0).then(|| writer_of(*key, order[place - 1])).flatten();
                if let (Some(before), Some(after)) = (pair, writer_of(*key, *value))
                    && before != after
                {
                    edges[before].push((after, Edge::Ww));
                }
            }
        }
        for (reader, operation) in history.operations.iter().enumerate() {
            if operation.kind != Kind::Ok {
                continue;
            }
            for step in &operation.steps {
                let Step::Read { key, values } = step else { continue };
                let last = values.as_ref().and_then(|values| values.last());
                if let Some(writer) = last.and_then(|last| writer_of(*key, *last))
                    && writer != reader
                {
                    edges[writer].push((reader, Edge::Wr));
                }
                let next = match last {
                    None => 0,
                    Some(last) => match place_of.get(&(*key, *last)) {
                        Some(place) => place + 1,
                        // An own intermediate version.
                        None => continue,
                    },
                };
                let next = self.order.get(key).and_then(|order| order.get(next));
                if let Some(writer) = next.and_then(|next| writer_of(*key, *next))
                    && writer != reader
                {
                    edges[reader].push((writer, Edge::Rw));
                }
            }
        }
        edges
    }
}

/// What a transaction knows of a key by its own steps: all of it, or how it
/// ends.
#[derive(Default)]
struct Known {
    whole: bool,
    values: Vec<u64>,
}

impl Known {
    fn agrees(&self, values: &[u64]) -> bool {
        if self.whole { self.values == values } else { values.ends_with(&self.values) }
    }
}

fn sorted(writer: &HashMap<(u64, u64), (usize, bool)>) -> Vec<((u64, u64), (usize, bool))> {
    let mut all: Vec<_> = writer.iter().map(|(written, by)| (*written, *by)).collect();
    all.sort_unstable();
    all
}

/// Adds the chain of instants: vertex `n + i` is the moment after line `i`.
fn instants(history: &History, mut edges: Vec<Vec<(usize, Edge)>>) -> Vec<Vec<(usize, Edge)>> {
    let lines = history.operations.len();
    let pairs = history.pairs();
    edges.resize(2 * lines, Vec::new());
    for (line, operation) in history.operations.iter().enumerate() {
        if line + 1 < lines {
            edges[lines + line].push((lines + line + 1, Edge::Rt));
        }
        match operation.kind {
            Kind::Ok => edges[line].push((lines + line, Edge::Rt)),
            Kind::Invoke => {
                if let Some(completion) = pairs.get(&line) {
                    edges[lines + line].push((*completion, Edge::Rt));
                }
            }
            Kind::Fail | Kind::Info => {}
        }
    }
    edges
}

/// Whether some cycle uses these edges only; `spaced`: and never two rw in a
/// row.
fn is_cyclic(graph: &[Vec<(usize, Edge)>], allowed: &[Edge], spaced: bool) -> bool {
    // Vertex 2v: only others may follow; 2v + 1: an rw may follow.
    let next = |state: usize| {
        let (vertex, free) = (state / 2, state % 2 == 1);
        graph[vertex].iter().filter_map(move |(to, edge)| {
            if !allowed.contains(edge) {
                return None;
            }
            match edge {
                Edge::Rw if spaced => free.then_some(2 * to),
                _ => Some(2 * to + 1),
            }
        })
    };
    has_cycle(2 * graph.len(), next)
}

/// Depth first, without recursion: a way back to an open vertex is a cycle.
fn has_cycle<I: Iterator<Item = usize>>(states: usize, next: impl Fn(usize) -> I) -> bool {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; states];
    for root in 0..states {
        if marks[root] != Mark::New {
            continue;
        }
        marks[root] = Mark::Open;
        let mut path = vec![(root, next(root))];
        while let Some((state, successors)) = path.last_mut() {
            match successors.next() {
                Some(to) if marks[to] == Mark::Open => return true,
                Some(to) if marks[to] == Mark::New => {
                    marks[to] = Mark::Open;
                    path.push((to, next(to)));
                }
                Some(_) => {}
                None => {
                    marks[*state] = Mark::Done;
                    path.pop();
                }
            }
        }
    }
    false
}
