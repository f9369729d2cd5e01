//! SQL over the wire, alone and beside the requests of buckets.

mod support;

use serde_json::{Value, json};
use support::{client_of, config, serve};
use tandem_client::Code;

#[tokio::test]
async fn statements_answer_rows_changes_and_keys() {
    let server = serve(config()).await;
    let client = client_of(&server).await;
    let made = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)";
    client.sql(made, Value::Null).await.unwrap();
    let insert = "INSERT INTO notes (text) VALUES (?), (?)";
    let inserted = client.sql(insert, json!(["milk", null])).await.unwrap();
    assert_eq!((inserted.changes, inserted.last_key), (2, Some(json!(2))));
    let read = client
        .sql("SELECT id, text || '!' AS t FROM notes WHERE id <= :id", json!({ "id": 2 }))
        .await
        .unwrap();
    assert_eq!(read.rows, [vec![json!(1), json!("milk!")], vec![json!(2), Value::Null]]);
    let names: Vec<_> = read.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "t"]);
    assert_eq!(read.columns[0].declared_type.as_deref(), Some("INTEGER"));
    assert_eq!(read.columns[1].declared_type, None);
    let wrong = client.sql("SELECT\n missing FROM notes", Value::Null).await.unwrap_err();
    assert!(wrong.is(Code::SqlError));
    assert_eq!((wrong.detail("line"), wrong.detail("column")), (Some(&2.into()), Some(&2.into())));
}

#[tokio::test]
async fn sql_and_records_are_one_transaction() {
    let server = serve(config()).await;
    let (client, other) = (client_of(&server).await, client_of(&server).await);
    client
        .transaction(|tx| {
            let other = other.clone();
            async move {
                tx.bucket("items").insert(json!({ "id": 1, "n": 5 })).await?;
                let n = "SELECT _record ->> 'n' FROM items WHERE id = ?";
                assert_eq!(tx.sql(n, json!([1])).await?.rows, [[json!(5)]]);
                let outside = other.sql("SELECT count(*) FROM items", Value::Null).await?;
                assert_eq!(outside.rows, [[json!(0)]]);
                let refused = tx.sql("ROLLBACK", Value::Null).await.unwrap_err();
                assert!(refused.is(Code::SqlError), "{refused}");
                assert_eq!(tx.sql("DELETE FROM items", Value::Null).await?.changes, 1);
                tx.bucket("items").insert(json!({ "id": 2 })).await
            }
        })
        .await
        .unwrap();
    let left = other.sql("SELECT id FROM items", Value::Null).await.unwrap();
    assert_eq!(left.rows, [[json!(2)]]);
}
