/// Where a fault can come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// A call of `write`, before its batch is kept.
    Write,
    /// The sync of a `Durability::Sync` write.
    Sync,
    /// A `get` of the store or of a snapshot, or one step of a scan.
    Read,
    /// Taking a snapshot.
    Snapshot,
    /// A call of `approximate_size`.
    Size,
}

impl Point {
    /// All of them.
    pub const ALL: [Point; 5] =
        [Point::Write, Point::Sync, Point::Read, Point::Snapshot, Point::Size];
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Times {
    /// At that pass only.
    Once,
    /// At that pass and every later one.
    Forever,
}

/// What happens at one pass of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Fail,
    Freeze,
}

/// The armed faults and how often each point was passed.
#[derive(Debug, Default)]
pub(super) struct Plan {
    passes: [u64; Point::ALL.len()],
    armed: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    point: Point,
    /// The pass, counted from the engine's creation, at which it strikes.
    at: u64,
    times: Times,
    verdict: Verdict,
}

impl Plan {
    /// Arms a fault for the `nth` pass from now, 1 being the next.
    pub(super) fn arm(&mut self, point: Point, nth: u64, times: Times, verdict: Verdict) {
        let at = self.count(point) + nth;
        self.armed.push(Armed { point, at, times, verdict });
    }

    pub(super) fn disarm(&mut self) {
        self.armed.clear();
    }

    pub(super) fn count(&self, point: Point) -> u64 {
        self.passes[point as usize]
    }

    /// Counts one pass and tells what happens at it.
    pub(super) fn pass(&mut self, point: Point) -> Verdict {
        let pass = &mut self.passes[point as usize];
        *pass += 1;
        let strikes = |armed: &&Armed| {
            armed.point == point
                && match armed.times {
                    Times::Once => *pass == armed.at,
                    Times::Forever => *pass >= armed.at,
                }
        };
        self.armed.iter().find(strikes).map_or(Verdict::Pass, |armed| armed.verdict)
    }
}
