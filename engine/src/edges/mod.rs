//! What crosses from one document to another: contributions to aggregates, references and looked-up values, memberships, sessions.

pub mod endings;
pub mod lookup;
pub mod mail;
pub mod members;
pub mod nearest;
pub mod pairs;
pub mod paths;
pub mod sessions;
mod timeline;
