//! The layout of the watched tables, from `information_schema`: what the log says of a table when it has no row of it yet, and what it
//! never says (UUID, INET and JSON columns, engines, sequences).

use std::collections::HashMap;
use std::sync::Arc;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use thalweg_formulas::Type;
use thalweg_formulas::problem::did_you_mean;
use thalweg_graph::Schema;
use thalweg_graph::transaction::SchemaColumn;

use super::connect::{Flavour, ask, quoted};
use super::failure::{Failure, code};
use crate::binlog::Watch;
use crate::binlog::charset::Charset;
use crate::binlog::plan::{Hint, Hints, text_or_bytes};
use crate::binlog::sql_type;

/// The watched tables as they are now.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) tables: Vec<Table>,
    pub(crate) hints: Hints,
    /// What has a watched name and is no table, such as a sequence: `db.name`.
    pub(crate) others: Vec<String>,
}

/// What it means that a watched table is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// A slip in the settings.
    Refused,
    /// It was there when the log was first followed: it was dropped since, and rules over it go on without rows.
    Dropped,
}

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: Arc<Schema>,
    /// Its name in SQL, quoted.
    pub(crate) sql: String,
    pub(crate) engine: String,
    /// By column; `None`: the log has no values of it, so none are read.
    pub(crate) readings: Vec<Option<Reading>>,
    /// The columns of its primary key, if its rows can be read in their order from any place; else empty.
    pub(crate) order: Vec<KeyColumn>,
}

/// A column by which the rows of a table are ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    pub(crate) name: String,
    /// Name and kind of order, `name.utf8mb4_bin`: under another order a value divides the rows elsewhere.
    pub(crate) label: String,
    pub(crate) reading: Reading,
}

/// How a column's value comes from a query, so that it is the one that the log gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// An integer with sign; also YEAR.
    Int,
    /// An integer without.
    Uint,
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// DECIMAL, whose text is exact.
    Decimal,
    /// BIT: bytes, most significant first.
    Bit,
    /// DATE.
    Date,
    /// DATETIME or TIMESTAMP.
    Datetime {
        /// Digits behind the seconds' point.
        digits: u8,
    },
    /// TIME.
    Time,
    /// Text or bytes, as stored.
    String(Charset),
    /// JSON text.
    Json(Charset),
}

struct TableRow {
    database: String,
    name: String,
    kind: String,
    engine: Option<String>,
}

struct ColumnRow {
    database: String,
    table: String,
    name: String,
    data_type: String,
    column_type: String,
    charset: Option<String>,
    collation: Option<String>,
    precision: Option<u8>,
    scale: Option<u8>,
    digits: Option<u8>,
    is_json: bool,
    is_virtual: bool,
}

const TABLES: &str = "SELECT TABLE_SCHEMA AS `database`, TABLE_NAME AS name, TABLE_TYPE AS kind, ENGINE AS engine \
    FROM information_schema.TABLES WHERE TABLE_TYPE <> 'VIEW' AND TABLE_SCHEMA IN (%) ORDER BY TABLE_SCHEMA, TABLE_NAME";

const COLUMNS: &str = "SELECT c.TABLE_SCHEMA AS `database`, c.TABLE_NAME AS `table`, c.COLUMN_NAME AS name, c.DATA_TYPE AS data_type, \
    c.COLUMN_TYPE AS column_type, c.CHARACTER_SET_NAME AS charset, c.COLLATION_NAME AS collation, c.NUMERIC_PRECISION AS `precision`, c.NUMERIC_SCALE AS scale, \
    c.DATETIME_PRECISION AS digits, {is_json} AS is_json, c.EXTRA LIKE '%VIRTUAL%' AS is_virtual FROM information_schema.COLUMNS c {join}\
    WHERE c.TABLE_SCHEMA IN (%) ORDER BY c.TABLE_SCHEMA, c.TABLE_NAME, c.ORDINAL_POSITION";

/// MariaDB's JSON is LONGTEXT with a check of the column's name.
const JSON_CHECKS: &str = "LEFT JOIN information_schema.CHECK_CONSTRAINTS k ON k.CONSTRAINT_SCHEMA = c.TABLE_SCHEMA \
    AND k.TABLE_NAME = c.TABLE_NAME AND k.CONSTRAINT_NAME = c.COLUMN_NAME AND k.CHECK_CLAUSE = CONCAT('json_valid(`', c.COLUMN_NAME, '`)') ";

const KEYS: &str = "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
    WHERE INDEX_NAME = 'PRIMARY' AND TABLE_SCHEMA IN (%) ORDER BY TABLE_SCHEMA, TABLE_NAME, SEQ_IN_INDEX";

