//! The plan as a Mermaid flowchart, one subgraph a region. Nodes are numbered, because Mermaid's ids are plain words.

use std::collections::BTreeMap;

use super::figures::Sheet;
use super::view::{Kind, Node, nodes};
use crate::outcome::NodeStats;
use crate::plan::Plan;

/// The plan as a Mermaid flowchart; figures stand in the labels where there are any.
pub fn to_mermaid(plan: &Plan, stats: &[NodeStats]) -> String {
    let sheet = Sheet::new(stats);
    let nodes = nodes(plan);
    let numbers: BTreeMap<&str, usize> = nodes.iter().enumerate().map(|(ix, node)| (node.id.as_str(), ix)).collect();
    let mut out = String::from("flowchart LR\n");
    for (ix, region) in (0u32..).zip(&plan.regions) {
        let table = &*plan.tables[region.table.0 as usize].name;
        let table = if table.is_empty() { "global" } else { table };
        out += &format!("  subgraph r{ix}[\"{}, level {}\"]\n", escaped(table), region.level);
        for (number, node) in nodes.iter().enumerate() {
            if node.kind != Kind::Reaction && node.regions.first() == Some(&ix) {
                out += &format!("    {}\n", statement(number, node, &sheet));
            }
        }
        out += "  end\n";
    }
    for (number, node) in nodes.iter().enumerate().filter(|(_, node)| node.kind == Kind::Reaction) {
        out += &format!("  {}\n", statement(number, node, &sheet));
    }
    for (number, node) in nodes.iter().enumerate() {
        for read in node.reads.iter().filter_map(|read| numbers.get(read.as_str())) {
            out += &format!("  n{read} --> n{number}\n");
        }
    }
    out
}

fn statement(number: usize, node: &Node, sheet: &Sheet<'_>) -> String {
    let figures = node.figures(sheet);
    let touched = if !figures.any() { String::new() } else { format!("<br/>{} rows, {} B", figures.rows, figures.state_bytes) };
    let label = format!("{}<br/>{}{touched}", escaped(&node.id), escaped(&node.ty));
    match node.kind {
        Kind::State => format!("n{number}[\"{label}\"]"),
        Kind::Derived | Kind::Key => format!("n{number}([\"{label}\"])"),
        Kind::Effect | Kind::Reaction => format!("n{number}>\"{label}\"]"),
        Kind::Hidden => format!("n{number}(\"{label}\")"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
