use std::sync::Arc;

use bytes::Bytes;
use tandem_base::{Code, Environment, Error, Result};
use tandem_storage::{Durability, KeyRange};
use tandem_transaction::{
    CommitListener, CommitOptions, CommitRequest, ConflictCause, Coordination, Derive, GuardCheck,
    Isolation, LockManager, Read, ReadSet, Receipt, Registry, Statistics, TransactionId,
    TransactionLimits, View, Work, WriteSet, keyspace,
};

use super::cluster::{Cluster, Ground, Turn, read_first_result};
use super::compare;

/// One server of a [`Cluster`]: the coordination that its connections share.
pub struct Server {
    cluster: Arc<Cluster>,
    derive: Arc<dyn Derive>,
    // The cluster only borrows it.
    _listener: Arc<dyn CommitListener>,
    environment: Environment,
    limits: TransactionLimits,
    durability: Durability,
    statistics: Statistics,
}

/// What a try to commit came to.
enum Attempt {
    Done(Result<Receipt>),
    /// The row is locked by another transaction.
    Locked(Bytes),
    /// The database wants it to be tried again.
    Again,
}

impl Server {
    /// A server of `cluster`.
    #[must_use]
    pub fn new(
        cluster: &Arc<Cluster>,
        derive: Arc<dyn Derive>,
        listener: Arc<dyn CommitListener>,
        environment: Environment,
        limits: TransactionLimits,
        durability: Durability,
    ) -> Self {
        cluster.join(Arc::downgrade(&listener));
        Self {
            cluster: cluster.clone(),
            derive,
            _listener: listener,
            environment,
            limits,
            durability,
            statistics: Statistics::default(),
        }
    }

    fn commit_transaction(
        &self,
        id: TransactionId,
        basis: &Basis<'_>,
        options: &CommitOptions,
    ) -> Result<Receipt> {
        if self.cluster.weather.conflicts_spuriously() {
            return Err(Error::new(Code::Conflict, "The cluster asks to run it again"));
        }
        loop {
            match self.attempt(id, basis, options) {
                Attempt::Done(result) => return result,
                Attempt::Again => self.cluster.weather.pause(),
                Attempt::Locked(key) => {
                    let (clock, wait) = (&*self.environment.clock, self.limits.lock_wait);
                    self.cluster.locks.pass_by(clock, id, &key, wait)?;
                }
            }
        }
    }

    fn attempt(&self, id: TransactionId, basis: &Basis<'_>, options: &CommitOptions) -> Attempt {
        let mut turn = self.cluster.turn();
        let keys = basis.writes.rows().map(|(key, _)| key);
        if let Some(key) = self.cluster.locks.held_by_another(id, keys) {
            return Attempt::Locked(key);
        }
        let now = self.cluster.newest();
        let stamp = self.cluster.stamp(&now, self.environment.clock.now_ms());
        let derived = match self.first_result(&now, options) {
            Err(error) => Err(error),
            Ok(Some(first)) => return Attempt::Done(Ok(first)),
            Ok(None) => self.validate(&turn, &now, basis).and_then(|()| {
                self.derive.derive(&Ground { now: &now, turn: &turn }, basis.writes, stamp)
            }),
        };
        match derived {
            Err(error) => Attempt::Done(Err(error)),
            Ok(_) if self.cluster.weather.runs_again() => Attempt::Again,
            Ok(derived) => {
                let durability = options.durability.unwrap_or(self.durability);
                let applied =
                    self.cluster.apply(&mut turn, &now, stamp, derived, options, durability);
                Attempt::Done(applied)
            }
        }
    }

