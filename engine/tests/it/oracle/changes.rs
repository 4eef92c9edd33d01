//! What a change does to the rows of a table.

use super::*;

impl Oracle {
    pub(super) fn apply(&mut self, change: &Change) {
        for table in 0..self.plan.tables.len() {
            let is_read = !self.plan.tables[table].is_derived() && !self.plan.tables[table].name.is_empty();
            if is_read && self.plan.tables[table].from == change.schema.table {
                let (mut names, multiset) = self.key_names(table, change);
                names.extend(multiset.then(|| Arc::from("#")));
                self.keys[table] = names;
                let mut rows = self.tables[table].clone();
                match self.applied(table, &mut rows, change) {
                    Ok(()) => self.tables[table] = rows,
                    Err((key, error)) => {
                        let node = self.plan.tables[table].name.clone();
                        self.out.errors.push(ErrorChange { epoch: self.epoch, node, key: key.into(), error, cleared: false });
                    }
                }
            }
        }
    }

    pub(super) fn column_type(&self, table: usize, name: &Arc<str>) -> Type {
        self.plan.tables[table].columns.iter().find(|column| column.name == *name).map_or(Type::Dyn, |column| column.ty.clone())
    }

    /// The given columns of an image, of their types.
    pub(super) fn typed(&self, table: usize, change: &Change, image: &[Option<Value>]) -> Result<Whole, Error> {
        let mut typed = Whole::new();
        for (column, value) in change.schema.columns.iter().zip(image) {
            if let Some(value) = value {
                let value = coerce(value.clone(), &self.column_type(table, &column.name))
                    .map_err(|why| Error::new(332, format!("column `{}`: {why}", column.name)))?;
                typed.insert(Value::text(column.name.clone()), value);
            }
        }
        Ok(typed)
    }

    pub(super) fn key_names(&self, table: usize, change: &Change) -> (Vec<Arc<str>>, bool) {
        match &self.plan.tables[table].key {
            Some(key) if !key.is_empty() => {
                (key.iter().map(|at| self.plan.tables[table].columns[at.0 as usize].name.clone()).collect(), false)
            }
            Some(_) => (change.schema.columns.iter().map(|column| column.name.clone()).collect(), true),
            None if change.schema.key.is_empty() => (change.schema.columns.iter().map(|c| c.name.clone()).collect(), true),
            None => (change.schema.key.iter().map(|at| change.schema.columns[*at as usize].name.clone()).collect(), false),
        }
    }

