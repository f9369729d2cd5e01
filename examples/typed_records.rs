//! Records as values of your own types.
//!
//! Run it: `cargo run -p tandem-examples --example typed_records`

use serde::{Deserialize, Serialize};
use serde_json::json;
use tandem::{BucketConfig, Code, Field, IndexConfig, Result, Store};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Book {
    isbn: String,
    title: String,
    year: u16,
    tags: Vec<String>,
    /// The store's own counter; read, never written.
    #[serde(rename = "_version", skip_serializing, default)]
    version: u64,
}

fn main() -> Result<()> {
    let store = Store::memory()?;
    store.define_bucket(
        "books",
        BucketConfig::new("isbn")
            .field("year", Field::number().min(1450))
            .index("year")
            .index(IndexConfig::on("tags").multi()),
    )?;

    let books = store.typed::<Book>("books");
    let book = |isbn: &str, title: &str, year, tags: &[&str]| Book {
        isbn: isbn.to_owned(),
        title: title.to_owned(),
        year,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        version: 0,
    };
    books.insert_many(&[
        book("1", "Moby-Dick", 1851, &["sea", "whale"]),
        book("2", "Twenty Thousand Leagues", 1870, &["sea", "science"]),
        book("3", "Middlemarch", 1871, &["town"]),
    ])?;

    for book in books.find(json!({ "tags": "sea" })).sort("-year").iter()? {
        let book = book?;
        println!("{} ({})", book.title, book.year);
    }

    // Read, change, write back, unless somebody else was faster.
    let mut whale = books.require("1")?;
    let read = whale.version;
    whale.tags.push("classic".to_owned());
    let whale = books.replace_if("1", &whale, read)?;
    println!("now in version {}: {:?}", whale.version, whale.tags);

    let too_late = books.update_if("1", json!({ "year": 1852 }), read);
    assert!(matches!(&too_late, Err(error) if error.code() == Code::Conflict));
    if let Err(error) = too_late {
        println!("too late: {error}");
    }
    Ok(())
}
