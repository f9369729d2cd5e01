//! The machine's limit for a server: as many bytes there and back.
//!
//! A process that knows nothing but the sizes: it reads requests and answers each
//! with as many bytes as the measured server does, over the same loopback, one
//! thread per socket. Whatever has arrived is answered by one write. The client
//! is a thread with a blocking socket that sends the next request for every
//! answer, all that are due in one write. So this is less than any protocol
//! costs: no frames, no text, no store, no task that wakes another.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::measure::{Lap, Part};
use crate::peer::{Client, Peer, Result};
use crate::process::Serving;
use crate::relay::Sizes;
use crate::workload::Requests;

const BUFFER_BYTES: usize = 64 << 10;

/// Is the served process, until it is killed.
pub fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", json!({ "listen": listener.local_addr()?.to_string() }));
    for socket in listener.incoming() {
        let socket = socket?;
        std::thread::spawn(move || answer(socket));
    }
    Ok(())
}

/// Serves one socket to its end.
fn answer(mut socket: TcpStream) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut head = [[0; 4]; 2];
    for size in &mut head {
        socket.read_exact(size)?;
    }
    let [request, answer] = head.map(|size| u32::from_le_bytes(size) as usize);
    let mut buffer = vec![0; BUFFER_BYTES];
    let answers = vec![b'a'; answer * (BUFFER_BYTES / request + 1)];
    let mut begun = 0;
    loop {
        let bytes = socket.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        begun += bytes;
        socket.write_all(&answers[..answer * (begun / request)])?;
        begun %= request;
    }
}

/// That process, for requests of one size.
pub struct Loopback {
    serving: Arc<Serving>,
    sizes: Sizes,
}

impl Loopback {
    pub fn start() -> Result<Arc<Serving>> {
        Ok(Arc::new(Serving::start(["loopback".into()])?))
    }

    pub fn new(serving: Arc<Serving>, sizes: Sizes) -> Self {
        Self { serving, sizes }
    }
}

impl Peer for Loopback {
    fn durability(&self) -> &str {
        "nothing: no store"
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        let socket = TcpStream::connect(self.serving.address())?;
        Ok(Box::new(LoopbackClient::over(socket, self.sizes)?))
    }

    fn processor_time(&self) -> Duration {
        self.serving.processor_time()
    }
}

struct LoopbackClient {
    socket: TcpStream,
    sizes: Sizes,
}

impl LoopbackClient {
    fn over(mut socket: TcpStream, sizes: Sizes) -> Result<Self> {
        socket.set_nodelay(true)?;
        let head = [sizes.request, sizes.answer].map(|size| (size as u32).to_le_bytes());
        socket.write_all(head.as_flattened())?;
        Ok(Self { socket, sizes })
    }
}

impl Client for LoopbackClient {
    fn requests(&mut self, requests: &Requests, part: &mut Part<'_>) -> Result<()> {
        let Sizes { request, answer } = self.sizes;
        let text = vec![b'r'; request * requests.in_flight];
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut due: Vec<Lap> = (0..requests.in_flight).map(|_| Lap::begin(part.round)).collect();
        let mut under_way = VecDeque::with_capacity(requests.in_flight);
        let mut begun = 0;
        loop {
            self.socket.write_all(&text[..request * due.len()])?;
            under_way.extend(due.drain(..));
            if under_way.is_empty() {
                return Ok(());
            }
            let bytes = self.socket.read(&mut buffer)?;
            if bytes == 0 {
                return Err("the loopback has closed".into());
            }
            begun += bytes;
            while begun >= answer {
                begun -= answer;
                let lap: Lap = under_way.pop_front().ok_or("an answer without a request")?;
                let next = lap.end(0, part.round, &mut part.tally);
                if !part.round.is_over() {
                    due.push(next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes arrive, each whole request has one answer.
    #[test]
    fn every_request_is_answered_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = std::thread::spawn(move || answer(listener.accept().unwrap().0));
        let mut client =
            LoopbackClient::over(socket, Sizes { request: 10, answer: 3 }).unwrap().socket;
        let mut expect = |bytes: usize, answers: usize| {
            client.write_all(&vec![0; bytes]).unwrap();
            client.read_exact(&mut vec![0; 3 * answers]).unwrap();
        };
        expect(15, 1);
        expect(5, 1);
        expect(20_000, 2_000);
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "answers to nothing");
        server.join().unwrap().unwrap();
    }
}
