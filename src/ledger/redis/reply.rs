//! Replies of Redis taken apart: what is not as expected is told, never a panic.

use redis::Value;

use super::super::record::Unreadable;

/// A reply is not of the form that was expected.
pub fn unexpected(what: &'static str) -> Unreadable {
    Unreadable { what: "reply of Redis", why: format!("{what} is missing or of another kind") }
}

/// The parts of a list; a null is an empty one.
pub fn list(value: Value) -> Result<Vec<Value>, Unreadable> {
    match value {
        Value::Array(parts) | Value::Set(parts) => Ok(parts),
        Value::Nil => Ok(Vec::new()),
        _ => Err(unexpected("a list")),
    }
}

/// A string of bytes, if there is one.
pub fn some_bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Int(n) => Some(n.to_string().into_bytes()),
        Value::Okay => Some(b"OK".to_vec()),
        _ => None,
    }
}

/// A string of bytes.
pub fn bytes(value: Value) -> Result<Vec<u8>, Unreadable> {
    some_bytes(value).ok_or_else(|| unexpected("a string"))
}

/// Text.
pub fn text(value: Value) -> Result<String, Unreadable> {
    String::from_utf8(bytes(value)?).map_err(|_| unexpected("a text"))
}

/// A whole number, also where it came as text.
pub fn number<N: std::str::FromStr>(value: Value) -> Result<N, Unreadable> {
    text(value)?.parse().map_err(|_| unexpected("a number"))
}

/// The next of several parts.
pub fn next(parts: &mut impl Iterator<Item = Value>) -> Result<Value, Unreadable> {
    parts.next().ok_or_else(|| unexpected("a part"))
}