impl Catalog {
    /// Reads the watched tables.
    ///
    /// # Errors
    /// A table that cannot be followed; where they must be there, a plainly named one that is not, or nothing watched at all.
    pub(crate) async fn read(conn: &mut Conn, flavour: Flavour, watch: &Watch, missing: Missing) -> Result<Catalog, Failure> {
        let (catalog, absent) = Catalog::look(conn, flavour, watch).await?;
        match (missing, absent) {
            (Missing::Refused, Some(absent)) => Err(absent),
            (Missing::Refused, None) if catalog.tables.is_empty() && watch.patterns().all(|(_, t)| !Watch::is_wild(t)) => {
                Err(Failure::stop(code::UNKNOWN_TABLE, "no table is watched", "name at least one in `tables`"))
            }
            (_, absent) => {
                absent.as_ref().and_then(Failure::text).into_iter().for_each(|text| tracing::warn!("{text}"));
                Ok(catalog)
            }
        }
    }

    /// The watched tables, and what is said of the first that is not there.
    async fn look(conn: &mut Conn, flavour: Flavour, watch: &Watch) -> Result<(Catalog, Option<Failure>), Failure> {
        let databases: Vec<String> = ask(conn, "SHOW DATABASES").await?;
        let reached: Vec<&str> = databases.iter().map(String::as_str).filter(|d| watch.reaches(d)).collect();
        let missing = require_databases(watch, &databases);
        let list =
            if reached.is_empty() { "''".to_string() } else { reached.iter().map(|d| literal(d)).collect::<Vec<_>>().join(",") };
        let rows = Rows::ask(conn, flavour, &list).await?;
        let missing = missing.and_then(|()| require_tables(watch, &rows.tables)).err();
        Ok((assemble(watch, flavour, rows.tables, &rows.columns, &rows.keys)?, missing))
    }

    /// The watched tables of one database of Dolt as of a commit. Afterwards `conn` stands in the database, as it is now.
    ///
    /// # Errors
    /// As for [`Catalog::read`].
    pub(crate) async fn as_of(
        conn: &mut Conn,
        watch: &Watch,
        database: &str,
        commit: &str,
        missing: Missing,
    ) -> Result<Catalog, Failure> {
        let revision = format!("{database}/{commit}");
        // A database of a revision is listed only for whoever is in it.
        conn.query_drop(format!("USE {}", quoted(&revision))).await?;
        let rows = Rows::ask(conn, Flavour::Dolt, &literal(&revision)).await?.renamed(database);
        conn.query_drop(format!("USE {}", quoted(database))).await?;
        match (require_tables(watch, &rows.tables), missing) {
            (Err(absent), Missing::Refused) => return Err(absent),
            (Err(absent), Missing::Dropped) => absent.text().into_iter().for_each(|text| tracing::warn!("{text}")),
            (Ok(()), _) => {}
        }
        assemble(watch, Flavour::Dolt, rows.tables, &rows.columns, &rows.keys)
    }

    /// The layouts.
    pub(crate) fn schemas(&self) -> Vec<Arc<Schema>> {
        self.tables.iter().map(|t| t.schema.clone()).collect()
    }
}

/// What `information_schema` says of some databases.
struct Rows {
    tables: Vec<TableRow>,
    columns: Vec<ColumnRow>,
    /// Database, table, column.
    keys: Vec<(String, String, String)>,
}

impl Rows {
    async fn ask(conn: &mut Conn, flavour: Flavour, list: &str) -> Result<Rows, Failure> {
        let table = |(database, name, kind, engine)| TableRow { database, name, kind, engine };
        let tables: Vec<TableRow> = ask(conn, TABLES.replace('%', list)).await?.into_iter().map(table).collect();
        let columns = ask(conn, columns_of(flavour).replace("(%)", &format!("({list})"))).await?;
        let columns: Vec<ColumnRow> = columns.into_iter().map(ColumnRow::new).collect();
        Ok(Rows { tables, columns, keys: ask(conn, KEYS.replace('%', list)).await? })
    }

    /// The same, all of it in one database of this name.
    fn renamed(mut self, database: &str) -> Rows {
        let tables = self.tables.iter_mut().map(|row| &mut row.database);
        let columns = self.columns.iter_mut().map(|row| &mut row.database);
        let keys = self.keys.iter_mut().map(|(name, ..)| name);
        tables.chain(columns).chain(keys).for_each(|name| *name = database.to_string());
        self
    }
}

/// The query for columns.
fn columns_of(flavour: Flavour) -> String {
    let (is_json, join) = match flavour {
        Flavour::MariaDb => ("k.CHECK_CLAUSE IS NOT NULL", JSON_CHECKS),
        Flavour::MySql | Flavour::Dolt => ("c.DATA_TYPE = 'json'", ""),
    };
    COLUMNS.replace("{is_json}", is_json).replace("{join}", join)
}

