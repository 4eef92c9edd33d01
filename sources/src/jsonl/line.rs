//! One line: a transaction or a schema.

use thalweg_formulas::problem::did_you_mean;
use thalweg_formulas::{Problem, Timestamp, Type, Value};
use thalweg_graph::transaction::SchemaColumn;
use thalweg_graph::{Change, Op, Schema};

use super::cursor::{Cursor, Fault};
use super::layout::Layout;

/// A line `{"schema":{"table":…,"key":[…],"columns":{…}}}`, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaLine {
    /// The table.
    pub table: String,
    /// Its key columns; `None`: not said.
    pub key: Option<Vec<String>>,
    /// Its columns and their types' names, in the order written.
    pub columns: Vec<(String, String)>,
}

impl SchemaLine {
    /// The table as sources tell it. A key column that is not among the columns is one, of any type.
    ///
    /// # Errors
    /// The name of a type is wrong.
    pub fn schema(&self) -> Result<Schema, Problem> {
        let mut columns: Vec<SchemaColumn> = Vec::new();
        for (name, ty) in &self.columns {
            let ty = Type::parse(ty)
                .map_err(|problem| Problem { message: format!("column `{name}`: {}", problem.message), ..problem })?;
            columns.push(SchemaColumn::new(name.as_str().into(), ty));
        }
        let mut key = Vec::new();
        for name in self.key.iter().flatten() {
            let known = columns.iter().position(|column| *column.name == **name);
            key.push(known.unwrap_or(columns.len()) as u32);
            if known.is_none() {
                columns.push(SchemaColumn::new(name.as_str().into(), Type::Dyn));
            }
        }
        Ok(Schema { table: self.table.as_str().into(), columns, key })
    }
}

/// What a line of transactions says, before it has an origin and a time.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) tx: Option<String>,
    pub(super) at: Option<Timestamp>,
    pub(super) changes: Vec<Change>,
    pub(super) schema: Option<(SchemaLine, usize)>,
}

/// The tables by their names.
pub(super) trait Tables {
    fn find(&mut self, name: &str) -> Option<usize>;
    fn is_kept(&self, name: &str) -> bool;
    fn names(&self) -> Vec<&str>;
    fn layout(&mut self, table: usize) -> &mut Layout;
}

/// Reads a line whole; nothing of it counts if it is wrong.
pub(super) fn read(text: &str, tables: &mut dyn Tables) -> Result<Draft, Fault> {
    let mut draft = Draft::default();
    let mut cursor = Cursor::new(text);
    let mut any = false;
    cursor.object("an object", |c, name, at| {
        match &*name {
            "tx" => draft.tx = Some(origin(c)?),
            "at" => draft.at = time(c)?,
            "changes" => {
                any = true;
                c.array("a list of changes", |c| {
                    draft.changes.push(change(c, tables)?);
                    Ok(())
                })?;
            }
            "schema" => draft.schema = Some((schema(c)?, at)),
            _ => c.skip()?,
        }
        Ok(())
    })?;
    cursor.end()?;
    if any == draft.schema.is_some() {
        return Err(Fault::new(464, 0, "a line needs either `changes` or `schema`"));
    }
    Ok(draft)
}

/// A line's `schema`, if it has one; other lines are read over.
pub(super) fn read_schema(text: &str) -> Result<Option<SchemaLine>, Fault> {
    let mut found = None;
    Cursor::new(text).object("an object", |c, name, _| {
        if name == "schema" {
            found = Some(schema(c)?);
            Ok(())
        } else {
            c.skip()
        }
    })?;
    Ok(found)
}

/// `tx`: a string, or an integer as its text.
fn origin(c: &mut Cursor<'_>) -> Result<String, Fault> {
    let at = c.place();
    match c.value(&Type::Dyn)? {
        Value::Text(text) => Ok(text.to_string()),
        Value::Int(n) => Ok(n.to_string()),
        Value::Uint(n) => Ok(n.to_string()),
        _ => Err(Fault::new(464, at, "`tx` must be a string")),
    }
}

fn time(c: &mut Cursor<'_>) -> Result<Option<Timestamp>, Fault> {
    let at = c.place();
    let text = match c.value(&Type::Dyn)? {
        Value::Text(text) => text,
        Value::Null => return Ok(None),
        _ => return Err(Fault::new(464, at, "`at` must be an RFC 3339 time in quotes")),
    };
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Some(Timestamp(time.as_microsecond()))),
        Err(_) => {
            let mut fault = Fault::new(464, at, format!("`{text}` is not an RFC 3339 time"));
            fault.help = Some("for example \"2026-01-31T12:00:00Z\"".to_owned());
            Err(fault)
        }
    }
}

/// Where the parts of a change stand that can only be read once its table is known.
#[derive(Default)]
struct Parts {
    key: Option<usize>,
    before: Option<usize>,
    after: Option<usize>,
}

