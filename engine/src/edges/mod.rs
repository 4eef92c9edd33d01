//! What crosses from one document to another: contributions to aggregates, references and looked-up values.

pub mod lookup;
pub mod mail;
