/// What a power cut does to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// All of it is lost.
    Lost,
    /// All of it is kept, as when only the process died.
    Kept,
    /// What was done first is kept, up to a byte in the middle of a write; the
    /// seed says how far.
    Prefix(u64),
    /// Of each file any 512-byte sectors are kept, of each directory the first
    /// changes; the seed says which.
    Torn(u64),
}

impl Fate {
    /// The name without the seed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fate::Lost => "lost",
            Fate::Kept => "kept",
            Fate::Prefix(_) => "prefix",
            Fate::Torn(_) => "torn",
        }
    }
}
