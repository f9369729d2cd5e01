//! Numbers about the records that match.

use serde_json::Value;
use tandem_base::Result;
use tandem_query::{self as query, Function, GroupBy, Pipeline};
use tandem_record::value::Path;

use crate::bucket::Bucket;

impl Bucket<'_> {
    /// The sum of the numbers in a field or dotted path; 0 without any. Exact
    /// as long as it is an integer of 64 bits. Values that are no numbers are
    /// skipped.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a malformed filter; `BUCKET_NOT_DEFINED`.
    pub fn sum(&self, field: &str, filter: impl Into<Value>) -> Result<Value> {
        self.number(Function::Sum, field, filter.into())
    }

    /// The mean of the numbers in a field; 0 without any.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn avg(&self, field: &str, filter: impl Into<Value>) -> Result<Value> {
        self.number(Function::Avg, field, filter.into())
    }

    /// The smallest number in a field; null without any.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn min(&self, field: &str, filter: impl Into<Value>) -> Result<Value> {
        self.number(Function::Min, field, filter.into())
    }

    /// The largest number in a field; null without any.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn max(&self, field: &str, filter: impl Into<Value>) -> Result<Value> {
        self.number(Function::Max, field, filter.into())
    }

    fn number(&self, function: Function, field: &str, filter: Value) -> Result<Value> {
        let field = Path::parse(field)?;
        let query = self.find(filter).query()?;
        self.session().read(|records, tx| {
            let (bucket, filter) = (self.name(), query.filter.as_ref());
            query::aggregate(records, tx, bucket, function, Some(&field), filter)
        })
    }

    /// A number per group of records that agree in `field` (a name, or an array
    /// of names): `[{"key": {field: value}, "value": number}]`, in the order in
    /// which the groups first occur. `aggregate` is `{"function": "sum",
    /// "field": "credits"}` or the like; null counts.
    ///
    /// ```
    /// # fn main() -> tandem::Result<()> {
    /// use serde_json::json;
    /// # let store = tandem::Store::memory()?;
    /// # store.define_bucket("users", tandem::BucketConfig::new("id"))?;
    /// let users = store.bucket("users");
    /// users.insert_many([
    ///     json!({ "id": 1, "role": "admin", "credits": 5 }),
    ///     json!({ "id": 2, "role": "user", "credits": 7 }),
    ///     json!({ "id": 3, "role": "user", "credits": 1 }),
    /// ])?;
    /// let sum = json!({ "function": "sum", "field": "credits" });
    /// assert_eq!(
    ///     users.group_by("role", sum, json!({}))?,
    ///     [
    ///         json!({ "key": { "role": "admin" }, "value": 5 }),
    ///         json!({ "key": { "role": "user" }, "value": 8 }),
    ///     ]
    /// );
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`sum`](Self::sum); `LIMIT_EXCEEDED` for too many groups.
    pub fn group_by(
        &self,
        field: impl Into<Value>,
        aggregate: impl Into<Value>,
        filter: impl Into<Value>,
    ) -> Result<Vec<Value>> {
        let group_by = GroupBy::parse(&field.into(), &aggregate.into())?;
        let query = self.find(filter).query()?;
        self.session().read(|records, tx| {
            let (bucket, filter) = (self.name(), query.filter.as_ref());
            query::group_by(records, tx, bucket, &group_by, filter, &query.limits)
        })
    }

    /// The documents that an aggregation pipeline makes of the records, with
    /// MongoDB's meaning: `$match $project $addFields $set $unset $group $sort
    /// $sortByCount $limit $skip $unwind $count $lookup $facet $replaceRoot
    /// $replaceWith`. A leading `$match`, `$sort` and `$limit` uses indexes.
    /// All that it reads is of one state, and in a serializable transaction it
    /// is validated like any read.
    ///
    /// ```
    /// # fn main() -> tandem::Result<()> {
    /// use serde_json::json;
    /// # let store = tandem::Store::memory()?;
    /// # store.define_bucket("sales", tandem::BucketConfig::new("id"))?;
    /// let sales = store.bucket("sales");
    /// sales.insert_many([
    ///     json!({ "id": 1, "item": "pen", "price": 2, "quantity": 10 }),
    ///     json!({ "id": 2, "item": "ink", "price": 9, "quantity": 1 }),
    ///     json!({ "id": 3, "item": "pen", "price": 3, "quantity": 5 }),
    /// ])?;
    /// let revenue = sales.aggregate(json!([
    ///     { "$group": {
    ///         "_id": "$item",
    ///         "revenue": { "$sum": { "$multiply": ["$price", "$quantity"] } },
    ///     } },
    ///     { "$sort": { "revenue": -1 } },
    /// ]))?;
    /// assert_eq!(
    ///     revenue,
    ///     [json!({ "_id": "pen", "revenue": 35 }), json!({ "_id": "ink", "revenue": 9 })]
    /// );
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a malformed pipeline, or an expression that cannot
    /// be evaluated on a document; `LIMIT_EXCEEDED` naming `pipelineBytes`,
    /// `pipelineWork` or another bound; `BUCKET_NOT_DEFINED`.
    pub fn aggregate(&self, pipeline: impl Into<Value>) -> Result<Vec<Value>> {
        let (pipeline, limits) = (self.pipeline(&pipeline.into())?, self.query_limits());
        self.session()
            .read(|records, tx| query::run_pipeline(records, tx, self.name(), &pipeline, &limits))
    }

    /// Runs a pipeline and tells how: the access to the records, as
    /// [`Find::explain`](crate::Find::explain) does, and the `stages` that were
    /// left to do on what it delivered.
    ///
    /// # Errors
    /// As [`aggregate`](Self::aggregate).
    pub fn explain_aggregate(&self, pipeline: impl Into<Value>) -> Result<Value> {
        let (pipeline, limits) = (self.pipeline(&pipeline.into())?, self.query_limits());
        self.session().read(|records, tx| {
            query::explain_pipeline(records, tx, self.name(), &pipeline, &limits)
        })
    }

    fn pipeline(&self, pipeline: &Value) -> Result<Pipeline> {
        Pipeline::parse(pipeline, self.session().store().environment().clock.now_ms())
    }

    fn query_limits(&self) -> query::QueryLimits {
        self.session().store().limits().query
    }
}
