//! What of a directory is durable, what is on its way, and what a cut leaves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_base::{Random, SeededRandom};

use super::{BaseNode, Fate, Image, Node, Operation, ROOT, SECTOR};

/// A disk at one moment.
#[derive(Clone, Debug)]
pub struct DiskModel {
    nodes: BTreeMap<Node, Kind>,
    /// Operations so far: the time.
    clock: u64,
}

#[derive(Clone, Debug)]
enum Kind {
    File(File),
    Directory(Directory),
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Arc<Vec<u8>>,
    live: Arc<Vec<u8>>,
    pending: Vec<(u64, FileChange)>,
}

#[derive(Clone, Debug)]
enum FileChange {
    Write { offset: u64, bytes: Arc<[u8]> },
    Resize(u64),
}

type Entries = BTreeMap<Arc<str>, Node>;

#[derive(Clone, Debug, Default)]
struct Directory {
    durable: Entries,
    live: Entries,
    pending: Vec<(u64, EntryChange)>,
}

#[derive(Clone, Debug)]
enum EntryChange {
    Add(Arc<str>, Node),
    Remove(Arc<str>),
    Rename(Arc<str>, Arc<str>, Node),
}

impl DiskModel {
    pub(super) fn new(base: &[(Node, BaseNode)]) -> Self {
        let nodes = base.iter().map(|(node, base)| {
            let kind = match base {
                BaseNode::File(bytes) => Kind::File(File {
                    durable: bytes.clone(),
                    live: bytes.clone(),
                    pending: Vec::new(),
                }),
                BaseNode::Directory(entries) => {
                    let durable: Entries = entries.iter().cloned().collect();
                    let live = durable.clone();
                    Kind::Directory(Directory { durable, live, pending: Vec::new() })
                }
            };
            (*node, kind)
        });
        Self { nodes: nodes.collect(), clock: 0 }
    }

    /// One operation later.
    ///
    /// # Panics
    /// When the operation makes no sense for what is there.
    pub fn apply(&mut self, operation: &Operation) {
        self.clock += 1;
        let clock = self.clock;
        match operation {
            Operation::Make { parent, name, node, is_directory } => {
                let kind = if *is_directory {
                    Kind::Directory(Directory::default())
                } else {
                    Kind::File(File::default())
                };
                self.nodes.insert(*node, kind);
                self.directory(*parent).change(clock, EntryChange::Add(name.clone(), *node));
            }
            Operation::Rename { parent, from, to, node } => self
                .directory(*parent)
                .change(clock, EntryChange::Rename(from.clone(), to.clone(), *node)),
            Operation::Remove { parent, name } => {
                self.directory(*parent).change(clock, EntryChange::Remove(name.clone()));
            }
            Operation::SyncDirectory { node } => {
                let directory = self.directory(*node);
                directory.durable = directory.live.clone();
                directory.pending.clear();
            }
            Operation::Write { node, offset, bytes } => {
                let change = FileChange::Write { offset: *offset, bytes: bytes.clone() };
                self.file(*node).change(clock, change);
            }
            Operation::Resize { node, length } => {
                self.file(*node).change(clock, FileChange::Resize(*length));
            }
            Operation::SyncFile { node } => {
                let file = self.file(*node);
                file.durable = file.live.clone();
                file.pending.clear();
            }
        }
    }

    fn file(&mut self, node: Node) -> &mut File {
        match self.nodes.get_mut(&node) {
            Some(Kind::File(file)) => file,
            _ => panic!("node {node} is no file"),
        }
    }

    fn directory(&mut self, node: Node) -> &mut Directory {
        match self.nodes.get_mut(&node) {
            Some(Kind::Directory(directory)) => directory,
            _ => panic!("node {node} is no directory"),
        }
    }

    /// How many changes are on their way.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.times().len()
    }

    fn times(&self) -> Vec<u64> {
        let mut times: Vec<_> = self
            .nodes
            .values()
            .flat_map(|kind| match kind {
                Kind::File(file) => file.pending.iter().map(|(time, _)| *time).collect::<Vec<_>>(),
                Kind::Directory(directory) => {
                    directory.pending.iter().map(|(time, _)| *time).collect()
                }
            })
            .collect();
        times.sort_unstable();
        times
    }

    /// The files as the running process sees them.
    #[must_use]
    pub fn live(&self) -> Image {
        self.after(Fate::Kept)
    }

    /// The files that a power cut at this moment leaves.
    #[must_use]
    pub fn after(&self, fate: Fate) -> Image {
        let mut chance = match fate {
            Fate::Lost | Fate::Kept => Chance::new(0),
            Fate::Prefix(seed) | Fate::Torn(seed) => Chance::new(seed),
        };
        let kept = match fate {
            Fate::Prefix(_) => {
                let times = self.times();
                let count = chance.up_to(times.len() as u64) as usize;
                let last = count.checked_sub(1).map_or(0, |last| times[last]);
                Some(Prefix { last, share: chance.up_to(1 << 16) as f64 / f64::from(1 << 16) })
            }
            _ => None,
        };
        let mut image = Image::default();
        self.add(&mut image, Path::new(""), ROOT, fate, kept, &mut chance);
        image
    }

    fn add(
        &self,
        image: &mut Image,
        path: &Path,
        node: Node,
        fate: Fate,
        prefix: Option<Prefix>,
        chance: &mut Chance,
    ) {
        match self.nodes.get(&node) {
            Some(Kind::File(file)) => {
                image.add_file(path.to_owned(), file.after(fate, prefix, chance));
            }
            Some(Kind::Directory(directory)) => {
                if node != ROOT {
                    image.add_directory(PathBuf::from(path));
                }
                for (name, node) in directory.after(fate, prefix, chance) {
                    self.add(image, &path.join(&*name), node, fate, prefix, chance);
                }
            }
            None => panic!("node {node} was never made"),
        }
    }
}

