//! The plan as text: tables with their regions and slots, then effects and reactions.

use std::fmt::Write;

use thalweg_formulas::InputId;

use super::figures::Sheet;
use super::view::{PATHS, cancelled_by, kept, raised_by};
use crate::outcome::NodeStats;
use crate::plan::{
    CellKind, Closing, ClosingKind, Direction, Effect, EffectKind, EffectMode, Goal, Group, Join, JoinSide, Lookup, Membership,
    Nearest, Part, Plan, Reaction, Rearm, Region, RegionId, Schedule, Session, SlotId, SlotSource, Table,
};
use crate::show;
use crate::spec::ActionSpec;

/// The plan as indented text, one slot a line.
pub fn to_text(plan: &Plan, stats: &[NodeStats]) -> String {
    let sheet = Sheet::new(stats);
    let mut out = String::new();
    for (ix, table) in plan.tables.iter().enumerate() {
        table_heading(&mut out, table);
        if let Some(edge) = table.kept_by {
            put(&mut out, format_args!("  {}", kept_by_text(plan, &plan.memberships[edge.0 as usize])));
        }
        if let Some(join) = table.paired_by {
            put(&mut out, format_args!("  {}", paired_by_text(plan, &plan.joins[join.0 as usize])));
        }
        for (region_ix, region) in (0u32..).zip(&plan.regions).filter(|(_, region)| region.table.0 as usize == ix) {
            put(&mut out, format_args!("  region {region_ix}, level {}", region.level));
            for slot in 0..region.slots.len() {
                slot_line(&mut out, plan, &sheet, RegionId(region_ix), SlotId(slot as u32));
            }
        }
    }
    plan.effects.iter().for_each(|effect| effect_lines(&mut out, plan, effect));
    plan.reactions.iter().for_each(|reaction| reaction_lines(&mut out, plan, reaction));
    for cancel in &plan.cancels {
        put(&mut out, format_args!("timer of {} cancelled by {}", cancel.name, cancelled_by(plan, cancel)));
    }
    plan.schedules.iter().for_each(|schedule| schedule_line(&mut out, plan, schedule));
    plan.goals.iter().for_each(|goal| goal_lines(&mut out, goal));
    out
}

fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("invariant: writing to a string does not fail");
}

fn goal_lines(out: &mut String, goal: &Goal) {
    for objective in &goal.objectives {
        let direction = match objective.direction {
            Direction::Maximize => "maximize".to_owned(),
            Direction::Minimize => "minimize".to_owned(),
            Direction::Target { value, tolerance } => format!("bring to {value:?}, within {tolerance:?},"),
        };
        let weight = if objective.weight == 1.0 { String::new() } else { format!(", weight {:?}", objective.weight) };
        put(out, format_args!("goal {}: {direction} `{}`{weight}", objective.name, objective.field));
    }
    for variable in &goal.variables {
        let bound = |name: &str, bound: Option<f64>| bound.map_or(String::new(), |x| format!(", {name} {x:?}"));
        let bounds = bound("at least", variable.bounds.least) + &bound("at most", variable.bounds.greatest);
        let by = variable.gradient.as_ref().map_or("frozen".to_owned(), |gradient| format!("by `{gradient}`"));
        put(out, format_args!("  moves {} {by}{bounds}, from {:?}", variable.field, variable.init));
    }
    let online = goal.online.map_or("when asked".to_owned(), |steps| format!("at most {steps} steps after each change"));
    put(
        out,
        format_args!(
            "  {} at rate {:?}, {online}, until no slope is above {:?}",
            goal.optimizer.rule.name(),
            goal.optimizer.rate,
            goal.tolerance
        ),
    );
}

