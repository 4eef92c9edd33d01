//! Why a row change is refused: E0330 to E0339. The row stays as it was, the rest of the transaction goes on.

use thalweg_formulas::Error;

/// An insert of a row that is there.
pub fn already_there() -> Error {
    Error::new(330, "insert of a row that exists")
}

/// An update or delete of a row that is not there; `verb` says which.
pub fn missing(verb: &str) -> Error {
    Error::new(331, format!("{verb} of a row that does not exist"))
}

/// A value that does not fit its column.
pub fn wrong_type(column: &str, why: &str) -> Error {
    Error::new(332, format!("column `{column}`: {why}"))
}

/// No key, or NULL in it.
pub fn no_key(column: &str) -> Error {
    Error::new(333, format!("the change gives no value for key column `{column}`"))
}

/// A key of another length than the table's.
pub fn key_length(given: usize, wanted: usize) -> Error {
    Error::new(333, format!("the key has {given} values, the table's key has {wanted} columns"))
}

/// An image that the change needs and does not have.
pub fn no_image(verb: &str, which: &str) -> Error {
    Error::new(334, format!("{verb} without a full `{which}` row"))
}

/// A change of key onto a row that is there.
pub fn key_taken() -> Error {
    Error::new(335, "change of key onto a row that exists")
}
