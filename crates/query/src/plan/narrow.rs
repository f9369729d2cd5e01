//! Starting an ordered access where an earlier read stopped.

use tandem_record::keys;
use tandem_record::row::Position;
use tandem_storage::{Direction, KeyRange};

use crate::execute::Access;
use crate::order::{Natural, Order, OrderKey, invert};
use crate::plan::{Plan, Served};

impl Plan {
    /// Leaves out what lies before `after`, as far as the access is in order.
    /// The place itself may still be visited.
    pub(crate) fn narrow(&mut self, order: &Order, after: &OrderKey, primary_key: &[u8]) {
        let (at, prefix) = match (&self.access, self.served) {
            (Access::Rows(range), Served::Exact) => {
                // Row keys begin with a space byte and the bucket's id.
                let mut at = range.start[..range.start.len().min(5)].to_vec();
                at.extend_from_slice(primary_key);
                (at, false)
            }
            (Access::Insertion { order_index, .. }, Served::Exact)
                if order.natural == Natural::Position =>
            {
                let mut position = after.tie_bytes().to_vec();
                if order.reversed {
                    invert(&mut position);
                }
                let Ok(position) = position.try_into().map(Position::from_bytes) else { return };
                (keys::order_entry(*order_index, position).to_vec(), false)
            }
            (Access::Index { .. }, Served::Groups) => {
                let Some(index_order) = &self.index_order else { return };
                let Some(at) = index_order.entry_prefix(order, after.sort_bytes()) else { return };
                (at, true)
            }
            _ => return,
        };
        let here = if prefix { KeyRange::prefix(&at) } else { KeyRange::point(&at) };
        let direction = self.direction;
        let cut = |range: &mut KeyRange| match direction {
            Direction::Forward => {
                if range.start < here.start {
                    range.start = here.start.clone();
                }
            }
            Direction::Reverse => {
                let later = match (&range.end, &here.end) {
                    (_, None) => false,
                    (None, Some(_)) => true,
                    (Some(end), Some(here)) => end > here,
                };
                if later {
                    range.end = here.end.clone();
                }
            }
        };
        match &mut self.access {
            Access::Rows(range) | Access::Insertion { range, .. } => cut(range),
            Access::Index { ranges, .. } => {
                ranges.iter_mut().for_each(cut);
                ranges.retain(|range| !range.is_empty());
            }
            Access::Points(_) => {}
        }
    }
}