    fn validate(&self, turn: &Turn, now: &View, basis: &Basis<'_>) -> Result<()> {
        if basis.isolation >= Isolation::Snapshot {
            let (then, state) = (turn.state(basis.begin)?, turn.state(now.revision())?);
            for (key, _) in basis.writes.rows() {
                if !compare::same_value(then, state, key)? {
                    return Err(self.derive.conflict(ConflictCause::Write, key));
                }
            }
            if basis.isolation == Isolation::Serializable
                && let Some(key) = compare::changed_read(then, state, basis.reads)?
            {
                return Err(self.derive.conflict(ConflictCause::Read, &key));
            }
        }
        for guard in basis.writes.guards() {
            let holds = match guard.check {
                GuardCheck::Unchanged => self.unchanged(turn, now, &guard.range, guard.seen_at)?,
                GuardCheck::Exists => match basis.writes.row(&guard.range.start) {
                    Some(own) => own.after.is_some(),
                    None => now.get(&guard.range.start)?.is_some(),
                },
            };
            if !holds {
                return Err(guard.violation());
            }
        }
        Ok(())
    }

    fn unchanged(&self, turn: &Turn, now: &View, range: &KeyRange, since: u64) -> Result<bool> {
        let (then, now) = (turn.state(since)?, turn.state(now.revision())?);
        Ok(compare::difference(then, now, range)?.is_none())
    }

    fn first_result(&self, now: &View, options: &CommitOptions) -> Result<Option<Receipt>> {
        let Some((name, _)) = &options.idempotency else { return Ok(None) };
        now.get(&keyspace::idempotency_key(name))?.as_ref().map(read_first_result).transpose()
    }
}

/// What a transaction relies on and wants.
struct Basis<'a> {
    isolation: Isolation,
    begin: u64,
    reads: &'a ReadSet,
    writes: &'a WriteSet,
}

impl Coordination for Server {
    fn view(&self) -> Result<Arc<View>> {
        Ok(self.cluster.newest())
    }

    fn commit(&self, request: CommitRequest) -> Result<Receipt> {
        self.cluster.weather.pause();
        let CommitRequest { work, options } = request;
        match work {
            Work::Transaction { id, isolation, begin, reads, writes } => {
                let basis = Basis { isolation, begin, reads: &reads, writes: &writes };
                self.commit_transaction(id, &basis, &options)
            }
            Work::Maintenance(step) => {
                let mut turn = self.cluster.turn();
                let now = self.cluster.newest();
                let stamp = self.cluster.stamp(&now, self.environment.clock.now_ms());
                let derived = step(&Ground { now: &now, turn: &turn }, stamp)?;
                let durability = options.durability.unwrap_or(self.durability);
                self.cluster.apply(&mut turn, &now, stamp, derived, &options, durability)
            }
        }
    }

    fn refresh(
        &self,
        advance: Option<TransactionId>,
        from: u64,
        reads: &ReadSet,
        keys: &mut dyn Iterator<Item = &Bytes>,
    ) -> Result<Option<Arc<View>>> {
        let turn = self.cluster.turn();
        let now = self.cluster.newest();
        if from != now.revision() {
            let keys: Vec<_> = keys.collect();
            if keys.is_empty() && reads.is_empty() {
                // Nothing to compare, and the old view may be gone.
            } else {
                let Ok(then) = turn.state(from) else { return Ok(None) };
                let state = turn.state(now.revision())?;
                if compare::changed_read(then, state, reads)?.is_some() {
                    return Ok(None);
                }
                for key in keys {
                    if !compare::same_value(then, state, key)? {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(match advance {
            Some(id) => self.cluster.registry.move_to(id, || self.cluster.newest()),
            None => now,
        }))
    }

    fn replay(&self, idempotency_key: &[u8]) -> Result<Option<Receipt>> {
        let key = keyspace::idempotency_key(idempotency_key);
        self.cluster.newest().get(&key)?.as_ref().map(read_first_result).transpose()
    }

    fn registry(&self) -> &Registry {
        &self.cluster.registry
    }

    fn locks(&self) -> &LockManager {
        &self.cluster.locks
    }

    fn limits(&self) -> &TransactionLimits {
        &self.limits
    }

    fn environment(&self) -> &Environment {
        &self.environment
    }

    fn statistics(&self) -> &Statistics {
        &self.statistics
    }
}
