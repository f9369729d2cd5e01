use std::fmt::Write;

use xxhash_rust::xxh3::Xxh3;

/// Everything that happened, in order: as a digest, and printed if asked for.
///
/// An event is its kind, the simulated millisecond, and bytes. Two runs that
/// differ in one frame, one batch, one timer or one choice of the scheduler
/// have different digests.
pub struct Trace {
    digest: Xxh3,
    events: u64,
    print: bool,
}

impl Trace {
    pub(crate) fn new(print: bool) -> Self {
        Self { digest: Xxh3::new(), events: 0, print }
    }

    pub(crate) fn event(&mut self, now_ms: u64, kind: &str, number: u64, bytes: &[u8]) {
        self.events += 1;
        self.digest.update(kind.as_bytes());
        let mut head = [0; 24];
        head[..8].copy_from_slice(&now_ms.to_le_bytes());
        head[8..16].copy_from_slice(&number.to_le_bytes());
        head[16..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.digest.update(&head);
        self.digest.update(bytes);
        if self.print {
            println!("{now_ms:>8} {kind:<14} {number:>5} {}", readable(bytes));
        }
    }

    pub(crate) fn digest(&self) -> u128 {
        self.digest.digest128()
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }
}

/// Text as it is, the rest as hexadecimal digits; long ones shortened.
fn readable(bytes: &[u8]) -> String {
    const SHOWN: usize = 400;
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let mut out = match std::str::from_utf8(shown) {
        Ok(text) => text.to_owned(),
        Err(_) => shown.iter().take(SHOWN / 4).fold(String::new(), |mut out, byte| {
            let _infallible = write!(out, "{byte:02x}");
            out
        }),
    };
    if bytes.len() > SHOWN {
        let _infallible = write!(out, "… {} bytes", bytes.len());
    }
    out
}
