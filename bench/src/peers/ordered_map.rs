//! The standard library's ordered map behind a lock: the least that memory costs.
//!
//! No snapshot and no rollback: a reader holds the lock, and what fails half-way
//! stays. It is here to be read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use super::by_hand::{Each, KeyValue, Reading, Space, Writing};
use crate::peer::Result;

#[derive(Default)]
pub struct OrderedMap {
    spaces: RwLock<Spaces>,
}

#[derive(Default)]
struct Spaces([BTreeMap<Vec<u8>, Vec<u8>>; 4]);

impl KeyValue for OrderedMap {
    fn durability(&self) -> &str {
        "nothing: memory"
    }

    fn directory(&self) -> Option<&Path> {
        None
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reading) -> Result<()>) -> Result<()> {
        work(&*self.spaces.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, work: &mut dyn FnMut(&mut dyn Writing) -> Result<()>) -> Result<u64> {
        work(&mut *self.spaces.write().unwrap_or_else(PoisonError::into_inner))?;
        Ok(0)
    }
}

impl Reading for Spaces {
    fn get(&self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.0[space as usize].get(key) {
            found(value);
        }
        Ok(())
    }

    fn scan(&self, space: Space, range: Range<&[u8]>, each: &mut Each<'_>) -> Result<()> {
        let bounds = (std::ops::Bound::Included(range.start), std::ops::Bound::Excluded(range.end));
        for (key, value) in self.0[space as usize].range::<[u8], _>(bounds) {
            if !each(key, value)? {
                break;
            }
        }
        Ok(())
    }
}

impl Writing for Spaces {
    fn get(&mut self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        Reading::get(self, space, key, found)
    }

    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<()> {
        self.0[space as usize].insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, space: Space, key: &[u8]) -> Result<()> {
        self.0[space as usize].remove(key);
        Ok(())
    }
}