fn table_heading(out: &mut String, table: &Table) {
    let name = if table.name.is_empty() { "global" } else { &table.name };
    let from = if table.from == table.name { String::new() } else { format!(" from {}", table.from) };
    let columns = |key: &Vec<crate::plan::ColumnId>| -> String {
        let names: Vec<&str> = key.iter().map(|column| &*table.columns[column.0 as usize].name).collect();
        names.join(", ")
    };
    let key = match &table.key {
        None => ", key not known yet".into(),
        Some(key) if key.is_empty() && table.name.is_empty() => String::new(),
        Some(key) if key.is_empty() => ", no key".into(),
        Some(key) => format!(", key {}", columns(key)),
    };
    let whole = if table.whole_rows { ", whole rows kept" } else { "" };
    put(out, format_args!("{name}{from}{key}{whole}"));
}

fn slot_line(out: &mut String, plan: &Plan, sheet: &Sheet<'_>, at: RegionId, slot: SlotId) {
    let region = &plan.regions[at.0 as usize];
    let found = &region.slots[slot.0 as usize];
    let source = match found.source {
        SlotSource::Column(_) => "column".into(),
        SlotSource::Carried(from, _) => format!("from region {}", from.0),
        SlotSource::Aggregate(group) => group_text(plan, &plan.groups[group.0 as usize]),
        SlotSource::Nearest(edge, _) => nearest_text(plan, &plan.nearest[edge.0 as usize]),
        SlotSource::Looked(lookup, position) => lookup_text(plan, &plan.lookups[lookup.0 as usize], position as usize),
        SlotSource::Session(session) => session_text(plan, &plan.sessions[session.0 as usize], slot),
        SlotSource::Cell(cell) => cell_text(region, cell as usize),
    };
    put(out, format_args!("    {slot}  {name}: {ty}  {source}", slot = slot.0, name = found.name, ty = found.ty));
    if let SlotSource::Cell(cell) = found.source
        && let Some(field) = region.cells[cell as usize].field
    {
        let (how, why) = kept(&plan.fields[field.0 as usize].maintenance);
        put(out, format_args!("       {how}: {why}"));
    }
    figures_line(out, plan, sheet, at, slot);
}

fn kept_by_text(plan: &Plan, edge: &Membership) -> String {
    let from = &plan.regions[edge.from.0 as usize];
    let table = &plan.tables[from.table.0 as usize].name;
    let by = key_names(plan, edge.from, &edge.key, &edge.parts);
    if let Some(level) = edge.closure {
        let region = edge.from.0;
        return format!("<- paths over {table} by {by}, region {region}, paths at level {level}; {PATHS}");
    }
    let lives = match edge.closing {
        None => "a document lives as long as a row is in it".into(),
        Some(Closing { watermark, kind, end }) => {
            let watermark = &plan.watermarks[watermark as usize];
            let on = slot_names(plan, watermark.from, &[watermark.on]);
            let end = if end.is_some() { "reached window_end" } else { "passed its last row and the gap" };
            let passed = format!("the greatest {on} less {} has {end}", show::delay(watermark.lateness));
            match kind {
                ClosingKind::Final => format!("a document is born once {passed}, and does not change"),
                ClosingKind::EarlyAndFinal => {
                    format!("a document lives as long as a row is in it; once {passed} it does not change")
                }
                ClosingKind::Late => format!("a document is a row that came when {passed}"),
            }
        }
    };
    format!("<- rows of {table} by {by}, region {}; {lives}", edge.from.0)
}

/// `<- pairs of Order by sku and Shipment by sku`, and what else must hold.
fn paired_by_text(plan: &Plan, join: &Join) -> String {
    let side = |side: &JoinSide| {
        let table = plan.regions[side.from.0 as usize].table;
        let by = slot_names(plan, side.from, &side.on);
        format!("{} by {by}, region {}", plan.tables[table.0 as usize].name, side.from.0)
    };
    let [left, right] = &join.sides;
    let given = join.sides.iter().flat_map(|side| side.given.iter().map(move |slot| (side, *slot)));
    let given: Vec<String> = given.map(|(side, slot)| format!("{}.{}", side.name, own_name(plan, side.from, slot))).collect();
    let condition = join.condition.as_ref().map(|condition| {
        let name = |id: InputId| given[id.0 as usize].clone();
        format!(" where {}", show::text(condition, &name))
    });
    let (left, right, condition) = (side(left), side(right), condition.unwrap_or_default());
    format!(
        "<- pairs of {left} and {right}, index at level {}{condition}; a row that comes or goes costs the rows it meets",
        join.level
    )
}

