//! What the machine can do at most: all other figures are to be read beside it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::{Context, Group};
use crate::measure::{Line, measure};
use crate::peer::{Client, Peer, Result};
use crate::peers::raw::{Raw, Sync};
use crate::report::Report;
use crate::workload::{Transfers, Workload};

pub struct Limits;

/// What is copied at once: more than a cache holds.
const COPIED: usize = 64 << 20;

/// What a transfer writes, and what goes there and back.
const TRANSFER: usize = 2_048;
const MESSAGE: usize = 256;

impl Group for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn about(&self) -> &'static str {
        "the machine's limits: 2,048 bytes appended to a file, with fdatasync and without; 256 \
         bytes there and back over loopback between two threads; 64 MiB copied in memory"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let append = |sync| Raw::open(&context.directory()?, sync, TRANSFER);
        let transfers: Arc<dyn Workload> = Arc::new(Transfers::new(context.data));
        let growing: Arc<dyn Peer> = Arc::new(append(Sync::Growing)?);
        let lines = [
            ("append, fdatasync", growing.clone(), transfers.clone(), 1),
            ("append, fdatasync, many", growing, transfers.clone(), context.many),
            ("append", Arc::new(append(Sync::No)?) as Arc<dyn Peer>, transfers.clone(), 1),
            ("loopback", Arc::new(Loopback) as Arc<dyn Peer>, transfers.clone(), 1),
            ("memcpy", Arc::new(Memory) as Arc<dyn Peer>, transfers, 1),
        ];
        let lines = lines.map(|(label, peer, workload, clients)| Line {
            label: label.into(),
            peer,
            workload,
            clients,
        });
        let measured = measure(&lines, &context.plan)?;
        let report = Report::new(self.name(), self.about(), measured);
        let Some(copies) = report.line("memcpy") else { return Ok(report) };
        let median = crate::statistics::Spread::of(&copies.rates).median;
        Ok(report.figure("memcpy", median * COPIED as f64 / f64::from(1 << 30), "GiB/s"))
    }
}

/// Two threads and a socket between them.
struct Loopback;

impl Peer for Loopback {
    fn durability(&self) -> &str {
        "nothing: a socket"
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let (mut other, _) = listener.accept()?;
        for end in [&stream, &other] {
            end.set_nodelay(true)?;
        }
        // It ends when the client closes its end.
        std::thread::spawn(move || {
            let mut message = [0; MESSAGE];
            while other.read_exact(&mut message).is_ok() && other.write_all(&message).is_ok() {}
        });
        Ok(Box::new(LoopbackClient { stream }))
    }
}

struct LoopbackClient {
    stream: TcpStream,
}

impl Client for LoopbackClient {
    fn transfer(&mut self, _transfer: &crate::data::Transfer) -> Result<u64> {
        let mut message = [0xA5; MESSAGE];
        self.stream.write_all(&message)?;
        self.stream.read_exact(&mut message)?;
        Ok(0)
    }
}

struct Memory;

impl Peer for Memory {
    fn durability(&self) -> &str {
        "nothing: memory"
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(MemoryClient { from: vec![0xA5; COPIED], to: vec![0; COPIED] }))
    }
}

struct MemoryClient {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Client for MemoryClient {
    fn transfer(&mut self, _transfer: &crate::data::Transfer) -> Result<u64> {
        self.to.copy_from_slice(std::hint::black_box(&self.from));
        std::hint::black_box(&self.to);
        Ok(0)
    }
}
