//! Inputs for the form without coverage: seeds, changed at random.

/// What attackers send, to be spliced into anything.
const TOKENS: [&str; 72] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "null",
    "true",
    "-",
    "1e308",
    "-1e-999",
    "1e999",
    "9007199254740993",
    "18446744073709551616",
    "0.1",
    "-0.0",
    "\\ud800",
    "\\u0000",
    "\u{0}",
    "\u{feff}",
    "\r\n",
    "\n",
    "$in",
    "$nin",
    "$regex",
    "$not",
    "$or",
    "$and",
    "$nor",
    "$elemMatch",
    "$size",
    "$type",
    "$mod",
    "$exists",
    "$all",
    "$options",
    "(a+)+$",
    "(?=a)",
    "[^]",
    "\\p{L}",
    "a{1,999}",
    ".",
    "a.b.0.c",
    "_version",
    "__proto__",
    "id",
    "[[[[[[[[[[[[[[[[",
    "$expr",
    "$set",
    "$inc",
    "$push",
    "$each",
    "$slice",
    "$pull",
    "$[]",
    "a.$",
    "a.$[].b",
    "$rename",
    "$group",
    "$_id",
    "$unwind",
    "$facet",
    "$lookup",
    "$$ROOT",
    "$range",
    "$map",
    "$concat",
    "$reduce",
    "$dateAdd",
    "$limit",
    "$sort",
];

/// `SplitMix64`: the same seed, the same inputs.
pub struct Seeded(u64);

impl Seeded {
    /// Starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((word ^ (word >> 31)) % bound as u64).unwrap_or(0)
    }

    /// One of `items`, which are not empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// One of the seeds after a few changes.
#[must_use]
pub fn mutant(seeds: &[Vec<u8>], random: &mut Seeded) -> Vec<u8> {
    let mut data = if seeds.is_empty() { Vec::new() } else { random.pick(seeds).clone() };
    for _ in 0..=random.below(5) {
        let place = random.below(data.len() + 1);
        let end = (place + random.below(8)).min(data.len());
        match random.below(7) {
            0 if place < data.len() => data[place] ^= 1 << random.below(8),
            1 if place < data.len() => data[place] = u8::try_from(random.below(256)).unwrap_or(0),
            2 => drop(data.drain(place..end)),
            3 => {
                let run = data[place..end].repeat(1 + random.below(20));
                data.splice(place..place, run);
            }
            4 if !seeds.is_empty() => {
                let other = random.pick(seeds);
                let from = random.below(other.len() + 1);
                let to = (from + random.below(40)).min(other.len());
                data.splice(place..end, other[from..to].iter().copied());
            }
            5 if place < data.len() => {
                let digits = random.below(1 << 20).to_string();
                data.splice(place..end, digits.into_bytes());
            }
            _ => drop(data.splice(place..end, random.pick(&TOKENS).bytes())),
        }
    }
    data
}
