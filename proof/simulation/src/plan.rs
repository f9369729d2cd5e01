use std::time::Duration;

use tandem::{ChangeLogOptions, Durability, Limits, TransactionLimits};
use tandem_server::{Backpressure, Config, Heartbeat};

use crate::dice::Dice;
use crate::network::Quality;

/// What a seed decides before the run begins: settings, workload, weather.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) durability: Durability,
    /// Whether the power may go although commits are only buffered.
    pub(crate) may_lose: bool,
    pub(crate) limits: Limits,
    pub(crate) change_log: ChangeLogOptions,
    pub(crate) config: Config,
    /// What the clients do, one each.
    pub(crate) roles: Vec<Role>,
    /// Transactions of each client.
    pub(crate) turns: usize,
    /// How long faults and work go on.
    pub(crate) work: Duration,
    pub(crate) weather: Weather,
}

/// What one client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Bank,
    Ring,
    Claims,
    Counters,
    Items,
    Sessions,
    Reader,
    Burst,
    Administrator,
    Follower { slow: bool },
    Watcher { slow: bool },
}

/// How often things go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) quality: Quality,
    /// Milliseconds between two acts of the operator and of fate.
    pub(crate) quiet_ms: (u64, u64),
    /// Percent of store calls that take their time.
    pub(crate) slow_calls: u64,
    /// Percent of transactions that a client leaves lying.
    pub(crate) forgetful: u64,
    pub(crate) read_errors: bool,
}

impl Plan {
    pub(crate) fn draw(dice: &Dice) -> Self {
        let durability = if dice.chance(80) { Durability::Sync } else { Durability::Buffered };
        let may_lose = durability == Durability::Buffered && dice.chance(60);
        let ttl_check_interval = Duration::from_millis(400);
        let transaction = TransactionLimits {
            total_time: Duration::from_secs(20),
            idle_time: dice.millis(1_000, 4_000),
            // One thread: nobody could release what somebody waits for.
            lock_wait: Duration::ZERO,
            ..TransactionLimits::default()
        };
        let limits = Limits {
            transaction,
            ttl_check_interval,
            maintenance_step: dice.below(6) + 1,
            ..Limits::default()
        };
        let change_log = ChangeLogOptions {
            max_age_ms: *dice.pick(&[800, 4_000, 60_000]),
            max_bytes: *dice.pick(&[6_000, 64 << 20, 64 << 20]),
            ring_commits: *dice.pick(&[1, 3, 20, 65_536]),
            // Longer than any client goes on asking.
            idempotency_age_ms: 3_600_000,
            step_entries: *dice.pick(&[3, 1_024]),
            ..ChangeLogOptions::default()
        };
        let mut config = Config::memory();
        config.heartbeat =
            Heartbeat { interval: Duration::from_secs(3), timeout: Duration::from_secs(2) };
        config.backpressure = Backpressure {
            max_buffered_bytes: *dice.pick(&[1_500, 5_000, 1 << 20]),
            high_water_mark: 0.5,
        };
        config.store.ttl_check_interval = ttl_check_interval;
        let mut roles = vec![Role::Bank, Role::Follower { slow: false }];
        let others = [
            Role::Bank,
            Role::Ring,
            Role::Ring,
            Role::Claims,
            Role::Claims,
            Role::Counters,
            Role::Counters,
            Role::Items,
            Role::Items,
            Role::Sessions,
            Role::Reader,
            Role::Burst,
            Role::Administrator,
            Role::Follower { slow: false },
            Role::Follower { slow: true },
            Role::Watcher { slow: false },
            Role::Watcher { slow: true },
        ];
        roles.extend((0..dice.between(4, 7)).map(|_| *dice.pick(&others)));
        if may_lose {
            // What they were told may be lost.
            roles.retain(|role| !matches!(role, Role::Claims | Role::Counters));
        }
        Self {
            durability,
            may_lose,
            limits,
            change_log,
            config,
            roles,
            turns: *dice.pick(&[6, 12, 25, 40]),
            work: dice.millis(3_000, 9_000),
            weather: Weather::draw(dice),
        }
    }
}

impl Weather {
    fn draw(dice: &Dice) -> Self {
        let quality = Quality {
            delay_ms: *dice.pick(&[(0, 1), (0, 15), (1, 80)]),
            room: *dice.pick(&[700, 4_000, 64 << 10]),
            piece: *dice.pick(&[50, 1_400, 64 << 10]),
        };
        Self {
            quality,
            quiet_ms: *dice.pick(&[(50, 600), (300, 2_000), (1_500, 5_000)]),
            slow_calls: *dice.pick(&[5, 30, 80]),
            forgetful: *dice.pick(&[0, 5, 20]),
            read_errors: dice.chance(40),
        }
    }
}
