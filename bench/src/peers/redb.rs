//! redb: copy-on-write B+ trees in one file, one writer at a time.
//!
//! The default cache (1 GiB) holds all data. A commit that is `Immediate` writes
//! and syncs; one that is `None` is kept in memory until such a one, so that it
//! does not even survive the process: redb has nothing between the two.

use std::cell::OnceCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use redb::{
    Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, Table, TableDefinition,
    WriteTransaction,
};

use super::by_hand::{Each, KeyValue, Reading, Space, Writing};
use crate::peer::Result;

pub struct Redb {
    database: Database,
    directory: PathBuf,
    durability: Durability,
}

type Bytes = &'static [u8];

fn definition(space: Space) -> TableDefinition<'static, Bytes, Bytes> {
    TableDefinition::new(Space::NAMES[space as usize])
}

impl Redb {
    pub fn open(directory: &Path, durable: bool) -> Result<Self> {
        let database = Database::create(directory.join("redb"))?;
        let tables = database.begin_write()?;
        for space in [Space::Rows, Space::Emails, Space::Cities, Space::Balances] {
            tables.open_table(definition(space))?;
        }
        tables.commit()?;
        let durability = if durable { Durability::Immediate } else { Durability::None };
        Ok(Self { database, directory: directory.to_owned(), durability })
    }
}

impl KeyValue for Redb {
    fn durability(&self) -> &str {
        match self.durability {
            Durability::Immediate => "power cut: fdatasync",
            _ => "nothing: None",
        }
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.directory)
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reading) -> Result<()>) -> Result<()> {
        let transaction = self.database.begin_read()?;
        work(&Snapshot { transaction, tables: Default::default() })
    }

    fn write(&self, work: &mut dyn FnMut(&mut dyn Writing) -> Result<()>) -> Result<u64> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(self.durability)?;
        // Its end rolls back what is not committed.
        work(&mut Open { transaction: &transaction, tables: Default::default() })?;
        transaction.commit()?;
        Ok(0)
    }
}

/// Tables are opened when they are first used: that is a search of its own.
struct Snapshot {
    transaction: ReadTransaction,
    tables: [OnceCell<ReadOnlyTable<Bytes, Bytes>>; 4],
}

impl Snapshot {
    fn table(&self, space: Space) -> Result<&ReadOnlyTable<Bytes, Bytes>> {
        let cell = &self.tables[space as usize];
        if let Some(table) = cell.get() {
            return Ok(table);
        }
        let table = self.transaction.open_table(definition(space))?;
        Ok(cell.get_or_init(|| table))
    }
}

impl Reading for Snapshot {
    fn get(&self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.table(space)?.get(key)? {
            found(value.value());
        }
        Ok(())
    }

    fn scan(&self, space: Space, range: Range<&[u8]>, each: &mut Each<'_>) -> Result<()> {
        for entry in self.table(space)?.range::<&[u8]>(range)? {
            let (key, value) = entry?;
            if !each(key.value(), value.value())? {
                break;
            }
        }
        Ok(())
    }
}

struct Open<'a> {
    transaction: &'a WriteTransaction,
    tables: [Option<Table<'a, Bytes, Bytes>>; 4],
}

impl<'a> Open<'a> {
    fn table(&mut self, space: Space) -> Result<&mut Table<'a, Bytes, Bytes>> {
        let table = &mut self.tables[space as usize];
        if table.is_none() {
            *table = Some(self.transaction.open_table(definition(space))?);
        }
        table.as_mut().ok_or_else(|| "it was opened above".into())
    }
}

impl Writing for Open<'_> {
    fn get(&mut self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        use redb::ReadableTable;
        if let Some(value) = self.table(space)?.get(key)? {
            found(value.value());
        }
        Ok(())
    }

    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<()> {
        self.table(space)?.insert(key, value)?;
        Ok(())
    }

    fn delete(&mut self, space: Space, key: &[u8]) -> Result<()> {
        self.table(space)?.remove(key)?;
        Ok(())
    }
}
