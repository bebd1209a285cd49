//! A small layer over DynamoDB: reads by key, queries, writes and transactions of one table. In an expression, `#x`
//! stands for the attribute `x`.

mod read;
mod write;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

pub use self::read::ReadSet;
pub(crate) use self::read::{ItemPage, Query};
pub(crate) use self::write::{TransactOutcome, Updated, Write};
use crate::calls::RecordCalls;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The client of the table.
#[derive(Debug, Clone)]
pub(crate) struct Dynamo {
    client: Client,
    table: String,
}

impl Dynamo {
    pub(crate) fn new(config: &aws_types::SdkConfig, table: impl Into<String>) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config).interceptor(RecordCalls).build();
        Self { client: Client::from_conf(config), table: table.into() }
    }
}

pub(crate) fn s(text: impl ToString) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

pub(crate) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Returns the names `#x` of these expressions with their attributes. DynamoDB refuses an empty map.
fn names<'a>(expressions: impl IntoIterator<Item = &'a str>) -> Option<HashMap<String, String>> {
    let mut names = HashMap::new();
    for rest in expressions.into_iter().flat_map(|expression| expression.split('#').skip(1)) {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        names.insert(format!("#{}", &rest[..end]), rest[..end].to_owned());
    }
    (!names.is_empty()).then_some(names)
}

fn not_empty(values: Item) -> Option<Item> {
    (!values.is_empty()).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_expressions() {
        let found = names(["SET #name = :name, #version = :next", "#version = :version AND (#a <> :b)"]).unwrap();
        let mut found: Vec<(&str, &str)> = found.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
        found.sort_unstable();
        assert_eq!(found, [("#a", "a"), ("#name", "name"), ("#version", "version")]);
        assert_eq!(names(["pk = :pk"]), None);
    }
}
