//! Definitions and their plans: golden plans, refused definitions, random definitions.

mod drawings;
mod golden;
mod random;
mod refused;
mod schemas;
mod support;
