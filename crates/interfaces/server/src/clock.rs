use tandem_base::{Clock, SystemClock};

/// Milliseconds since the Unix epoch, for what the server tells its clients.
pub(crate) fn now_ms() -> u64 {
    SystemClock::new().now_ms()
}