/// A slot's name within its table.
fn own_name(plan: &Plan, region: RegionId, slot: SlotId) -> &str {
    let place = &plan.regions[region.0 as usize];
    let (table, name) = (&plan.tables[place.table.0 as usize].name, &place.slots[slot.0 as usize].name);
    name.strip_prefix(&**table).and_then(|name| name.strip_prefix('.')).unwrap_or(name)
}

/// What the slot holds and has cost in this region.
fn figures_line(out: &mut String, plan: &Plan, sheet: &Sheet<'_>, at: RegionId, slot: SlotId) {
    let name = &plan.regions[at.0 as usize].slots[slot.0 as usize].name;
    let figures = sheet.of(&plan.node_id(at, slot), name, &[at.0]);
    if figures.any() {
        let (rows, bytes, touched) = (figures.rows, figures.state_bytes, figures.rows_touched);
        put(out, format_args!("       rows {rows}, state bytes {bytes}, rows touched {touched}"));
    }
}

fn cell_text(region: &Region, cell: usize) -> String {
    let cell = &region.cells[cell];
    let name = |input: InputId| match region.slots.get(input.0 as usize) {
        _ if input.0 == cell.slot.0 => "self".into(),
        Some(slot) => slot.name.to_string(),
        None => format!("#{}", input.0),
    };
    let expr = show::text(&cell.expr, &name);
    match &cell.kind {
        CellKind::Formula => format!("= {expr}"),
        CellKind::SelfReference { init } => {
            let init = show::value(init);
            format!("= {expr}, self at first {init}")
        }
    }
}

fn slot_names(plan: &Plan, region: RegionId, slots: &[SlotId]) -> String {
    let names: Vec<&str> = slots.iter().map(|slot| &*plan.regions[region.0 as usize].slots[slot.0 as usize].name).collect();
    names.join(", ")
}

/// The slots that hold a key, and how.
fn key_names(plan: &Plan, region: RegionId, slots: &[SlotId], parts: &[Part]) -> String {
    let named = slots.iter().enumerate().map(|(at, slot)| {
        let name = slot_names(plan, region, std::slice::from_ref(slot));
        match parts.get(at) {
            None | Some(Part::One) => name,
            Some(Part::Each) => format!("each of {name}"),
            Some(Part::Later(by)) => format!("{} later", show::delay(*by)),
        }
    });
    named.collect::<Vec<_>>().join(", ")
}

fn group_text(plan: &Plan, group: &Group) -> String {
    let from = &plan.regions[group.from.0 as usize];
    let table = &plan.tables[from.table.0 as usize].name;
    let what = &from.slots[group.contribution.0 as usize].name;
    let by = match group.parent_key.as_slice() {
        [] => String::new(),
        key => format!(" by {}", key_names(plan, group.from, key, &group.parts)),
    };
    let parameter = group.agg.parameter().map_or(String::new(), |parameter| format!(" {}", show::value(&parameter)));
    let beside = if group.agg.is_of_pairs() { "and" } else { "in the order of" };
    let second = match group.second {
        Some(second) => format!(" {beside} `{}`", from.slots[second.0 as usize].name),
        None => String::new(),
    };
    format!("<- {}{parameter} of {table} `{what}`{second}{by}, region {}", group.agg.name(), group.from.0)
}

fn session_text(plan: &Plan, session: &Session, slot: SlotId) -> String {
    let late = session.ending.as_ref().is_some_and(|ending| ending.late == slot);
    let which = if late { " that was over when the row came," } else { "" };
    let by = match session.key.as_slice() {
        [] => String::new(),
        key => format!(" by {}", slot_names(plan, session.from, key)),
    };
    let on = slot_names(plan, session.from, &[session.on]);
    let (gap, from, level) = (show::delay(session.gap), session.from.0, session.level);
    format!("<- start of the session{which} over {on}{by}, gap {gap}, region {from}, index at level {level}")
}

