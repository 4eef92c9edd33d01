//! The tests of the room: what formulas mean, and what is said about wrong ones.

mod cel;
mod definitions;
mod oracle;
mod soundness;
mod syntax;
