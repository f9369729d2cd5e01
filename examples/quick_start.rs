//! The first five minutes: define, write, read, and keep it in a directory.
//!
//! Run it: `cargo run -p tandem-examples --example quick_start`

use serde_json::json;
use tandem::{BucketConfig, Error, Field, Format, IndexConfig, Result, Store};

fn main() -> Result<()> {
    let directory = tempfile::tempdir().map_err(|error| Error::internal(error.to_string()))?;
    {
        let store = Store::open(directory.path())?;
        store.define_bucket(
            "users",
            BucketConfig::new("id")
                .field("id", Field::string().generated_uuid())
                .field("email", Field::string().required().unique().format(Format::Email))
                .field("role", Field::string().one_of(["admin", "user"]).default("user"))
                .index(IndexConfig::on("role").then_descending("age")),
        )?;

        let users = store.bucket("users");
        let ada =
            users.insert(json!({ "email": "ada@example.com", "role": "admin", "age": 36 }))?;
        users.insert(json!({ "email": "bob@example.com", "age": 41 }))?;
        users.insert(json!({ "email": "cyd@example.com", "age": 29 }))?;
        println!("inserted  {ada}");

        // A definition is enforced on every way in.
        let refused = users.insert(json!({ "email": "ada@example.com" }));
        println!("refused   {}", refused.map_or_else(|error| error.to_string(), |r| r.to_string()));

        let id = ada.get("id").unwrap_or_default();
        let older = users.update(id, json!({ "age": 37 }))?;
        println!("updated   version {}", older.version());

        for user in users.find(json!({ "role": "user" })).sort("-age").iter()? {
            println!("a user    {}", user?);
        }
    } // The last handle is gone: the store is closed.

    let store = Store::open(directory.path())?;
    println!(
        "reopened  {} users at revision {}",
        store.bucket("users").count(json!({}))?,
        store.revision()?
    );
    Ok(())
}