    pub(super) fn applied(&self, table: usize, rows: &mut BTreeMap<Key, Whole>, change: &Change) -> Result<(), (Key, Error)> {
        let (names, multiset) = self.key_names(table, change);
        if multiset {
            return self.applied_to_values(table, rows, change, &names);
        }
        let raw = |image: &Option<Row>, name: &Arc<str>| {
            let at = change.schema.columns.iter().position(|column| column.name == *name)?;
            image.as_ref()?.get(at)?.clone()
        };
        let typed_key = |values: Vec<Option<Value>>| -> Result<Key, (Key, Error)> {
            let mut key = Key::new();
            let mut wrong = None;
            for (name, value) in names.iter().zip(values) {
                let value = value.unwrap_or(Value::Null);
                let (value, error) = match coerce(value.clone(), &self.column_type(table, name)) {
                    Ok(Value::Null) => {
                        (Value::Null, Some(Error::new(333, format!("the change gives no value for key column `{name}`"))))
                    }
                    Ok(value) => (value, None),
                    Err(why) => (value, Some(Error::new(332, format!("column `{name}`: {why}")))),
                };
                key.push(value);
                wrong = wrong.or(error);
            }
            wrong.map_or(Ok(key.clone()), |error| Err((key, error)))
        };
        let from = |image| names.iter().map(|name| raw(image, name)).collect::<Vec<_>>();
        let whole_key = |image: &&Option<Row>| names.iter().all(|name| raw(image, name).is_some());
        let order = match change.op {
            Op::Insert | Op::Upsert => [&change.after, &change.before],
            Op::Update | Op::Delete => [&change.before, &change.after],
        };
        let key = match &change.key {
            Some(key) => typed_key(key.iter().cloned().map(Some).collect())?,
            None => {
                let image = order.iter().find(|image| whole_key(image)).or_else(|| order.iter().find(|image| image.is_some()));
                typed_key(image.map_or(vec![None; names.len()], |image| from(image)))?
            }
        };
        let mut to = key.clone();
        if matches!(change.op, Op::Update | Op::Upsert) && change.after.is_some() {
            to = typed_key(names.iter().zip(&key).map(|(name, old)| raw(&change.after, name).or(Some(old.clone()))).collect())?;
        }
        let fail = |code: u16, text: &str| Err((key.clone(), Error::new(code, text)));
        let after = |rows: &BTreeMap<Key, Whole>, verb: &str| -> Result<Whole, (Key, Error)> {
            let _ = rows;
            let image = change
                .after
                .as_ref()
                .ok_or_else(|| (key.clone(), Error::new(334, format!("{verb} without a full `after` row"))))?;
            self.typed(table, change, image).map_err(|error| (key.clone(), error))
        };
        let put = |rows: &mut BTreeMap<Key, Whole>, key: &Key, base: Whole, given: Whole| {
            let mut row: Whole = change.schema.columns.iter().map(|c| (Value::text(c.name.clone()), Value::Null)).collect();
            row.extend(base);
            row.extend(given);
            row.extend(names.iter().map(|name| Value::text(name.clone())).zip(key.iter().cloned()));
            rows.insert(key.clone(), row);
        };
        match (change.op, rows.get(&key).cloned()) {
            (Op::Delete, Some(_)) => drop(rows.remove(&key)),
            (Op::Insert, Some(_)) => return fail(330, "insert of a row that exists"),
            (Op::Insert, None) => {
                let given = after(rows, "insert")?;
                put(rows, &key, Whole::new(), given);
            }
            (Op::Update, None) => return fail(331, "update of a row that does not exist"),
            (Op::Delete, None) => return fail(331, "delete of a row that does not exist"),
            (Op::Upsert, None) => {
                // It is about the key that it gives.
                let given = after(rows, "upsert").map_err(|(_, error)| (to.clone(), error))?;
                let base = rows.get(&to).cloned().unwrap_or_default();
                put(rows, &to, base, given);
            }
            (Op::Update | Op::Upsert, Some(_)) if to != key && rows.contains_key(&to) => {
                return fail(335, "change of key onto a row that exists");
            }
            (Op::Update | Op::Upsert, Some(row)) => {
                let given = after(rows, if change.op == Op::Update { "update" } else { "upsert" })?;
                rows.remove(&key);
                put(rows, &to, row, given);
            }
        }
        Ok(())
    }

    pub(super) fn applied_to_values(
        &self,
        table: usize,
        rows: &mut BTreeMap<Key, Whole>,
        change: &Change,
        names: &[Arc<str>],
    ) -> Result<(), (Key, Error)> {
        let verb = format!("{:?}", change.op).to_lowercase();
        let lacks = |which: &str| (Key::new(), Error::new(334, format!("{verb} without a full `{which}` row")));
        let values = |row: &Whole| -> Key {
            names.iter().map(|name| row.get(&Value::text(name.clone())).cloned().unwrap_or(Value::Null)).collect()
        };
        let typed = |image: &Row| self.typed(table, change, image).map_err(|error| (Key::new(), error));
        let count = |rows: &BTreeMap<Key, Whole>, values: &Key| {
            rows.keys().filter(|key| key[..key.len() - 1] == values[..]).count() as i64
        };
        let add = |rows: &mut BTreeMap<Key, Whole>, given: Whole| {
            let mut key = values(&given);
            let occurrence = count(rows, &key) + 1;
            let row = names.iter().map(|name| Value::text(name.clone())).zip(key.iter().cloned()).collect();
            key.push(Value::Int(occurrence));
            rows.insert(key, row);
        };
        let take = |rows: &mut BTreeMap<Key, Whole>, given: &Whole| {
            let mut key = values(given);
            let occurrence = count(rows, &key);
            if occurrence == 0 {
                return Err((key, Error::new(331, format!("{verb} of a row that does not exist"))));
            }
            key.push(Value::Int(occurrence));
            rows.remove(&key);
            Ok(())
        };
        let full = |image: &&Row| image.iter().all(Option::is_some);
        match change.op {
            Op::Insert | Op::Upsert => add(rows, typed(change.after.as_ref().ok_or_else(|| lacks("after"))?)?),
            Op::Delete => take(rows, &typed(change.before.as_ref().filter(full).ok_or_else(|| lacks("before"))?)?)?,
            Op::Update => {
                let before = typed(change.before.as_ref().filter(full).ok_or_else(|| lacks("before"))?)?;
                let mut after = before.clone();
                after.extend(typed(change.after.as_ref().ok_or_else(|| lacks("after"))?)?);
                take(rows, &before)?;
                add(rows, after);
            }
        }
        Ok(())
    }

    // ---- cells -------------------------------------------------------------------------------------------------
}
