//! Reads answers of Redis: whether one is an error, the fields of INFO, and any answer as the type that it should have.

use redis::{FromRedisValue, ServerError, Value};

use crate::store::Error;

/// The error that Redis answered, if it did.
pub(super) fn server_error(answer: &Value) -> Option<&ServerError> {
    match answer {
        Value::ServerError(error) => Some(error),
        _ => None,
    }
}

/// Reads an answer of Redis as the type that it should have.
pub(super) fn parse<T: FromRedisValue>(answer: Value) -> Result<T, Error> {
    T::from_redis_value(answer).map_err(|_| Error::Corrupt)
}

/// Reads the only answer.
pub(super) fn parse_one<T: FromRedisValue>(answers: Vec<Value>) -> Result<T, Error> {
    parse(answers.into_iter().next().ok_or(Error::Corrupt)?)
}

/// Reads all answers together.
pub(super) fn parse_several<T: FromRedisValue>(answers: Vec<Value>) -> Result<T, Error> {
    parse(Value::Array(answers))
}

/// Returns the value of a field in the answer to INFO.
pub(super) fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}