/// A text in SQL.
pub(crate) fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

fn require_databases(watch: &Watch, known: &[String]) -> Result<(), Failure> {
    let missing = watch.patterns().find(|(d, _)| !Watch::is_wild(d) && !known.iter().any(|k| k == d));
    match missing {
        None => Ok(()),
        Some((database, _)) => Err(unknown("database", database, known.iter().map(String::as_str))),
    }
}

fn require_tables(watch: &Watch, known: &[TableRow]) -> Result<(), Failure> {
    for (database, table) in watch.patterns().filter(|(d, t)| !Watch::is_wild(d) && !Watch::is_wild(t)) {
        let own = || known.iter().filter(|k| k.database == database).map(|k| k.name.as_str());
        if !own().any(|k| k == table) {
            return Err(unknown("table", &format!("{database}.{table}"), own()));
        }
    }
    Ok(())
}

fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Failure {
    let short = name.rsplit_once('.').map_or(name, |(_, n)| n);
    let near = did_you_mean(short, known);
    let cure = match near.first() {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("create it, or grant this user SELECT on it: without a privilege a {kind} is invisible"),
    };
    Failure::stop(code::UNKNOWN_TABLE, format!("unknown {kind} `{name}`"), cure)
}

fn assemble(
    watch: &Watch,
    flavour: Flavour,
    known: Vec<TableRow>,
    columns: &[ColumnRow],
    keys: &[(String, String, String)],
) -> Result<Catalog, Failure> {
    let mut of_table: HashMap<(&str, &str), Vec<&ColumnRow>> = HashMap::new();
    for column in columns {
        of_table.entry((&column.database, &column.table)).or_default().push(column);
    }
    let mut catalog = Catalog::default();
    for row in known.iter().filter(|row| watch.matches(&row.database, &row.name)) {
        let name = format!("{}.{}", row.database, row.name);
        match row.kind.as_str() {
            "BASE TABLE" => {}
            "SYSTEM VERSIONED" => {
                let cure = "leave it out of `tables`, or run ALTER TABLE … DROP SYSTEM VERSIONING";
                return Err(Failure::stop(code::TABLE, format!("{name} is system-versioned: its log holds history rows"), cure));
            }
            _ => {
                catalog.others.push(name);
                continue;
            }
        }
        let columns = of_table.get(&(&*row.database, &*row.name)).map_or(&[][..], Vec::as_slice);
        let key = keys.iter().filter(|(d, t, _)| *d == row.database && *t == row.name).map(|(_, _, c)| c.as_str());
        catalog.add(&name, flavour, row, columns, key)?;
    }
    Ok(catalog)
}

impl Catalog {
    fn add<'a>(
        &mut self,
        name: &str,
        flavour: Flavour,
        row: &TableRow,
        columns: &[&ColumnRow],
        key: impl Iterator<Item = &'a str>,
    ) -> Result<(), Failure> {
        let mut readings = Vec::new();
        let mut schema = Schema { table: name.into(), columns: Vec::new(), key: Vec::new() };
        for column in columns {
            let (reading, ty, hint) = column.reading().map_err(|what| {
                let cure = "run ALTER TABLE … MODIFY to change the column, or leave the table out of `tables`";
                Failure::stop(code::TABLE, format!("column `{}` of {name} is {what}", column.name), cure)
            })?;
            let hint = hint.or_else(|| column.untold(flavour, reading));
            hint.into_iter().for_each(|hint| self.hints.add(name, &column.name, hint));
            let is_logged = flavour != Flavour::Dolt || !column.is_virtual;
            if !is_logged {
                tracing::warn!(
                    "column `{}` of {name} is virtual, and Dolt's log has no values of it: it is never there",
                    column.name
                );
            }
            readings.push(is_logged.then_some(reading));
            let sql = sql_type::of_catalog(&column.data_type, &column.column_type, column.digits.unwrap_or(0));
            schema.columns.push(SchemaColumn { name: column.name.as_str().into(), ty, sql });
        }
        schema.key = key.filter_map(|k| columns.iter().position(|c| c.name == k)).map(|i| i as u32).collect();
        if flavour == Flavour::Dolt {
            self.hints.add_key(name, schema.key.iter().map(|i| columns[*i as usize].name.clone()));
        }
        let order = schema.key.iter().map(|i| columns[*i as usize].order(readings[*i as usize])).collect::<Option<_>>();
        let sql = format!("{}.{}", quoted(&row.database), quoted(&row.name));
        let engine = row.engine.clone().unwrap_or_default();
        self.tables.push(Table { schema: Arc::new(schema), sql, engine, readings, order: order.unwrap_or_default() });
        Ok(())
    }
}

