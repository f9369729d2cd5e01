//! An order of several lines in one transaction: lines that cannot be served
//! are taken back to their savepoint, the rest is kept, and all of it is
//! committed together.
//!
//! Run it: `cargo run -p tandem-examples --example inventory_savepoints`

use serde_json::json;
use tandem::{BucketConfig, Code, Field, Result, Store};

fn main() -> Result<()> {
    let store = Store::memory()?;
    store.define_bucket(
        "products",
        BucketConfig::new("sku").field("stock", Field::number().required().min(0)),
    )?;
    store.define_bucket(
        "lines",
        BucketConfig::new("id")
            .field("id", Field::number().generated_autoincrement())
            .field("sku", Field::string().required().references("products")),
    )?;
    store.bucket("products").insert_many([
        json!({ "sku": "hat", "stock": 5 }),
        json!({ "sku": "scarf", "stock": 1 }),
        json!({ "sku": "glove", "stock": 8 }),
    ])?;

    let order = [("hat", 2), ("scarf", 3), ("glove", 4)];

    let tx = store.begin()?;
    // Two handles of one transaction, in use at the same time.
    let (products, lines) = (tx.bucket("products"), tx.bucket("lines"));
    let mut missing = Vec::new();
    for (sku, wanted) in order {
        tx.savepoint("line")?;
        lines.insert(json!({ "sku": sku, "quantity": wanted }))?;
        let stock = products.get(sku)?.and_then(|p| p.get("stock")?.as_i64()).unwrap_or(0);
        match products.update(sku, json!({ "stock": stock - wanted })) {
            Ok(_) => tx.release("line")?,
            // The schema says that stock is never below zero.
            Err(error) if error.code() == Code::ValidationError => {
                tx.rollback_to("line")?;
                tx.release("line")?;
                missing.push(sku);
            }
            Err(error) => return Err(error),
        }
    }
    let receipt = tx.commit()?;

    println!("revision {} changed {} records", receipt.revision, receipt.changes);
    println!("not in stock: {}", missing.join(", "));
    for product in store.bucket("products").all().iter()? {
        println!("{}", product?);
    }
    assert_eq!(store.bucket("lines").count(json!({}))?, 2);
    assert_eq!(missing, ["scarf"]);
    Ok(())
}
