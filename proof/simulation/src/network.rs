//! The simulated network: a cable is two byte streams with delay and bounded
//! room, which can be slowed, swallowed or broken off.
//!
//! Like TCP it keeps order and loses nothing silently while it is whole. A
//! message is *dropped* by what drops messages in the real world: the
//! connection breaks and what was on its way is gone, or the far end is
//! swallowed and only a timeout tells. Room is bounded, so a reader that does
//! not read stops the writer.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::core::{Core, lock};

/// How a cable carries bytes.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Milliseconds that a piece takes at least and at most.
    pub delay_ms: (u64, u64),
    /// Bytes on their way in one direction.
    pub room: usize,
    /// Bytes that are carried in one piece.
    pub piece: usize,
}

/// A handle on both directions, for whoever does damage.
#[derive(Clone)]
pub struct Cable {
    number: u64,
    lanes: [Arc<Mutex<Lane>>; 2],
    core: Arc<Core>,
}

struct Lane {
    quality: Quality,
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    last_due: Instant,
    /// Nothing written from now on arrives.
    swallowed: bool,
    ended: bool,
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lane {
    fn new(quality: Quality) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            quality,
            pieces: VecDeque::new(),
            bytes: 0,
            last_due: Instant::now(),
            swallowed: false,
            ended: false,
            broken: false,
            reader: None,
            writer: None,
        }))
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// One end of a cable.
pub struct End {
    number: u64,
    core: Arc<Core>,
    incoming: Arc<Mutex<Lane>>,
    outgoing: Arc<Mutex<Lane>>,
    arrival: Option<Pin<Box<Sleep>>>,
}

/// A new cable and its two ends.
pub(crate) fn cable(core: &Arc<Core>, number: u64, quality: Quality) -> (Cable, End, End) {
    let lanes = [Lane::new(quality), Lane::new(quality)];
    let end = |incoming: usize, outgoing: usize| End {
        number,
        core: core.clone(),
        incoming: lanes[incoming].clone(),
        outgoing: lanes[outgoing].clone(),
        arrival: None,
    };
    let (near, far) = (end(0, 1), end(1, 0));
    (Cable { number, lanes, core: core.clone() }, near, far)
}

impl Cable {
    pub(crate) fn is_whole(&self) -> bool {
        self.lanes.iter().all(|lane| {
            let lane = lock(lane);
            !lane.broken && !lane.ended
        })
    }

    /// Both ends are told that the connection is gone; what is on its way is
    /// lost.
    pub(crate) fn break_off(&self) {
        self.core.event("break off", self.number, b"");
        for lane in &self.lanes {
            let mut lane = lock(lane);
            lane.broken = true;
            lane.pieces.clear();
            lane.bytes = 0;
            lane.wake();
        }
    }

    /// What is written from now on never arrives, and nobody is told.
    pub(crate) fn swallow(&self) {
        self.core.event("swallow", self.number, b"");
        for lane in &self.lanes {
            lock(lane).swallowed = true;
        }
    }

    /// Nothing arrives for so long.
    pub(crate) fn stall(&self, time: Duration) {
        self.core.event("stall", self.number, b"");
        for lane in &self.lanes {
            let mut lane = lock(lane);
            lane.last_due = lane.last_due.max(Instant::now() + time);
        }
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let due = {
                let mut lane = lock(&this.incoming);
                if lane.broken {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                let Some((due, piece)) = lane.pieces.front_mut() else {
                    if lane.ended {
                        return Poll::Ready(Ok(()));
                    }
                    lane.reader = Some(context.waker().clone());
                    return Poll::Pending;
                };
                if *due <= Instant::now() {
                    let count = piece.len().min(buffer.remaining());
                    buffer.put_slice(&piece[..count]);
                    this.core.event("arrive", this.number, &piece[..count]);
                    if count == piece.len() {
                        lane.pieces.pop_front();
                    } else {
                        piece.drain(..count);
                    }
                    lane.bytes -= count;
                    if let Some(writer) = lane.writer.take() {
                        writer.wake();
                    }
                    return Poll::Ready(Ok(()));
                }
                let due = *due;
                lane.reader = Some(context.waker().clone());
                due
            };
            let arrival = this.arrival.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if arrival.deadline() != due {
                arrival.as_mut().reset(due);
            }
            if arrival.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            this.arrival = None;
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut lane = lock(&self.outgoing);
        if lane.broken || lane.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = lane.quality.room.saturating_sub(lane.bytes);
        if room == 0 {
            lane.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = bytes.len().min(room).min(lane.quality.piece);
        if lane.swallowed {
            return Poll::Ready(Ok(count));
        }
        let (low, high) = lane.quality.delay_ms;
        let due = lane.last_due.max(Instant::now() + self.core.dice.millis(low, high));
        lane.last_due = due;
        lane.bytes += count;
        lane.pieces.push_back((due, bytes[..count].to_vec()));
        if let Some(reader) = lane.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut lane = lock(&self.outgoing);
        if !lane.swallowed {
            lane.ended = true;
            lane.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    /// The other end reads what is on its way, then the end; what it writes is
    /// refused.
    fn drop(&mut self) {
        let mut lane = lock(&self.outgoing);
        if !lane.swallowed {
            lane.ended = true;
            lane.wake();
            drop(lane);
            let mut lane = lock(&self.incoming);
            lane.broken = true;
            lane.wake();
        }
    }
}