type ColumnTuple =
    (String, String, String, String, String, Option<String>, Option<String>, Option<u8>, Option<u8>, Option<u8>, bool, bool);

impl ColumnRow {
    fn new(
        (database, table, name, data_type, column_type, charset, collation, precision, scale, digits, is_json, is_virtual): ColumnTuple,
    ) -> ColumnRow {
        ColumnRow {
            database,
            table,
            name,
            data_type,
            column_type,
            charset,
            collation,
            precision,
            scale,
            digits,
            is_json,
            is_virtual,
        }
    }

    /// The column as one of a key, if a value of it, written into a query, divides the rows where their order does: what is compared
    /// otherwise than it is sorted (ENUM, SET), or not exactly (FLOAT), does not.
    fn order(&self, reading: Option<Reading>) -> Option<KeyColumn> {
        let reading = reading?;
        let is_sorted = match reading {
            Reading::Int | Reading::Uint | Reading::Decimal | Reading::Bit => true,
            Reading::Date | Reading::Datetime { .. } | Reading::Time => true,
            Reading::String(charset) => charset.name().is_some() && !matches!(self.data_type.as_str(), "enum" | "set"),
            Reading::Float | Reading::Double | Reading::Json(_) => false,
        };
        let order = self.collation.as_ref().unwrap_or(&self.data_type);
        is_sorted.then(|| KeyColumn { name: self.name.clone(), label: format!("{}.{order}", self.name), reading })
    }

    /// What this kind of server leaves out of its log: Dolt tells no signs, and character sets in a way of its own.
    fn untold(&self, flavour: Flavour, reading: Reading) -> Option<Hint> {
        match (flavour, reading) {
            (Flavour::Dolt, Reading::Uint) => Some(Hint::Unsigned),
            (Flavour::Dolt, Reading::String(charset)) if charset != Charset::Binary => Some(Hint::Charset(charset)),
            (Flavour::MariaDb, Reading::Datetime { digits: 0 } | Reading::Time) if self.is_of_old_format() => {
                Some(Hint::WholeSeconds)
            }
            _ => None,
        }
    }

    /// A date or time without fraction as MariaDB stored it before 10.1.
    fn is_of_old_format(&self) -> bool {
        self.column_type.contains("mariadb-5.3") && self.digits.unwrap_or(0) == 0
    }

    /// How the column is read, its type, and what the log must be told of it; or what makes it unreadable.
    fn reading(&self) -> Result<(Reading, Type, Option<Hint>), String> {
        if self.column_type.ends_with("COMPRESSED*/") {
            return Err("COMPRESSED, which is not decoded".to_string());
        }
        let unsigned = self.column_type.contains("unsigned") || self.column_type.contains("zerofill");
        let charset = self.charset.as_deref().map_or(Charset::Binary, Charset::of_name);
        let plain = |reading, ty| Ok((reading, ty, None));
        match self.data_type.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" if unsigned => plain(Reading::Uint, Type::Uint),
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => plain(Reading::Int, Type::Int),
            "float" => plain(Reading::Float, Type::Double),
            "double" => plain(Reading::Double, Type::Double),
            "decimal" => {
                let (precision, scale) = (self.precision.unwrap_or(10), self.scale.unwrap_or(0));
                plain(Reading::Decimal, Type::Decimal { precision, scale })
            }
            "bit" => plain(Reading::Bit, Type::Uint),
            "date" => plain(Reading::Date, Type::Timestamp),
            "datetime" | "timestamp" => plain(Reading::Datetime { digits: self.digits.unwrap_or(0) }, Type::Timestamp),
            "time" => plain(Reading::Time, Type::Duration),
            "uuid" => Ok((Reading::String(Charset::Ascii), Type::Text, Some(Hint::Uuid))),
            "inet4" => Ok((Reading::String(Charset::Ascii), Type::Text, Some(Hint::Inet4))),
            "inet6" => Ok((Reading::String(Charset::Ascii), Type::Text, Some(Hint::Inet6))),
            "json" => plain(Reading::Json(Charset::Utf8), Type::Dyn),
            "longtext" if self.is_json && charset.is_text() => Ok((Reading::Json(charset), Type::Dyn, Some(Hint::Json))),
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" => {
                plain(Reading::String(charset), text_or_bytes(charset))
            }
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "vector" => {
                plain(Reading::String(Charset::Binary), Type::Bytes)
            }
            "point" | "linestring" | "polygon" | "geometry" | "multipoint" | "multilinestring" | "multipolygon"
            | "geometrycollection" | "geomcollection" => plain(Reading::String(Charset::Binary), Type::Bytes),
            other => Err(format!("of the type {other}, which is not known here")),
        }
    }
}
