//! Dolt's stand-in as the shadow of a MariaDB: after each step it gets the difference, which is what Dolt would log.

use std::collections::BTreeMap;

use thalweg_testkit::{Cell, DoltStandIn, Edit, Kind, MariaDb, Server};

use super::play::Stage;

/// A MariaDB that runs the script, and the stand-in that follows it.
pub struct Shadow {
    sql: MariaDb,
    dolt: DoltStandIn,
    known: BTreeMap<String, Table>,
}

/// A table as of the last step.
#[derive(Clone, Default, PartialEq)]
struct Table {
    columns: Vec<(String, Kind)>,
    /// By the key, which is the first column.
    rows: BTreeMap<Cell, Vec<Cell>>,
}

impl Shadow {
    pub fn of(sql: MariaDb) -> Shadow {
        Shadow { sql, dolt: DoltStandIn::start(), known: BTreeMap::new() }
    }

    /// The tables as they are now.
    fn tables(&self) -> BTreeMap<String, Table> {
        let names = self.sql.query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop'").concat();
        names.into_iter().map(|name| (format!("shop.{name}"), self.table(&name))).collect()
    }

    fn table(&self, name: &str) -> Table {
        let columns = format!(
            "SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = '{name}'
             ORDER BY COLUMN_KEY <> 'PRI', ORDINAL_POSITION"
        );
        let columns: Vec<(String, Kind)> =
            self.sql.query(&columns).into_iter().map(|row| (row[0].clone(), kind(&row[1]))).collect();
        let asked: Vec<String> = columns.iter().map(|(name, kind)| asked(name, kind)).collect();
        let rows = self.sql.query(&format!("SET time_zone = '+00:00'; SELECT {} FROM shop.{name}", asked.join(", ")));
        let row = |row: Vec<String>| row.iter().zip(&columns).map(|(text, (_, kind))| cell(text, kind)).collect();
        let rows: Vec<Vec<Cell>> = rows.into_iter().map(row).collect();
        Table { columns, rows: rows.into_iter().map(|row| (row[0].clone(), row)).collect() }
    }
}

impl Stage for Shadow {
    fn sql(&self) -> &Server {
        &self.sql
    }

    fn port(&self) -> u16 {
        self.dolt.url().rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Layouts first, then one transaction with all rows.
    fn settle(&mut self) {
        let tables = self.tables();
        for name in self.known.keys().filter(|name| !tables.contains_key(*name)) {
            self.dolt.drop_table(name);
        }
        let mut edits = Vec::new();
        for (name, table) in &tables {
            let columns: Vec<(&str, Kind)> = table.columns.iter().map(|(name, kind)| (name.as_str(), kind.clone())).collect();
            let known = self.known.get(name);
            match known {
                None => self.dolt.create(name, &columns, 1),
                Some(known) if known.columns != table.columns => {
                    let nulls = vec![Cell::Null; columns.len() - 1];
                    let same = |row: &[Cell]| table.rows.get(&row[0]).cloned().unwrap_or([&row[..1], &nulls].concat());
                    self.dolt.alter_on("main", name, &columns, 1, same);
                }
                Some(_) => {}
            }
            edits.extend(table.rows.values().map(|row| Edit::Put(name, row.clone())));
            let gone = known.iter().flat_map(|known| known.rows.keys()).filter(|key| !table.rows.contains_key(*key));
            edits.extend(gone.map(|key| Edit::Remove(name, vec![key.clone()])));
        }
        self.dolt.write(&edits);
        self.known = tables;
    }

    fn crash(&mut self) {
        self.dolt.restart();
    }

    fn rotate(&mut self) {
        self.dolt.restart();
    }
}

/// A column's type, as MariaDB names it.
fn kind(sql: &str) -> Kind {
    let (name, inside) = sql.split_once('(').map_or((sql, ""), |(name, rest)| (name, rest.split(')').next().unwrap()));
    let numbers: Vec<u16> = inside.split(',').filter_map(|number| number.parse().ok()).collect();
    match name {
        "int" if sql.ends_with("unsigned") => Kind::IntUnsigned,
        "int" => Kind::Int,
        "smallint" => Kind::Smallint,
        "bigint" => Kind::Bigint,
        "double" => Kind::Double,
        "decimal" => Kind::Decimal(numbers[0] as u8, numbers[1] as u8),
        "varchar" => Kind::Varchar(numbers[0]),
        "varbinary" => Kind::Varbinary(numbers[0]),
        "enum" => Kind::Enum(inside.split(',').map(|member| member.trim_matches('\'').to_owned()).collect()),
        "date" => Kind::Date,
        "datetime" => Kind::Datetime,
        "time" => Kind::Time,
        "longtext" => Kind::Json,
        other => panic!("the stand-in has no {other}"),
    }
}

/// How SQL is asked for a value, so that its text is plain.
fn asked(name: &str, kind: &Kind) -> String {
    match kind {
        Kind::Varchar(_) | Kind::Varbinary(_) | Kind::Enum(_) => format!("HEX({name})"),
        Kind::Double => format!("{name} + 0e0"),
        Kind::Date | Kind::Datetime => format!("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {name})"),
        Kind::Time => format!("CAST(TIME_TO_SEC({name}) * 1000000 AS SIGNED)"),
        _ => name.to_owned(),
    }
}

fn cell(text: &str, kind: &Kind) -> Cell {
    let number = || text.parse::<i64>().unwrap_or_else(|_| panic!("{text} of {kind:?}"));
    let bytes = || (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
    match kind {
        _ if text == "NULL" => Cell::Null,
        Kind::Int | Kind::IntUnsigned | Kind::Smallint | Kind::Bigint | Kind::Virtual => Cell::Int(number()),
        Kind::Double | Kind::Decimal(..) => Cell::Text(text.to_owned()),
        Kind::Varchar(_) | Kind::Enum(_) => Cell::Text(String::from_utf8(bytes()).unwrap()),
        Kind::Varbinary(_) => Cell::Bytes(bytes()),
        Kind::Date | Kind::Datetime => Cell::Datetime(number()),
        Kind::Time => Cell::Time(number()),
        Kind::Json => {
            let members: BTreeMap<String, i64> = serde_json::from_str(text).unwrap();
            Cell::Json(members.into_iter().collect())
        }
    }
}
