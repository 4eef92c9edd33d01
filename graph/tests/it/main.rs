//! Definitions and their plans: golden plans, refused definitions, random definitions.

mod asof;
mod closures;
mod derived;
mod drawings;
mod goals;
mod golden;
mod joins;
mod random;
mod refused;
mod scale;
mod schemas;
mod support;
