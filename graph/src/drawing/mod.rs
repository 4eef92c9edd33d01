//! The graph of a plan for people and programs: text, JSON, DOT, Mermaid, and the story of one node.
//!
//! All of it is a function of the plan and the figures: the same plan gives the same bytes.

mod dot;
mod explain;
mod figures;
mod json;
mod mermaid;
mod text;
mod view;

pub use dot::to_dot;
pub use json::to_json;
pub use mermaid::to_mermaid;
pub use text::to_text;
