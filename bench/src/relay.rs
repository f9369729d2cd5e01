//! How many bytes a request and its answer are on the wire.
//!
//! Nobody has to know how they are framed: a relay stands between a client and
//! the server and counts what it passes on, before it does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::peer::Result;

/// Bytes in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub request: usize,
    pub answer: usize,
}

/// Passes on the first connection that it gets.
pub struct Relay {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    answers: Arc<AtomicU64>,
}

impl Relay {
    /// Between its own [`address`](Self::address) and `server`.
    pub fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (requests, answers) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counters = (requests.clone(), answers.clone());
        // Both threads end with the connection.
        std::thread::spawn(move || {
            let Ok((client, _)) = listener.accept() else { return };
            let Ok(server) = TcpStream::connect(server) else { return };
            let (Ok(from), Ok(to)) = (server.try_clone(), client.try_clone()) else { return };
            std::thread::spawn(move || pass_on(from, to, &counters.1));
            pass_on(client, server, &counters.0);
        });
        Ok(Self { address, requests, answers })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes each of `count` requests has, which `make` makes and
    /// waits for.
    pub fn sizes(&self, count: usize, make: impl FnOnce() -> Result<()>) -> Result<Sizes> {
        let passed = || [&self.requests, &self.answers].map(|bytes| bytes.load(Ordering::Acquire));
        let before = passed();
        make()?;
        let after = passed();
        let each = |way: usize| ((after[way] - before[way]) as usize).div_ceil(count.max(1));
        Ok(Sizes { request: each(0), answer: each(1) })
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, passed: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        passed.fetch_add(bytes as u64, Ordering::Release);
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _gone = to.shutdown(std::net::Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_counted_both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay::start(listener.local_addr().unwrap()).unwrap();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = [0; 7];
            for _ in 0..3 {
                socket.read_exact(&mut request).unwrap();
                socket.write_all(&[0; 30]).unwrap();
            }
        });
        let mut socket = TcpStream::connect(relay.address()).unwrap();
        let mut ask = |times| {
            for _ in 0..times {
                socket.write_all(&[0; 7])?;
                socket.read_exact(&mut [0; 30])?;
            }
            Ok(())
        };
        ask(1).unwrap();
        let sizes = relay.sizes(2, || ask(2)).unwrap();
        assert_eq!(sizes, Sizes { request: 7, answer: 30 });
        server.join().unwrap();
    }
}
