//! The tests of the room: what formulas mean, and what is said about wrong ones.

mod cel;
mod definitions;
mod gradients;
mod oracle;
mod soundness;
mod syntax;
