//! The plan as JSON: what programs read. `"v": 1` names the shape.

use serde_json::{Value, json};

use super::figures::Sheet;
use super::view::{Node, kept, nodes};
use crate::outcome::NodeStats;
use crate::plan::{ClosingKind, Plan, RegionId};

/// The plan as indented JSON, ending in a line feed: nodes, regions, edges, and the indexes that stand in no region.
pub fn to_json(plan: &Plan, stats: &[NodeStats]) -> String {
    let sheet = Sheet::new(stats);
    let nodes: Vec<Value> = nodes(plan).iter().map(|node| node_json(node, &sheet)).collect();
    let regions: Vec<Value> = (0..plan.regions.len()).map(|region| region_json(plan, region)).collect();
    let whole = json!({ "v": 1, "nodes": nodes, "regions": regions, "edges": edges(plan), "indexes": indexes(stats) });
    format!("{whole:#}\n")
}

fn node_json(node: &Node, sheet: &Sheet<'_>) -> Value {
    let figures = node.figures(sheet);
    let (maintenance, why) = node.maintenance.as_ref().map_or(("input", "it comes from outside"), kept);
    json!({
        "id": node.id,
        "kind": node.kind.name(),
        "table": node.table,
        "type": node.ty,
        "tier": node.tier,
        "region": node.regions.first(),
        "carried_to": node.regions.get(1..).unwrap_or_default(),
        "maintenance": maintenance,
        "why": why,
        "reads": node.reads,
        "state_bytes": figures.state_bytes,
        "rows": figures.rows,
        "rows_touched": figures.rows_touched,
    })
}

fn region_json(plan: &Plan, ix: usize) -> Value {
    let region = &plan.regions[ix];
    let table = &plan.tables[region.table.0 as usize];
    json!({
        "region": ix,
        "table": table.name,
        "level": region.level,
        "home": table.home == Some(RegionId(ix as u32)),
        "slots": region.slots.len(),
        "cells": region.cells.len(),
    })
}

fn edges(plan: &Plan) -> Vec<Value> {
    let groups = plan.groups.iter().map(|group| {
        json!({ "kind": "group", "aggregate": group.agg, "from": group.from.0, "to": group.to.0, "shows": plan.node_id(group.to, group.slot) })
    });
    let lookups = plan.lookups.iter().map(|lookup| {
        let shows: Vec<String> = lookup.slots.iter().map(|slot| plan.node_id(lookup.into, *slot)).collect();
        json!({
            "kind": "lookup",
            "from": lookup.from.0,
            "of": lookup.to.0,
            "to": lookup.into.0,
            "index_level": lookup.level,
            "shows": shows,
        })
    });
    let memberships = plan.memberships.iter().map(|edge| {
        let by: Vec<String> = edge.key.iter().map(|slot| plan.node_id(edge.from, *slot)).collect();
        let mut shown = json!({ "kind": "members", "from": edge.from.0, "to": edge.to.0, "by": by });
        if let Some(closing) = edge.closing {
            let watermark = &plan.watermarks[closing.watermark as usize];
            let kind = match closing.kind {
                ClosingKind::Final => "final",
                ClosingKind::EarlyAndFinal => "early+final",
                ClosingKind::Late => "late",
            };
            shown["emit"] = kind.into();
            shown["on"] = plan.node_id(watermark.from, watermark.on).into();
            shown["lateness_us"] = watermark.lateness.into();
        }
        if let Some(level) = edge.closure {
            shown["kind"] = "closure".into();
            shown["index_level"] = level.into();
        }
        shown
    });
    let sessions = plan.sessions.iter().map(|edge| {
        let by: Vec<String> = edge.key.iter().map(|slot| plan.node_id(edge.from, *slot)).collect();
        let mut shown = json!({
            "kind": "session",
            "from": edge.from.0,
            "to": edge.into.0,
            "index_level": edge.level,
            "by": by,
            "on": plan.node_id(edge.from, edge.on),
            "gap_us": edge.gap,
            "shows": plan.node_id(edge.into, edge.slot),
        });
        if let Some(ending) = &edge.ending {
            shown["shows_late"] = plan.node_id(edge.into, ending.late).into();
        }
        shown
    });
    let joins = plan.joins.iter().map(|join| {
        let from: Vec<u32> = join.sides.iter().map(|side| side.from.0).collect();
        let by: Vec<Vec<String>> =
            join.sides.iter().map(|side| side.on.iter().map(|slot| plan.node_id(side.from, *slot)).collect()).collect();
        let reads: Vec<String> = join.given().into_iter().map(|(region, slot)| plan.node_id(region, slot)).collect();
        json!({ "kind": "join", "from": from, "to": join.to.0, "index_level": join.level, "by": by, "where_reads": reads })
    });
    let nearest = plan.nearest.iter().map(|edge| {
        let near: Vec<String> = edge.near.iter().map(|slot| plan.node_id(edge.from, *slot)).collect();
        let line: Vec<String> = edge.line.iter().map(|slot| plan.node_id(edge.of, *slot)).collect();
        json!({
            "kind": "as-of",
            "from": edge.from.0,
            "of": edge.of.0,
            "to": edge.into.0,
            "index_level": edge.level,
            "by": [near, line],
        })
    });
    groups.chain(lookups).chain(memberships).chain(sessions).chain(joins).chain(nearest).collect()
}

/// Indexes of keys and of references: state that belongs to no slot.
fn indexes(stats: &[NodeStats]) -> Vec<Value> {
    let outside = stats.iter().filter(|stat| stat.region.is_none());
    let index = |stat: &NodeStats| json!({ "id": stat.node, "rows": stat.rows, "state_bytes": stat.state_bytes, "rows_touched": stat.rows_touched });
    outside.map(index).collect()
}