fn change(c: &mut Cursor<'_>, tables: &mut dyn Tables) -> Result<Change, Fault> {
    let start = c.place();
    let (mut table, mut op, mut parts) = (None, None, Parts::default());
    c.object("a change (an object)", |c, name, _| {
        let at = c.place();
        match &*name {
            "table" => table = Some(self::table(c, tables)?),
            "op" => op = Some(self::op(c)?),
            // NULL stands for "not given".
            "key" | "before" | "after" if c.peek() == Some(b'n') => c.skip()?,
            "key" => part(c, &mut parts.key, at)?,
            "before" => part(c, &mut parts.before, at)?,
            "after" => part(c, &mut parts.after, at)?,
            _ => c.skip()?,
        }
        Ok(())
    })?;
    let table = table.ok_or_else(|| Fault::new(464, start, "a change needs `table`"))?;
    let op = op.ok_or_else(|| Fault::new(464, start, "a change needs `op`"))?;
    let layout = tables.layout(table);
    let at = |place: Option<usize>| place.map(|at| c.moved(at));
    let key = at(parts.key).map(|mut c| layout.key(&mut c)).transpose()?;
    let before = at(parts.before).map(|mut c| layout.row(&mut c, "an object with the row before")).transpose()?;
    let after = at(parts.after).map(|mut c| layout.row(&mut c, "an object with the row after")).transpose()?;
    let Said::Rows(op) = op else {
        return match (key, before, after) {
            (None, None, None) => Ok(Change::clear(layout.seal())),
            _ => Err(Fault::new(464, start, "clear is of all rows, so it takes no `key`, `before` or `after`")),
        };
    };
    if after.is_none() && op != Op::Delete {
        return Err(Fault::new(464, start, format!("{} needs `after`", op_name(op))));
    }
    if op == Op::Delete && key.is_none() && before.is_none() && after.is_none() {
        return Err(Fault::new(
            464,
            start,
            if layout.has_key() { "delete needs `key` or `before`" } else { "delete needs `before`" },
        ));
    }
    let schema = layout.seal();
    Ok(Change { schema, op, key, before: before.map(|row| layout.widen(row)), after: after.map(|row| layout.widen(row)) })
}

fn part(c: &mut Cursor<'_>, slot: &mut Option<usize>, at: usize) -> Result<(), Fault> {
    *slot = Some(at);
    c.skip()
}

fn table(c: &mut Cursor<'_>, tables: &mut dyn Tables) -> Result<usize, Fault> {
    let at = c.place();
    let name = c.string()?;
    tables.find(&name).ok_or_else(|| {
        if tables.is_kept(&name) {
            return of_derived(&name, at);
        }
        let mut fault = Fault::new(463, at, format!("unknown table `{name}`"));
        let known = tables.names();
        fault.help = match did_you_mean(&name, known.iter().copied()).first() {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None => Some("declare it with [[table]] in the configuration, or with a `schema` line".to_owned()),
        };
        fault
    })
}

/// A line that speaks of rows that are kept.
pub(super) fn of_derived(name: &str, at: usize) -> Fault {
    let mut fault = Fault::new(463, at, format!("table `{name}` is derived, so no line can speak of its rows"));
    fault.help = Some("write the rows that it is kept from".to_owned());
    fault
}

/// What a change says has happened.
enum Said {
    /// To a row.
    Rows(Op),
    /// Every row of the table went.
    Clear,
}

fn op(c: &mut Cursor<'_>) -> Result<Said, Fault> {
    let at = c.place();
    let name = c.string()?;
    Ok(match &*name {
        "insert" => Said::Rows(Op::Insert),
        "update" => Said::Rows(Op::Update),
        "delete" => Said::Rows(Op::Delete),
        "upsert" => Said::Rows(Op::Upsert),
        "clear" => Said::Clear,
        _ => {
            let mut fault = Fault::new(462, at, format!("unknown op `{name}`"));
            fault.help = Some("write insert, update, delete, upsert or clear".to_owned());
            return Err(fault);
        }
    })
}

fn op_name(op: Op) -> &'static str {
    match op {
        Op::Insert => "insert",
        Op::Update => "update",
        Op::Delete => "delete",
        Op::Upsert => "upsert",
    }
}

fn schema(c: &mut Cursor<'_>) -> Result<SchemaLine, Fault> {
    let start = c.place();
    let mut line = SchemaLine::default();
    c.object("a schema (an object)", |c, name, _| {
        match &*name {
            "table" => line.table = c.string()?.into_owned(),
            "key" if c.peek() == Some(b'n') => c.skip()?,
            "key" => {
                let mut key = Vec::new();
                c.array("a list of columns", |c| {
                    key.push(c.string()?.into_owned());
                    Ok(())
                })?;
                line.key = Some(key);
            }
            "columns" => c.object("an object with the columns' types", |c, name, _| {
                line.columns.push((name.into_owned(), c.string()?.into_owned()));
                Ok(())
            })?,
            _ => c.skip()?,
        }
        Ok(())
    })?;
    if line.table.is_empty() {
        return Err(Fault::new(464, start, "a schema needs `table`"));
    }
    Ok(line)
}
