//! The plan as a Graphviz digraph, one cluster a region.

use super::figures::Sheet;
use super::view::{Kind, Node, nodes};
use crate::outcome::NodeStats;
use crate::plan::Plan;

/// The plan in the DOT language; figures stand in the labels where there are any.
pub fn to_dot(plan: &Plan, stats: &[NodeStats]) -> String {
    let sheet = Sheet::new(stats);
    let nodes = nodes(plan);
    let mut out = String::from("digraph thalweg {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
    for (ix, region) in (0u32..).zip(&plan.regions) {
        let table = &*plan.tables[region.table.0 as usize].name;
        let table = if table.is_empty() { "global" } else { table };
        let label = quoted(&format!("{table}, level {}", region.level));
        out += &format!("  subgraph cluster_{ix} {{\n    label={label};\n");
        let own = |node: &&Node| node.kind != Kind::Reaction && node.regions.first() == Some(&ix);
        nodes.iter().filter(own).for_each(|node| out += &format!("    {}\n", statement(node, &sheet)));
        out += "  }\n";
    }
    let reactions = nodes.iter().filter(|node| node.kind == Kind::Reaction);
    reactions.for_each(|node| out += &format!("  {}\n", statement(node, &sheet)));
    for node in &nodes {
        node.reads.iter().for_each(|read| out += &format!("  {} -> {};\n", quoted(read), quoted(&node.id)));
    }
    out + "}\n"
}

fn statement(node: &Node, sheet: &Sheet<'_>) -> String {
    let shape = match node.kind {
        Kind::State => "box",
        Kind::Derived | Kind::Key => "ellipse",
        Kind::Effect | Kind::Reaction => "cds",
        Kind::Hidden => "plaintext",
    };
    let figures = node.figures(sheet);
    let touched = if !figures.any() { String::new() } else { format!("\n{} rows, {} B", figures.rows, figures.state_bytes) };
    format!("{} [shape={shape}, label={}];", quoted(&node.id), quoted(&format!("{}\n{}{touched}", node.id, node.ty)))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
