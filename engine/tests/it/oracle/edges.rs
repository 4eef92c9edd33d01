//! What rows tell along an edge: keys, sessions, watermarks and pairs.

use super::*;

/// The names of a declared key.
pub(super) fn declared(table: &Table) -> Vec<Arc<str>> {
    table.key.iter().flatten().map(|at| table.columns[at.0 as usize].name.clone()).collect()
}

/// The key in some slots of a row, where it is one.
pub(super) fn other_key(row: &[Cell], slots: &[SlotId], types: &[Type]) -> Option<Key> {
    let values = slots.iter().zip(types).map(|(slot, ty)| coerce(row[slot.0 as usize].clone().ok()?, ty).ok());
    let key: Key = values.collect::<Option<_>>()?;
    (!key.iter().any(Value::is_null)).then_some(key)
}

/// The greatest time that rows have.
pub(super) fn greatest(watermark: &Watermark, cells: &[BTreeMap<Key, Vec<Cell>>]) -> i64 {
    let times = cells[watermark.from.0 as usize].values().filter_map(|row| match &row[watermark.on.0 as usize] {
        Ok(Value::Timestamp(at)) => Some(at.0),
        _ => None,
    });
    times.max().unwrap_or(i64::MIN)
}

/// The keys in some slots of a row, where it may be in several documents.
pub(super) fn other_keys(row: &[Cell], slots: &[SlotId], types: &[Type], parts: &[Part]) -> BTreeSet<Key> {
    if parts.is_empty() {
        return other_key(row, slots, types).into_iter().collect();
    }
    let mut keys = BTreeSet::from([Key::new()]);
    for ((slot, ty), part) in slots.iter().zip(types).zip(parts) {
        let here = &row[slot.0 as usize];
        let values = |key: &Key| match (part, here) {
            (_, Err(_)) => Vec::new(),
            (Part::One, Ok(value)) => vec![value.clone()],
            (Part::Each, Ok(Value::List(items))) => items.to_vec(),
            (Part::Each, Ok(_)) => Vec::new(),
            (Part::Later(by), Ok(_)) => match key.last() {
                Some(Value::Timestamp(start)) => vec![Value::Timestamp(Timestamp(start.0 + by))],
                _ => Vec::new(),
            },
        };
        let mut longer = BTreeSet::new();
        for key in &keys {
            let typed = values(key).into_iter().filter_map(|value| coerce(value, ty).ok()).filter(|value| !value.is_null());
            longer.extend(typed.map(|value| key.iter().cloned().chain([value]).collect::<Key>()));
        }
        keys = longer;
    }
    keys
}

/// Every row of one side with every row of the other, where all is equal and the condition true.
pub(super) fn pairs(join: &Join, all: &[BTreeMap<Key, Vec<Cell>>]) -> BTreeSet<Key> {
    let [left, right] = &join.sides;
    let mut pairs = BTreeSet::new();
    for (one, a) in &all[left.from.0 as usize] {
        for (other, b) in &all[right.from.0 as usize] {
            let on = other_key(a, &left.on, &join.on_types);
            let meets = on.is_some() && on == other_key(b, &right.on, &join.on_types);
            let shown: Vec<Cell> = left.given.iter().map(|slot| a[slot.0 as usize].clone()).collect();
            let shown: Vec<Cell> = shown.into_iter().chain(right.given.iter().map(|slot| b[slot.0 as usize].clone())).collect();
            let holds =
                |condition: &Expr| evaluate(condition, &|id| shown[id.0 as usize].clone()).is_ok_and(|value| value.is_true());
            if meets && join.condition.as_ref().is_none_or(holds) {
                pairs.insert([one.as_slice(), other].concat());
            }
        }
    }
    pairs
}

/// The key of the newest of all rows that are no later than `row`, among those that have the same in common.
pub(super) fn newest(edge: &Nearest, row: &[Cell], all: &BTreeMap<Key, Vec<Cell>>) -> Option<Key> {
    let place = other_key(row, &edge.near, &edge.types)?;
    let (time, by) = place.split_last()?;
    let stands = all.iter().filter_map(|(key, other)| Some((other_key(other, &edge.line, &edge.types)?, key)));
    let mut found: Vec<(Value, &Key)> = Vec::new();
    for (other, key) in stands {
        let (at, has) = other.split_last()?;
        if has == by && at <= time {
            found.push((at.clone(), key));
        }
    }
    found.into_iter().max().map(|(_, key)| key.clone())
}

/// All pairs between which links lead: two that follow each other make another, until there is nothing new.
pub(super) fn closed(links: BTreeSet<Key>) -> BTreeSet<Key> {
    let mut paths = links.clone();
    loop {
        let longer = paths.iter().flat_map(|path| {
            let following = links.iter().filter(|link| link[0] == path[1]);
            following.map(|link| vec![path[0].clone(), link[1].clone()])
        });
        let longer: Vec<Key> = longer.filter(|path| !paths.contains(path)).collect();
        if longer.is_empty() {
            return paths;
        }
        paths.extend(longer);
    }
}