/// Up to which operation, and how much of that one.
#[derive(Clone, Copy)]
struct Prefix {
    last: u64,
    share: f64,
}

impl Directory {
    fn change(&mut self, time: u64, change: EntryChange) {
        change.apply(&mut self.live);
        self.pending.push((time, change));
    }

    fn after(&self, fate: Fate, prefix: Option<Prefix>, chance: &mut Chance) -> Entries {
        let count = match fate {
            Fate::Lost => 0,
            Fate::Kept => return self.live.clone(),
            Fate::Prefix(_) => {
                let last = prefix.map_or(0, |prefix| prefix.last);
                self.pending.iter().filter(|(time, _)| *time <= last).count()
            }
            Fate::Torn(_) => chance.up_to(self.pending.len() as u64) as usize,
        };
        let mut entries = self.durable.clone();
        for (_, change) in &self.pending[..count] {
            change.apply(&mut entries);
        }
        entries
    }
}

impl EntryChange {
    fn apply(&self, entries: &mut Entries) {
        match self {
            Self::Add(name, node) => _ = entries.insert(name.clone(), *node),
            Self::Remove(name) => _ = entries.remove(name),
            Self::Rename(from, to, node) => {
                entries.remove(from);
                entries.insert(to.clone(), *node);
            }
        }
    }
}

impl File {
    fn change(&mut self, time: u64, change: FileChange) {
        change.apply(Arc::make_mut(&mut self.live));
        self.pending.push((time, change));
    }

    fn after(&self, fate: Fate, prefix: Option<Prefix>, chance: &mut Chance) -> Arc<Vec<u8>> {
        if self.pending.is_empty() {
            return self.durable.clone();
        }
        match (fate, prefix) {
            (Fate::Lost, _) => self.durable.clone(),
            (Fate::Prefix(_), Some(prefix)) => Arc::new(self.up_to(prefix)),
            (Fate::Torn(_), _) => Arc::new(self.torn(chance)),
            _ => self.live.clone(),
        }
    }

    fn up_to(&self, Prefix { last, share }: Prefix) -> Vec<u8> {
        let mut bytes = (*self.durable).clone();
        for (time, change) in self.pending.iter().filter(|(time, _)| *time <= last) {
            match change {
                FileChange::Write { offset, bytes: written } if *time == last => {
                    let part = (written.len() as f64 * share) as usize;
                    let part = FileChange::Write { offset: *offset, bytes: written[..part].into() };
                    part.apply(&mut bytes);
                }
                change => change.apply(&mut bytes),
            }
        }
        bytes
    }

    /// Each sector as it was at some moment since the last sync, as chance has
    /// it; changes of length up to some point.
    fn torn(&self, chance: &mut Chance) -> Vec<u8> {
        let keeps = [26, 128, 230][chance.up_to(2) as usize];
        let mut writes_per_sector: BTreeMap<u64, u64> = BTreeMap::new();
        for (_, change) in &self.pending {
            if let FileChange::Write { offset, bytes } = change {
                for sector in sectors(*offset, bytes.len()) {
                    *writes_per_sector.entry(sector).or_default() += 1;
                }
            }
        }
        for writes in writes_per_sector.values_mut() {
            if chance.up_to(255) >= keeps {
                *writes = chance.up_to(*writes - 1);
            }
        }
        let mut bytes = (*self.durable).clone();
        for (_, change) in &self.pending {
            match change {
                FileChange::Resize(_) if chance.up_to(2) == 0 => break,
                FileChange::Resize(_) => change.apply(&mut bytes),
                FileChange::Write { offset, bytes: written } => {
                    let end = offset + written.len() as u64;
                    for sector in sectors(*offset, written.len()) {
                        let left = writes_per_sector.get_mut(&sector).expect("counted above");
                        if *left == 0 {
                            continue;
                        }
                        *left -= 1;
                        let from = (sector * SECTOR).max(*offset);
                        let to = ((sector + 1) * SECTOR).min(end);
                        let part = &written[(from - offset) as usize..(to - offset) as usize];
                        FileChange::Write { offset: from, bytes: part.into() }.apply(&mut bytes);
                    }
                    // The length may be there without the bytes.
                    if (bytes.len() as u64) < end && chance.up_to(3) == 0 {
                        bytes.resize(end as usize, 0);
                    }
                }
            }
        }
        bytes
    }
}

/// The sectors that a write touches.
fn sectors(offset: u64, length: usize) -> std::ops::Range<u64> {
    offset / SECTOR..(offset + length as u64).div_ceil(SECTOR)
}

impl FileChange {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Resize(length) => file.resize(*length as usize, 0),
            Self::Write { offset, bytes } => {
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[start..end].copy_from_slice(bytes);
            }
        }
    }
}

struct Chance(SeededRandom);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    /// From zero to `most`, both included.
    fn up_to(&mut self, most: u64) -> u64 {
        self.0.next_u64() % (most + 1)
    }
}