fn lookup_text(plan: &Plan, lookup: &Lookup, position: usize) -> String {
    let to = &plan.regions[lookup.to.0 as usize];
    let name = &*plan.tables[to.table.0 as usize].name;
    let table = if name.is_empty() { "global" } else { name };
    let value = slot_names(plan, lookup.to, &lookup.values[position..=position]);
    let via = match lookup.via.as_slice() {
        [] => String::new(),
        via => format!(" by {}", slot_names(plan, lookup.from, via)),
    };
    format!("<- {table} `{value}`{via}, region {}, index at level {}", lookup.to.0, lookup.level)
}

/// `<- newest Quote by symbol at, region 1, at symbol, at`.
fn nearest_text(plan: &Plan, edge: &Nearest) -> String {
    let table = &plan.tables[plan.regions[edge.of.0 as usize].table.0 as usize].name;
    let (near, line) = (slot_names(plan, edge.from, &edge.near), slot_names(plan, edge.of, &edge.line));
    format!("<- newest {table} by {line} as of {near}, region {}, index at level {}", edge.of.0, edge.level)
}

fn effect_lines(out: &mut String, plan: &Plan, effect: &Effect) {
    let table = &*plan.tables[effect.table.0 as usize].name;
    let table = if table.is_empty() { "global" } else { table };
    let once = match effect.rearm {
        Rearm::Edge => String::new(),
        Rearm::Once => ", once".into(),
        Rearm::Level(every) => format!(", again every {}", show::delay(every)),
    };
    let (kind, mode) = (kind_text(effect.kind), mode_text(effect.mode));
    put(out, format_args!("effect {} on {table} when {}{once}{kind}{mode}", effect.name, effect.condition));
    let payload: Vec<String> = effect.payload.iter().map(|(name, slot)| format!("{name} = slot {}", slot.0)).collect();
    put(out, format_args!("  region {}, condition slot {}, sends {}", effect.region.0, effect.when.0, payload.join(", ")));
    action_lines(out, &effect.actions);
}

/// What is not the default.
fn kind_text(kind: EffectKind) -> &'static str {
    match kind {
        EffectKind::Queue => "",
        EffectKind::Boolean => ", boolean",
        EffectKind::Counter => ", counter",
    }
}

fn mode_text(mode: EffectMode) -> String {
    let (word, wait) = match mode {
        EffectMode::Fire => return String::new(),
        EffectMode::Ack(wait) => ("acknowledged", wait),
        EffectMode::Count(wait) => ("counted until acknowledged", wait),
    };
    let within = wait.timeout_us.map(|us| format!(" within {} s, {} times more", us as f64 / 1e6, wait.retries));
    format!(", {word}{}", within.unwrap_or_default())
}

fn reaction_lines(out: &mut String, plan: &Plan, reaction: &Reaction) {
    let condition = reaction.condition_text.as_ref().map_or(String::new(), |text| format!(" when {text}"));
    let raised = raised_by(plan, reaction);
    put(out, format_args!("reaction {} to {} ({raised}){condition}", reaction.name, reaction.event));
    if let Some(timer) = &reaction.timer {
        put(out, format_args!("  arms {} {}", timer.event, show::due(timer)));
    }
    action_lines(out, &reaction.actions);
}

fn schedule_line(out: &mut String, plan: &Plan, schedule: &Schedule) {
    let Schedule { name, event, times, .. } = schedule;
    if schedule.publishes {
        return put(out, format_args!("moments that publish fields: {name}"));
    }
    let rows = if schedule.each_row {
        format!(" for each row of {}", plan.tables[schedule.table.0 as usize].name)
    } else {
        String::new()
    };
    put(out, format_args!("schedule {name} raises {event}{rows}: {}", times.text()));
}

fn action_lines(out: &mut String, actions: &[ActionSpec]) {
    actions.iter().for_each(|action| put(out, format_args!("  {}", action.kind)));
}
